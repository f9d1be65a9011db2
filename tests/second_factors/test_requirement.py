"""An organization that requires a second factor of its members."""

from datetime import timedelta

import pytest

from portal import clock
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization, OrganizationState
from portal.documents.second_factors import AuthenticatorApp
from portal.identity.second_factors import totp
from portal.identity.second_factors.errors import LastSecondFactor, NoSecondFactor
from portal.organizations import directory
from portal.organizations.lifecycle import slugs
from portal.organizations.lifecycle.errors import SlugTaken
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import trash_organization
from portal.organizations.second_factors import requiring
from tests.factories import a_context, a_member, an_account, an_app, an_organization, fresh
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
    return requiring.require_second_factor(organization, day(days), owner.id, a_context(owner))


def is_refused(visitor, path="/organizations/acme-corp"):
    page = visitor.get(path)
    return page.status == 403 and page.heading == "Set up a second factor"


def test_whoever_has_none_is_told_to_set_one_up(app, acme, owner):
    a_member(acme, Role.VIEWER)
    teo = Visitor(app)
    teo.log_in("teo@acme.example")
    assert not is_refused(teo)
    require(acme, owner)
    for path in ("", "/activity", "/settings"):
        assert is_refused(teo, f"/organizations/acme-corp{path}")
    way = teo.get("/organizations/acme-corp").html.main.find("a", string="Set up a second factor")
    assert way["href"] == "/account/security"
    assert Membership.objects(organization=acme.id).count() == 2


@pytest.mark.attack("T2")
def test_programs_of_whoever_has_none_are_refused(app, acme, owner):
    a_member(acme, Role.ADMIN)
    program = Program(app)
    program.log_in("teo@acme.example")
    assert program.get("/org/acme-corp").status_code == 200
    require(acme, owner)
    answer = program.get("/org/acme-corp")
    assert fault(answer) == (403, "second_factor_required", set())
    answer = program.put("/org/update/acme-corp", {"new_organization_name": "Other"})
    assert fault(answer) == (403, "second_factor_required", set())


def test_with_a_factor_it_opens_on_the_next_request(app, acme, owner):
    teo_account = a_member(acme, Role.VIEWER)
    teo = Visitor(app)
    teo.log_in("teo@acme.example")
    require(acme, owner)
    assert is_refused(teo)
    an_app(teo_account)
    assert not is_refused(teo)


def test_it_holds_from_the_day_that_was_chosen(app, acme, owner, time_machine):
    a_member(acme, Role.VIEWER)
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
    account = a_member(acme, Role.VIEWER)
    an_organization("Other", account)
    require(acme, owner)
    teo = Visitor(app)
    teo.log_in("teo@acme.example")
    assert teo.get("/organizations/other").status == 200
    assert teo.get("/organizations").status == 200


@pytest.mark.attack("T1")
def test_strangers_are_not_told_that_it_is_required(app, acme, owner):
    require(acme, owner)
    an_account("eve@evil.example")
    eve = Visitor(app)
    eve.log_in("eve@evil.example")
    assert eve.get("/organizations/acme-corp").status == 404


def test_it_holds_in_the_trash(app, acme, owner):
    a_member(acme, Role.OWNER)
    require(acme, owner)
    trash_organization(fresh(acme), None, a_context(owner))
    teo = Visitor(app)
    teo.log_in("teo@acme.example")
    assert is_refused(teo, f"/trash/{acme.id}")
    assert is_refused(teo, f"/trash/{acme.id}/purge")


def test_the_owner_sees_whom_it_hits_and_sets_a_day(mara, acme, owner):
    a_member(acme, Role.VIEWER)
    page = mara.get(PATH)
    assert "1 member has none yet" in page.text
    assert [row.get_text() for row in page.html.select(".hit li")] == ["teo@acme.example"]
    answer = mara.post(PATH, {"starts_on": day(5).isoformat()})
    assert answer.location == "/organizations/acme-corp/settings"
    assert fresh(acme).second_factor_from.date() == day(5)
    told = f"Required of all members from {day(5):%-d %B %Y} on"
    assert told in mara.get("/organizations/acme-corp/settings").text
    owner.update(time_zone="Pacific/Honolulu")  # where the day of UTC begins on the day before
    assert told in mara.get("/organizations/acme-corp/settings").text


def test_other_days_are_refused(mara, acme):
    for starts_on in ("", "soon", "2026-13-01", "x" * 500, -1, 91, -400):
        typed = day(starts_on).isoformat() if isinstance(starts_on, int) else starts_on
        answer = mara.post(PATH, {"starts_on": typed})
        assert answer.status == 422, typed
        assert answer.fault("starts_on").startswith("Choose a day from")
        shown = answer.html.find(id="starts_on")["value"]
        assert shown == (typed if isinstance(starts_on, int) else "")
    assert fresh(acme).second_factor_from is None


def test_it_can_be_lifted(mara, app, acme, owner):
    a_member(acme, Role.VIEWER)
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


@pytest.mark.attack("T3")
@pytest.mark.parametrize("role", [Role.VIEWER, Role.ADMIN])
def test_only_owners_may_require_it(app, acme, role):
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
    with pytest.raises(LastSecondFactor):
        totp.remove(owner.id, a_context(owner))
    assert AuthenticatorApp.objects
    assert Account.objects.get(id=owner.id).has_second_factor
    requiring.lift_requirement(fresh(acme), a_context(owner))
    totp.remove(owner.id, a_context(owner))
    assert not AuthenticatorApp.objects


def test_requiring_it_and_removing_the_last_factor_at_once_locks_nobody_out(acme, owner):
    for _ in range(3):
        at_once(
            [
                lambda: attempt(lambda: require(fresh(acme), owner)),
                lambda: attempt(lambda: totp.remove(owner.id, a_context(owner))),
            ]
        )
        able = Account.objects.get(id=owner.id).has_second_factor
        assert able or fresh(acme).second_factor_from is None
        requiring.lift_requirement(fresh(acme), a_context(owner))
        an_app(owner)


def attempt(deed):
    try:
        deed()
    except (LastSecondFactor, NoSecondFactor):
        return


def test_it_is_in_the_organizations_trail(acme, owner):
    requiring.lift_requirement(require(acme, owner, 3), a_context(owner))
    events = AuditEvent.objects(chain=acme.id).order_by("-seq").limit(2)
    assert [event.action for event in events] == [
        "organization.second_factor_lifted",
        "organization.second_factor_required",
    ]
    assert events[1].details == {"starts_on": day(3).isoformat()}


# What is left to whoever is held out


@pytest.fixture
def teo(app, acme, owner):
    """The browser of an owner who has no second factor, where one is required."""
    a_member(acme, Role.OWNER)
    teo = Visitor(app)
    teo.log_in("teo@acme.example")
    require(acme, owner)
    return teo


@pytest.fixture
def teo_program(app, teo):
    program = Program(app)
    program.log_in("teo@acme.example")
    return program


def teo_account():
    return Account.objects.get(email="teo@acme.example")


CLAIMS = {
    "create": lambda locked_out: an_organization("Acme Corp", locked_out),
    "rename": lambda locked_out: rename_organization(
        an_organization("Third", locked_out), "Acme Corp", a_context(locked_out)
    ),
    "restore": lambda locked_out: restore_organization(
        trash_organization(an_organization("Third", locked_out), None, a_context(locked_out)),
        "Acme Corp",
        a_context(locked_out),
    ),
}


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_old_addresses_are_not_theirs_to_claim(acme, owner, teo, claim):
    rename_organization(fresh(acme), "Other", a_context(owner))
    assert not slugs.is_free("acme-corp", teo_account().id)
    with pytest.raises(SlugTaken):
        claim(teo_account())
    an_app(teo_account())
    assert slugs.is_free("acme-corp", teo_account().id)
    if claim is CLAIMS["create"]:
        assert claim(teo_account()).slug == "acme-corp"


def test_an_owner_with_a_factor_claims_old_addresses_as_before(acme, owner):
    require(acme, owner)
    rename_organization(fresh(acme), "Other", a_context(owner))
    assert an_organization("Acme Corp", owner).slug == "acme-corp"


def test_they_leave_by_the_page_that_holds_them_out(acme, teo):
    refused = teo.get("/organizations/acme-corp")
    way = refused.html.main.find("a", string="Leave Acme Corp…")["href"]
    page = teo.get(way)
    assert page.heading == "Leave Acme Corp?"
    assert page.html.main.find("a", string="Stay")["href"] == "/organizations"
    assert "/organizations/acme-corp/members" not in str(page.html)
    answer = teo.post(way, {})
    assert (answer.status, answer.location) == (303, "/organizations")
    assert Membership.objects(organization=acme.id).count() == 1
    assert teo.get("/organizations/acme-corp").status == 404


def test_they_leave_by_an_old_address_too(acme, owner, teo):
    rename_organization(fresh(acme), "Other", a_context(owner))
    assert teo.get("/organizations/acme-corp/leave").location == "/organizations/other/leave"


def test_their_programs_leave(acme, teo_program):
    path = f"/org/acme-corp/members/{teo_account().id}"
    key = {"headers": {"Idempotency-Key": "leaving"}}
    assert [teo_program.delete(path, **key).status_code for _ in range(2)] == [200, 200]
    assert Membership.objects(organization=acme.id).count() == 1


def test_the_last_owner_stays_also_without_a_factor(acme, owner, teo):
    Membership.objects(organization=acme.id, account=owner.id).delete()
    answer = teo.post("/organizations/acme-corp/leave", {})
    assert answer.status == 409
    assert Membership.objects.get().account == teo_account().id


@pytest.mark.attack("T2")
def test_leaving_is_all_that_they_may(acme, owner, teo, teo_program):
    for path in ("members", "rename", "delete", "activity.csv", "keys", "ownership"):
        assert is_refused(teo, f"/organizations/acme-corp/{path}"), path
    assert is_refused(teo, "/organizations/preview?organization_name=x&renames=acme-corp")
    answer = teo_program.delete(f"/org/acme-corp/members/{owner.id}")
    assert fault(answer) == (403, "second_factor_required", set())
    answer = teo_program.delete("/org/delete/acme-corp?purge=true")
    assert fault(answer) == (403, "second_factor_required", set())


def test_their_list_shows_its_name_and_what_opens_it(acme, teo):
    an_organization("Mine", teo_account())
    page = teo.get("/organizations")
    row, mine = page.html.select(".register tbody tr")
    way = row.find("a", string="Needs a second factor")
    assert way["href"] == "/account/security"
    assert row.a["href"] == "/organizations/acme-corp"
    assert not row.find("time")
    assert "2" not in row.get_text()
    assert mine.find("time")
    assert "Needs a second factor" not in mine.get_text()
    an_app(teo_account())
    assert "Needs a second factor" not in teo.get("/organizations").text


def test_the_trash_shows_its_name_and_nothing_is_done_there(acme, owner, teo, teo_program):
    trash_organization(fresh(acme), None, a_context(owner))
    page = teo.get("/trash")
    [row] = page.html.select(".register tbody tr")
    assert row.find("a", string="Needs a second factor")["href"] == "/account/security"
    assert owner.email not in row.get_text()
    assert not row.find("form")
    assert "Purge now…" not in row.get_text()
    for deed in ("restore", "purge"):
        fields = {"csrf_token": teo.token("/organizations/new"), "confirm_name": "Acme Corp"}
        answer = teo.send(f"/trash/{acme.id}/{deed}", fields)
        assert (answer.status, answer.heading) == (403, "Set up a second factor")
    refusals = [
        teo_program.post(f"/org/trash/{acme.id}/restore"),
        teo_program.delete(f"/org/trash/{acme.id}"),
    ]
    assert {fault(answer)[:2] for answer in refusals} == {(403, "second_factor_required")}
    assert fresh(acme).state == OrganizationState.TRASHED


def test_the_check_of_a_token_says_yes_for_no_organization_that_holds_them_out(teo_program):
    an_organization("Mine", teo_account())
    answer = teo_program.get("/auth/check").json
    assert answer["organizations"] == [
        {"organization_name": "Mine", "slug": "mine", "role": "owner"}
    ]
    assert answer["second_factor_required"] == [
        {"organization_name": "Acme Corp", "slug": "acme-corp"}
    ]
    an_app(teo_account())
    let_in, locked_out = directory.memberships_of(teo_account().id)
    assert [row["slug"] for row in let_in] == ["acme-corp", "mine"]
    assert locked_out == []


def test_a_call_that_is_repeated_tells_them_no_more(app, acme, owner):
    a_member(acme, Role.OWNER)
    program = Program(app)
    program.log_in("teo@acme.example")
    call = ("/org/update/acme-corp", {"new_organization_name": "ACME"})
    key = {"headers": {"Idempotency-Key": "renaming"}}
    assert program.put(*call, **key).status_code == 200
    require(acme, owner)
    answer = program.put(*call, **key)
    assert fault(answer) == (403, "second_factor_required", set())
    assert "slug" not in answer.text
