"""What a person says of themselves, and how the portal looks to them."""

import pytest

from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.identity.accounts.changing import time_zones
from tests.factories import an_account, an_organization
from tests.visitor import Visitor

MARA = "mara@acme.example"


@pytest.fixture(autouse=True)
def mara(visitor):
    account = an_account(MARA)
    visitor.log_in(MARA)
    return account


def change(visitor, **fields):
    return visitor.post("/account", {"name": "", "time_zone": "", "theme": "auto", **fields})


def test_the_header_calls_a_person_by_their_name(visitor):
    assert visitor.get("/organizations").html.select_one(".who .email").text == MARA
    assert change(visitor, name="  Mara   Tolliver ").status == 303
    assert visitor.get("/organizations").html.select_one(".who .email").text == "Mara Tolliver"
    assert visitor.get("/account").value("name") == "Mara Tolliver"


def test_a_name_may_be_taken_away(visitor):
    change(visitor, name="Mara Tolliver")
    change(visitor)
    assert visitor.get("/organizations").html.select_one(".who .email").text == MARA


@pytest.mark.attack("N1")
@pytest.mark.parametrize("name", ["M", "x" * 81, "Ma\0ra", "Ma\u202era", "<b>Mara</b>", "🙂🙂"])
def test_a_bad_name_is_told_at_the_field(visitor, name):
    answer = change(visitor, name=name)
    assert answer.status == 422
    assert answer.fault("name")
    assert Account.objects.get().name is None


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_theme_is_set_without_a_script(visitor, theme):
    assert "data-theme" not in visitor.get("/account").html.html.attrs
    change(visitor, theme=theme)
    assert visitor.get("/account").html.html["data-theme"] == theme
    change(visitor, theme="auto")
    assert visitor.get("/account").html.html["data-theme"] == "auto"


def test_times_are_shown_in_the_zone_that_was_chosen(visitor, mara, time_machine):
    time_machine.move_to("2026-12-24T23:30:00+00:00")
    an_organization("Acme Corp", mara)
    visitor.log_in(MARA)
    page = visitor.get("/organizations/acme-corp/activity")
    assert page.html.select_one("td time").text == "24 Dec 2026 23:30:00"
    assert page.html.select_one("[data-zone]").text == "UTC"
    assert change(visitor, time_zone="Europe/Berlin").status == 303
    page = visitor.get("/organizations/acme-corp/activity")
    assert page.html.select_one("td time").text == "25 Dec 2026 00:30:00"
    assert page.html.select_one("td time")["title"] == "25 December 2026, 00:30:00 CET"
    assert page.html.select_one("[data-zone]").text == "Europe/Berlin"
    assert page.html.html["data-time-zone"] == "Europe/Berlin"


def test_a_zone_that_this_server_does_not_know_is_utc(visitor):
    Account.objects.update_one(set__time_zone="Mars/Olympus_Mons")
    assert visitor.get("/account").status == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [("time_zone", "Mars/Olympus_Mons"), ("time_zone", "../../etc/passwd"), ("theme", "pink")],
)
def test_what_is_not_offered_is_refused(visitor, field, value):
    answer = change(visitor, **{field: value})
    assert answer.status == 422
    assert answer.fault(field)


def test_the_zones_are_those_of_places():
    assert {"UTC", "Europe/Berlin", "America/Argentina/Ushuaia"} <= set(time_zones())
    assert not [zone for zone in time_zones() if zone.startswith("Etc/")]


def test_a_change_is_in_the_trail_by_the_names_of_its_fields(visitor, mara):
    change(visitor, name="Mara Tolliver", theme="dark")
    change(visitor, name="Mara Tolliver", theme="dark")
    events = AuditEvent.objects(chain=mara.id, action="account.profile_changed")
    assert [event.details for event in events] == [{"fields": "name, theme"}]


def test_strangers_see_the_page_of_nobody(app):
    assert Visitor(app).get("/account").location == "/login?next=/account"
