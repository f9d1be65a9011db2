"""The whole main job as an admin does it, with JavaScript and without."""

import re
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

from tests.factories import an_organization
from tests.visitor import PASSWORD

without_javascript = pytest.mark.browser_context_args(java_script_enabled=False)


def do_the_main_job(page, tenant_db):
    page.goto("/")
    page.get_by_role("link", name="Sign up an organization").click()
    page.get_by_label("Name of the organization").fill("Acme Corp")
    page.get_by_label("Your e-mail address").fill("mara@acme.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()

    expect(page).to_have_url(re.compile(r"/organizations/acme-corp$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Acme Corp")
    assert tenant_db.list_collection_names() == ["org_acme_corp"]

    page.locator("summary").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    page.go_back()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")

    page.get_by_label("E-mail address").fill("mara@acme.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Acme Corp")
    page.locator("summary").click()
    page.get_by_role("link", name="Organizations", exact=True).click()
    page.get_by_role("link", name="Acme Corp").click()

    page.get_by_role("link", name="Rename").click()
    page.get_by_label("New name").fill("Acme & Daughters")
    page.get_by_role("button", name="Rename organization").click()
    expect(page.get_by_role("status")).to_contain_text("Acme Corp is now Acme & Daughters")
    assert tenant_db.list_collection_names() == ["org_acme_daughters"]
    page.goto("/organizations/acme-corp")
    expect(page).to_have_url(re.compile(r"/organizations/acme-daughters$"))

    page.get_by_role("link", name="Settings").click()
    page.get_by_role("link", name="Delete…").click()
    page.get_by_label("Type the name to confirm").fill("Acme & Daughters")
    page.get_by_role("button", name="Delete organization").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Trash")
    expect(page.get_by_role("row", name="Acme & Daughters")).to_be_visible()
    assert [name[:6] for name in tenant_db.list_collection_names()] == ["trash_"]

    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_role("status")).to_contain_text("Acme & Daughters is back")
    assert tenant_db.list_collection_names() == ["org_acme_daughters"]
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("link", name="Delete…").click()
    page.get_by_label("Type the name to confirm").fill("Acme & Daughters")
    page.get_by_role("button", name="Delete organization").click()
    page.get_by_role("link", name="Purge now…").click()
    page.get_by_label("Type the name to confirm").fill("Acme & Daughters")
    page.get_by_role("button", name="Purge organization").click()
    expect(page.get_by_role("status")).to_contain_text("all of its documents are gone")
    expect(page.get_by_role("heading", level=2)).to_have_text("The trash is empty")
    assert tenant_db.list_collection_names() == []


def test_the_main_job_with_javascript(page, tenant_db):
    do_the_main_job(page, tenant_db)


@without_javascript
def test_the_main_job_without_javascript(page, tenant_db):
    do_the_main_job(page, tenant_db)


def test_the_main_job_by_keyboard_alone(page, tenant_db):
    page.goto("/signup")
    page.get_by_label("Name of the organization").focus()
    page.keyboard.type("Acme Corp")
    page.keyboard.press("Tab")  # to another address than that of the name
    page.keyboard.press("Tab")
    page.keyboard.type("mara@acme.example")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/organizations/acme-corp$"))
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


def test_the_preview_follows_what_is_typed(page):
    an_organization("Kestrel Freight")
    page.goto("/signup")
    preview = page.locator("#preview")
    page.get_by_label("Name of the organization").press_sequentially("Kestrel Freigh")
    expect(preview).to_contain_text("kestrel-freigh")
    expect(preview).to_contain_text("Yes")
    page.get_by_label("Name of the organization").press_sequentially("t")
    expect(preview).to_contain_text("No, held by another organization")
    page.get_by_label("Name of the organization").fill("<img src=x onerror=alert(1)>")
    expect(preview).to_contain_text("Leave out “<”")


def test_the_strength_of_a_password_is_said_while_it_is_typed(page):
    page.goto("/signup")
    page.get_by_label("Password").press_sequentially("password1234")
    expect(page.locator("#strength")).to_contain_text("Very weak")
    page.get_by_label("Password").fill(PASSWORD)
    expect(page.locator("#strength")).to_contain_text("Strong")


@pytest.mark.parametrize("javascript", [True, False])
def test_faults_are_summed_up_focused_and_linked(new_context, javascript):
    page = new_context(java_script_enabled=javascript).new_page()
    page.goto("/signup")
    page.get_by_label("Name of the organization").fill("x")
    page.get_by_label("Your e-mail address").fill("mara@acme.example")
    page.get_by_role("button", name="Sign up").click()
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    expect(summary).to_contain_text("2 things to correct")
    expect(page.get_by_label("Your e-mail address")).to_have_value("mara@acme.example")
    expect(page.get_by_label("Password")).to_have_value("")
    summary.get_by_role("link", name="Choose a longer name").click()
    expect(page.get_by_label("Name of the organization")).to_be_focused()
    expect(page).to_have_title(re.compile("^Error: "))


@pytest.mark.browser_context_args(timezone_id="America/New_York")
def test_times_are_in_the_readers_zone(page, mara):
    organization = an_organization("Acme Corp", mara)
    page.goto("/organizations/acme-corp/activity")
    expect(page.locator("[data-zone]")).to_have_text(["America/New_York"] * 3)  # filter and times
    shown = page.locator("tbody time").first
    assert organization.created_at.strftime("%H:%M:%S") not in shown.inner_text()
    assert "GMT-" in shown.get_attribute("title") or "EST" in shown.get_attribute("title")


@pytest.mark.browser_context_args(timezone_id="America/New_York")
def test_a_zone_that_the_reader_chose_stays(page, mara):
    mara.update(set__time_zone="Asia/Kolkata")
    organization = an_organization("Acme Corp", mara)
    page.goto("/organizations/acme-corp/activity")
    expect(page.locator("[data-zone]")).to_have_text("Asia/Kolkata")
    shown = organization.created_at.astimezone(ZoneInfo("Asia/Kolkata"))
    expect(page.locator("tbody time").first).to_have_text(f"{shown:%-d %b %Y %H:%M:%S}")


def press_twice(page, name):
    """Press a button again while the answer to the first time is on its way; it never arrives."""
    answers = []

    def lose_the_first(route):
        sent = route.request
        if sent.method == "POST" and sent.is_navigation_request() and not answers:
            answers.append(route.fetch(max_redirects=0))
        else:
            route.continue_()

    page.route("**/*", lose_the_first)
    button = page.get_by_role("button", name=name)
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    place = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.click(*place)  # the button's own click would wait for the answer
    while not answers:
        page.wait_for_timeout(10)
    page.mouse.click(*place)
    [answer] = answers
    expect(page).to_have_url(re.compile(answer.headers["location"] + "$"))
    page.unroute("**/*")


def test_a_button_that_is_pressed_twice_leads_where_it_leads_once(page, tenant_db):
    page.goto("/signup")
    # What is told of them moves the button, which is to be pressed twice in one place.
    with page.expect_response("**/organizations/preview*"):
        page.get_by_label("Name of the organization").fill("Acme Corp")
    page.get_by_label("Your e-mail address").fill("mara@acme.example")
    with page.expect_response("**/signup/password"):
        page.get_by_label("Password").fill(PASSWORD)
    press_twice(page, "Sign up")
    expect(page.get_by_role("heading", level=1)).to_have_text("Acme Corp")

    page.goto("/organizations/acme-corp/rename")
    page.get_by_label("New name").fill("Other")
    press_twice(page, "Rename organization")

    page.goto("/organizations/other/delete")
    page.get_by_label("Type the name to confirm").fill("Other")
    press_twice(page, "Delete organization")
    press_twice(page, "Restore")
    assert tenant_db.list_collection_names() == ["org_other"]
