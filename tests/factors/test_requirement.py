"""An organization that requires a second factor of its members."""

from datetime import timedelta

import pytest

from portal import clock
from portal.accounts.documents import Account
from portal.audit.documents import AuditEvent
from portal.errors import FactorNeeded, NoSecondFactor
from portal.factors import requirement, totp
from portal.factors.documents import AuthenticatorApp
from portal.organizations.documents import ADMIN, OWNER, VIEWER, Membership, Organization
from portal.organizations.trashing import trash_organization
from tests.factories import a_member, an_account, an_app, an_organization, fresh, origin
from tests.processes import at_once
from tests.program import Program, fault
from tests.visitor import Visitor

PATH = "/organizations/acme-corp/second-factor"


@pytest.fixture
def owner():
    account = an_account("mara@acme.example")
    an_app(account)
    return account


@pytest.fixture
def acme(owner):
    return an_organization("Acme Corp", owner)


@pytest.fixture
def mara(app, acme, owner):
    """The owner's browser. It brought the factor that she has."""
    AuthenticatorApp.objects.delete()
    Account.objects(id=owner.id).update_one(set__has_second_factor=False)
    visitor = Visitor(app)
    visitor.log_in()
    Account.objects(id=owner.id).update_one(set__has_second_factor=True)
    return visitor


def day(days=0):
    return (clock.now() + timedelta(days=days)).date()


def require(organization, owner, days=0):
    return requirement.require(organization, day(days), owner.id, origin(owner))


def is_refused(visitor, path="/organizations/acme-corp"):
    page = visitor.get(path)
    return page.status == 403 and page.heading == "Set up a second factor"


def test_whoever_has_none_is_told_to_set_one_up(app, acme, owner):
    a_member(acme, VIEWER)
    teo = Visitor(app)
    teo.log_in("teo@acme.example")
    assert not is_refused(teo)
    require(acme, owner)
    for path in ("", "/activity", "/settings"):
        assert is_refused(teo, f"/organizations/acme-corp{path}")
    way = teo.get("/organizations/acme-corp").html.main.find("a", string="Set up a second factor")
    assert way["href"] == "/account/security"
    assert Membership.objects(organization=acme.id).count() == 2


def test_programs_of_whoever_has_none_are_refused(app, acme, owner):
    """Row T2 of the attacks."""
    a_member(acme, ADMIN)
    program = Program(app)
    program.log_in("teo@acme.example")
    assert program.get("/org/acme-corp").status_code == 200
    require(acme, owner)
    answer = program.get("/org/acme-corp")
    assert fault(answer) == (403, "second_factor_required", set())
    answer = program.put("/org/update/acme-corp", {"new_organization_name": "Other"})
    assert fault(answer) == (403, "second_factor_required", set())


def test_with_a_factor_it_opens_on_the_next_request(app, acme, owner):
    teo_account = a_member(acme, VIEWER)
    teo = Visitor(app)
    teo.log_in("teo@acme.example")
    require(acme, owner)
    assert is_refused(teo)
    an_app(teo_account)
    assert not is_refused(teo)


def test_it_holds_from_the_day_that_was_chosen(app, acme, owner, time_machine):
    a_member(acme, VIEWER)
    require(acme, owner, days=10)
    teo = Visitor(app)
    teo.log_in("teo@acme.example")
    assert not is_refused(teo)
    time_machine.move_to(acme.created_at.replace(hour=23, minute=59) + timedelta(days=9))
    teo.log_in("teo@acme.example")
    assert not is_refused(teo)
    time_machine.move_to(clock.now() + timedelta(minutes=2))
    assert is_refused(teo)


def test_other_organizations_are_not_concerned(app, acme, owner):
    account = a_member(acme, VIEWER)
    an_organization("Other", account)
    require(acme, owner)
    teo = Visitor(app)
    teo.log_in("teo@acme.example")
    assert teo.get("/organizations/other").status == 200
    assert teo.get("/organizations").status == 200


def test_strangers_are_not_told_that_it_is_required(app, acme, owner):
    """Row T1 of the attacks."""
    require(acme, owner)
    an_account("eve@evil.example")
    eve = Visitor(app)
    eve.log_in("eve@evil.example")
    assert eve.get("/organizations/acme-corp").status == 404


def test_it_holds_in_the_trash(app, acme, owner):
    a_member(acme, OWNER)
    require(acme, owner)
    trash_organization(fresh(acme), None, origin(owner))
    teo = Visitor(app)
    teo.log_in("teo@acme.example")
    assert is_refused(teo, f"/trash/{acme.id}")
    assert is_refused(teo, f"/trash/{acme.id}/purge")


def test_the_owner_sees_whom_it_hits_and_sets_a_day(mara, acme):
    a_member(acme, VIEWER)
    page = mara.get(PATH)
    assert "1 member has none yet" in page.text
    assert [row.get_text() for row in page.html.select(".hit li")] == ["teo@acme.example"]
    answer = mara.post(PATH, {"starts_on": day(5).isoformat()})
    assert answer.location == "/organizations/acme-corp/settings"
    assert fresh(acme).second_factor_from.date() == day(5)
    assert "Required of all members from" in mara.get("/organizations/acme-corp/settings").text


@pytest.mark.parametrize("starts_on", ["", "soon", "2026-13-01", "x" * 500, -1, 91, -400])
def test_other_days_are_refused(mara, acme, starts_on):
    typed = day(starts_on).isoformat() if isinstance(starts_on, int) else starts_on
    answer = mara.post(PATH, {"starts_on": typed})
    assert answer.status == 422
    assert answer.fault("starts_on").startswith("Choose a day from")
    assert fresh(acme).second_factor_from is None


def test_it_can_be_lifted(mara, app, acme, owner):
    a_member(acme, VIEWER)
    require(acme, owner)
    answer = mara.post(PATH, {"lift": "y"})
    assert answer.location == "/organizations/acme-corp/settings"
    teo = Visitor(app)
    teo.log_in("teo@acme.example")
    assert not is_refused(teo)


def test_lifting_twice_is_no_error(mara, acme):
    assert mara.post(PATH, {"lift": "y"}).status == 303
    assert not AuditEvent.objects(action="organization.second_factor_lifted")


def test_an_owner_without_a_factor_cannot_lock_the_organization(app):
    teo = Visitor(app)
    teo.sign_up("Acme Corp", "teo@acme.example")
    page = teo.post(PATH, {"starts_on": day().isoformat()})
    assert page.status == 409
    assert page.heading == "You have no second factor"
    assert Organization.objects.get().second_factor_from is None


@pytest.mark.parametrize("role", [VIEWER, ADMIN])
def test_only_owners_may_require_it(app, acme, role):
    """Row T3 of the attacks."""
    a_member(acme, role)
    teo = Visitor(app)
    teo.log_in("teo@acme.example")
    assert teo.get(PATH).status == 403
    answer = teo.post(PATH, {"starts_on": day().isoformat()}, form_at="/organizations/new")
    assert answer.status == 403
    assert fresh(acme).second_factor_from is None


@pytest.mark.parametrize("days", [0, 30])
def test_the_last_factor_stays_while_it_is_required(acme, owner, days):
    require(acme, owner, days)
    with pytest.raises(FactorNeeded):
        totp.remove(owner.id, origin(owner))
    assert AuthenticatorApp.objects
    assert Account.objects.get(id=owner.id).has_second_factor
    requirement.lift(fresh(acme), origin(owner))
    totp.remove(owner.id, origin(owner))
    assert not AuthenticatorApp.objects


def test_requiring_it_and_removing_the_last_factor_at_once_locks_nobody_out(acme, owner):
    for _ in range(3):
        at_once(
            [
                lambda: attempt(lambda: require(fresh(acme), owner)),
                lambda: attempt(lambda: totp.remove(owner.id, origin(owner))),
            ]
        )
        able = Account.objects.get(id=owner.id).has_second_factor
        assert able or fresh(acme).second_factor_from is None
        requirement.lift(fresh(acme), origin(owner))
        an_app(owner)


def attempt(deed):
    try:
        deed()
    except (FactorNeeded, NoSecondFactor):
        return


def test_it_is_in_the_organizations_trail(acme, owner):
    requirement.lift(require(acme, owner, 3), origin(owner))
    events = AuditEvent.objects(chain=acme.id).order_by("-seq").limit(2)
    assert [event.action for event in events] == [
        "organization.second_factor_lifted",
        "organization.second_factor_required",
    ]
    assert events[1].details == {"starts_on": day(3).isoformat()}
