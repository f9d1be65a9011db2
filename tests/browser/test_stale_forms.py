"""Forms left open while the session changed, as people see them: in tabs of one browser."""

import re

import pytest
from bson import ObjectId
from playwright.sync_api import expect

from portal import clock
from portal.documents.accounts import Recovery
from portal.documents.organizations import Organization
from portal.identity.accounts.mails import RECOVER
from portal.mail import links
from tests.browser.test_main_job import press_twice
from tests.factories import an_account, an_organization
from tests.visitor import PASSWORD

MARA = "mara@acme.example"
OTHER = "another battery of horses"


def log_in(page):
    page.get_by_label("E-mail address").fill(MARA)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


@pytest.fixture(
    params=[
        pytest.param(True, id="with JavaScript"),
        pytest.param(
            False, id="without", marks=pytest.mark.full
        ),  # daily in tests/test_stale_forms.py
    ]
)
def tabs(new_context, request):
    return new_context(java_script_enabled=request.param)


def test_two_tabs_that_both_log_in_are_both_in(tabs):
    an_organization("Acme Corp", an_account(MARA))
    first, second = tabs.new_page(), tabs.new_page()
    first.goto("/organizations/acme-corp/rename")
    second.goto("/login")
    for tab, place in ((second, "/organizations"), (first, "/organizations/acme-corp/rename")):
        log_in(tab)
        expect(tab).to_have_url(re.compile(f"{place}$"))


def test_a_form_of_another_session_comes_again_focused_on_what_happened(tabs):
    an_organization("Acme Corp", an_account(MARA))
    first, second = tabs.new_page(), tabs.new_page()
    first.goto("/organizations/acme-corp/rename")
    log_in(first)
    first.get_by_label("New name").fill("Kestrel")
    second.goto("/organizations/new")
    second.locator("header summary").click()
    second.get_by_role("button", name="Log out").click()
    log_in(second)
    first.get_by_role("button", name="Rename organization").click()
    told = first.get_by_role("alert")
    expect(told).to_contain_text("nothing was changed, so check it and send it again")
    expect(told).to_be_focused()
    expect(first.get_by_label("New name")).to_have_value("Kestrel")
    assert Organization.objects.get().slug == "acme-corp"
    first.get_by_role("button", name="Rename organization").click()
    expect(first).to_have_url(re.compile("/organizations/kestrel$"))
    expect(first.get_by_role("status")).to_be_focused()


def test_a_form_sent_after_logging_out_elsewhere_leads_back_to_it(tabs):
    an_organization("Acme Corp", an_account(MARA))
    page, other = tabs.new_page(), tabs.new_page()
    page.goto("/organizations/acme-corp/rename")
    log_in(page)
    page.get_by_label("New name").fill("Kestrel")
    other.goto("/organizations/new")
    other.locator("header summary").click()
    other.get_by_role("button", name="Log out").click()
    expect(other).to_have_url(re.compile("/login$"))
    page.get_by_role("button", name="Rename organization").click()
    expect(page.get_by_role("alert")).to_contain_text("nothing was changed")
    log_in(page)
    expect(page).to_have_url(re.compile("/organizations/acme-corp/rename$"))


def test_a_new_password_that_is_sent_twice_is_one(page):
    account = an_account(MARA)
    request = ObjectId()
    Recovery(id=Recovery.id_of(account.email_key), request=request, at=clock.now()).save()
    content = {"account": str(account.id), "request": str(request)}
    page.goto(f"/recover?token={links.sign_token(RECOVER, content)}")
    page.get_by_label("New password").fill(OTHER)
    press_twice(page, "Change password")
    expect(page.get_by_role("status")).to_have_text("Your password is changed. Log in with it.")


def test_a_browser_that_keeps_no_cookies_is_told_so(page):
    page.goto("/login")
    for _ in range(2):
        page.context.clear_cookies()
        log_in(page)
        expect(page.get_by_role("alert")).to_contain_text("Your browser sent no cookie")
        expect(page.get_by_label("E-mail address")).to_have_value(MARA)
