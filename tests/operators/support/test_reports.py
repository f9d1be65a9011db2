"""Faults that people met elsewhere, where somebody looked at what was another's."""

from datetime import timedelta

import pytest

from portal import clock
from portal.database.users import users_in
from portal.documents.accounts import Account
from portal.documents.sessions import Session
from portal.documents.support import SupportGrant
from portal.organizations.access import support
from portal.organizations.access.errors import GrantOver
from portal.organizations.support import reading, tending
from tests.factories import fresh
from tests.visitor import Visitor

from .conftest import CANARY, end

OVER = "Support access has ended"


def the_operator():
    return Account.objects.get(email="ops@portal.example")


def test_a_session_that_looks_lasts_no_longer_than_the_one_before(desk, acme, looking):
    before = set(Session.objects.scalar("expires_at"))
    looking(acme)
    assert set(Session.objects.scalar("expires_at")) == before


def test_who_is_no_operator_any_more_looks_no_more(desk, planted, looking):
    looking(planted)
    the_operator().modify(set__operator_role=None)
    assert desk.get("/organizations/acme-corp/data").heading == OVER
    assert desk.post("/support/leave", form_at="/organizations/acme-corp/data").status == 303


def test_who_is_blocked_is_not_even_told_that(desk, planted, looking):
    looking(planted)
    the_operator().modify(set__blocked_at=clock.now())
    assert desk.get("/organizations/acme-corp/data").location.startswith("/login")


def test_who_lost_the_second_factor_looks_no_more(desk, planted, looking):
    looking(planted)
    the_operator().modify(set__has_second_factor=False)
    assert desk.get("/organizations/acme-corp/data").heading == OVER


def test_ending_all_sessions_ends_the_one_that_looks(desk, planted, looking):
    looking(planted)
    Session.objects(account=the_operator().id).delete()
    assert desk.get("/organizations/acme-corp/data").location.startswith("/login")


def test_who_logs_in_next_at_that_browser_inherits_nothing(desk, visitor, planted, looking):
    visitor.sign_up("Kestrel", "mara@acme.example")
    looking(planted)
    assert desk.post("/logout", form_at="/organizations/acme-corp").status == 303
    assert desk.log_in("mara@acme.example").status == 303
    assert "support access" not in desk.get("/organizations").text
    assert desk.get("/organizations/acme-corp").status == 404


def test_no_page_is_shown_that_cannot_be_recorded(desk, planted, looking, monkeypatch):
    looking(planted)

    def broken(*given, **details):
        raise RuntimeError("the chain is broken")

    monkeypatch.setattr(support, "record", broken)
    refused = desk.get("/organizations/acme-corp/data")
    assert refused.status == 500
    assert CANARY not in refused.text


def test_one_grant_within_another_is_refused(desk, planted, given, looking):
    looking(planted)
    other = given(planted)
    there = f"/operator/organizations/{planted.id}/support/{other.id}/enter"
    assert desk.get(there).heading == "You are looking at a customer’s organization"


def test_a_page_opened_twice_at_once_by_two_tabs_is_counted_twice(desk, planted, looking):
    grant = looking(planted)
    for _ in range(2):
        desk.get("/organizations/acme-corp/members")
    assert SupportGrant.objects.get(id=grant.id).pages == 2


@pytest.mark.parametrize("page", ["/organizations", "/trash", "/account", "/account/security", "/"])
def test_the_operators_own_pages_are_not_shown_meanwhile(desk, planted, looking, page):
    looking(planted)
    seen = desk.get(page, follow_redirects=True)
    assert seen.heading == "You are looking at a customer’s organization"


def test_an_idle_session_ends_at_the_log_in_page(desk, planted, looking, time_machine):
    looking(planted, hours=72)
    time_machine.move_to(clock.now() + timedelta(hours=13))
    assert desk.get("/organizations/acme-corp/data").location.startswith("/login")


def test_a_second_click_on_look_leads_nowhere_wrong(app, desk, planted, given):
    grant = given(planted)
    there = f"/operator/organizations/{planted.id}/support/{grant.id}/enter"
    hidden = desk.hidden(there)
    twin = Visitor(app)
    cookie = app.config["SESSION_COOKIE_NAME"]
    twin.client.set_cookie(cookie, desk.client.get_cookie(cookie).value)
    assert desk.send(there, hidden).location == "/organizations/acme-corp"
    assert twin.send(there, hidden).location.startswith("/login")
    assert desk.get("/organizations/acme-corp").status == 200


def test_a_user_that_is_made_while_the_grant_ends_does_not_stay(
    planted, given, tenant_db, monkeypatch
):
    grant = given(planted)
    make = reading.create_user

    def ended_first(*given):
        end(planted, grant)
        make(*given)

    monkeypatch.setattr(reading, "create_user", ended_first)
    with pytest.raises(GrantOver):
        reading.ensure_user(grant.id)
    assert not users_in(tenant_db, reading.PREFIX)
    assert not SupportGrant.objects.get(id=grant.id).users
    assert fresh(planted).support_users == 0


def test_nor_where_its_maker_died(planted, given, tenant_db, monkeypatch, time_machine):
    grant = given(planted)

    class DiedError(BaseException):
        """As if the process were killed."""

    def made_and_killed(*given):
        make(*given)
        raise DiedError

    make = reading.create_user
    monkeypatch.setattr(reading, "create_user", made_and_killed)
    with pytest.raises(DiedError):
        reading.ensure_user(grant.id)
    assert users_in(tenant_db, reading.PREFIX)
    time_machine.move_to(clock.now() + tending.ABANDONED_AFTER)
    tending.run_once()
    assert not users_in(tenant_db, reading.PREFIX)
    assert fresh(planted).support_users == 0
