"""Closing an account: the person goes, what they did stays."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from portal.audit.trail import events_of
from portal.doctor.chains import find_broken
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Invitation, InvitationState, Membership, Role
from portal.documents.organizations import Restriction
from portal.documents.sessions import Session
from portal.errors import NotFound
from portal.identity.accounts.changing import change_profile
from portal.identity.accounts.closing import close_account
from portal.identity.accounts.errors import SoleOwner
from portal.organizations.lifecycle import creating
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.members.inviting import invite, withdraw_invitation
from tests.factories import (
    a_context,
    a_member,
    a_suspension,
    an_access,
    an_account,
    an_organization,
    fresh,
    the_owner,
)
from tests.program import Program
from tests.visitor import PASSWORD, Visitor

MARA = "mara@acme.example"


@pytest.fixture(autouse=True)
def mara(visitor):
    account = an_account(MARA)
    visitor.log_in(MARA)
    return account


def close(visitor, email=MARA, password=PASSWORD):
    return visitor.post("/account/close", {"confirm_email": email, "current_password": password})


def account_of(account):
    return Account.objects.get(id=account.id)


def test_an_account_is_closed_by_who_confirms_it(visitor, app):
    answer = close(visitor)
    assert (answer.status, answer.location) == (303, "/login")
    assert "Your account is closed" in visitor.get("/login").text
    assert visitor.get("/account").location.startswith("/login")
    assert Visitor(app).log_in(MARA).status == 401


@pytest.mark.attack("T2")
def test_all_its_sessions_and_tokens_end(visitor, app):
    other, program = Visitor(app), Program(app)
    other.log_in(MARA)
    program.log_in(MARA)
    close(visitor)
    assert other.get("/account").location.startswith("/login")
    assert program.get("/auth/check").status_code == 401
    assert not Session.objects()


def test_nothing_of_the_person_stays_and_the_address_is_free(visitor, app, mara, master_db):
    visitor.post("/account", {"name": "Mara Tolliver", "time_zone": "UTC", "theme": "dark"})
    close(visitor)
    left = master_db.accounts.find_one({"_id": mara.id})
    assert set(left) == {
        "_id", "email_key", "created_at", "membership_changes", "address_generation",
        "audit_head", "closed_at", "has_second_factor",
    }  # fmt: skip
    assert left["email_key"] == f"closed:{mara.id}"
    assert Visitor(app).sign_up("Acme Corp", MARA).status == 303


def test_two_closed_accounts_stand_beside_each_other(visitor, app):
    teo = an_account("teo@acme.example")
    close_account(teo.id, teo.email, PASSWORD, a_context(teo))
    assert close(visitor).status == 303


@pytest.mark.parametrize(
    ("email", "password", "field"),
    [
        ("teo@acme.example", PASSWORD, "confirm_email"),
        ("nothing", PASSWORD, "confirm_email"),
        ("", PASSWORD, "confirm_email"),
        (MARA, "wrong password wrong", "current_password"),
        (MARA, "", "current_password"),
    ],
)
def test_what_is_not_confirmed_is_not_closed(visitor, email, password, field):
    answer = close(visitor, email, password)
    assert answer.status == 422
    assert answer.fault(field)
    assert visitor.get("/account").status == 200


@pytest.mark.attack("T4")
def test_a_last_owner_stays(visitor, mara):
    organization = an_organization("Acme Corp", mara)
    a_member(organization, Role.ADMIN)
    answer = close(visitor)
    assert answer.status == 409
    assert answer.heading == "Somebody must own it"
    assert "last owner of Acme Corp" in answer.text
    assert visitor.get("/organizations/acme-corp").status == 200
    assert account_of(mara).email == MARA


@pytest.mark.attack("T4")
def test_an_owner_who_is_blocked_keeps_nobody_from_being_the_last(visitor, mara):
    other = a_member(an_organization("Acme Corp", mara), Role.OWNER)
    other.update(set__blocked_at=mara.created_at)
    assert "last owner of Acme Corp" in visitor.get("/account/close").text
    assert close(visitor).status == 409
    other.update(unset__blocked_at=True)
    assert close(visitor).status == 303


@pytest.mark.attack("T4")
def test_a_last_owner_of_something_in_the_trash_stays(visitor, mara):
    trash_organization(an_organization("Acme Corp", mara), None, a_context(mara))
    assert close(visitor).status == 409


def test_a_hidden_organization_holds_its_last_owner_and_is_not_named(visitor, mara):
    suspended = an_organization("Acme Corp", mara)
    a_suspension(suspended, Restriction.HIDDEN)
    told = close(visitor).text
    assert "last owner of an organization that is suspended. Ask whoever runs this portal" in told
    an_organization("Kestrel Freight", mara)
    told += close(visitor).text + visitor.get("/account/close").text
    assert "last owner of Kestrel Freight and an organization that is suspended" in told
    assert "Acme" not in told


def test_who_owned_what_is_purged_goes(visitor, mara):
    purge_organization(an_organization("Acme Corp", mara), None, a_context(mara))
    assert close(visitor).status == 303


def test_a_member_leaves_all_organizations(visitor, mara):
    organization = an_organization("Acme Corp")
    Membership(
        organization=organization.id, account=mara.id, role=Role.VIEWER, since=mara.created_at
    ).save()
    close(visitor)
    assert not Membership.objects(account=mara.id)
    event = AuditEvent.objects(chain=organization.id).order_by("-seq").first()
    assert (event.action, event.actor) == ("member.left", mara.id)


def test_what_the_person_has_running_ends_first(visitor, mara, master_db):
    """Its event will name them, so they can't be forgotten before it is written."""
    organization = an_organization("Acme Corp", mara)
    a_member(organization, Role.OWNER)
    running = {
        "kind": "rename", "attempt": 1, "started_at": mara.created_at, "collection": "org_other", "name": "Other",
        "slug": "other", "lease_until": mara.created_at.replace(year=2100), "origin": {"account": mara.id},
    }  # fmt: skip
    master_db.organizations.update_one({}, {"$set": {"operation": running}})
    answer = close(visitor)
    assert answer.status == 409
    assert answer.heading == "Another change is running"
    assert account_of(mara).email == MARA


@pytest.mark.attack("T4")
def test_of_two_owners_who_close_at_the_same_moment_one_stays(mara):
    for n in range(5):
        one = an_account(f"one{n}@acme.example")
        organization = an_organization(f"Acme {n}", one)
        other = a_member(organization, Role.OWNER, f"other{n}@acme.example")

        def closed(account):
            try:
                return close_account(account.id, account.email, PASSWORD, a_context(account))
            except SoleOwner:
                return None

        with ThreadPoolExecutor() as pool:
            answers = list(pool.map(closed, [one, other]))
        assert sorted(answer is None for answer in answers) == [False, True]
        [membership] = Membership.objects(organization=organization.id)
        assert account_of(Account(id=membership.account)).email


def test_a_closed_account_founds_and_says_nothing(visitor, mara):
    """A request that was under way while the account was closed."""
    close(visitor)
    with pytest.raises(NotFound):
        creating.create_organization(mara.id, "Acme Corp", a_context(mara))
    with pytest.raises(NotFound):
        change_profile(mara.id, "Mara Tolliver", "", "auto", a_context(mara))
    assert not Membership.objects()
    assert account_of(mara).name is None


@pytest.fixture
def lived(visitor, mara):
    """An organization with a trail that names Mara as who did it and as whom it was done to."""
    organization = an_organization("Acme Corp", mara)
    a_member(organization, Role.OWNER)
    rename_organization(organization, "Other", a_context(mara))
    fields = {"email": "m.tolliver@acme.example", "current_password": PASSWORD}
    visitor.post("/account/address", fields)
    close(visitor)
    return organization


def test_the_trail_names_the_person_no_more(lived, mara, master_db):
    events = list(master_db.audit_events.find({"actor": mara.id}))
    assert len(events) >= 5
    for event in events:
        for sealed in event["personal"].values():
            assert set(sealed) == {"digest"}
    assert MARA not in str(list(master_db.audit_events.find()))


def test_the_trail_names_others_as_before(visitor, mara, master_db):
    organization = an_organization("Acme Corp")
    before = master_db.audit_events.find_one({"chain": organization.id})
    close(visitor)
    assert master_db.audit_events.find_one({"chain": organization.id}) == before


@pytest.mark.attack("L2")
def test_the_chains_stay_whole(lived):
    assert not list(find_broken())


def test_what_was_done_stays_by_a_closed_account(lived, app):
    assert [line.actor_shown for line in events_of(lived.id).rows] == ["a closed account"] * 3
    teo = Visitor(app)
    teo.log_in("teo@acme.example")
    assert "a closed account" in teo.get("/organizations/other/activity").text
    assert teo.get("/organizations/other").status == 200


def test_the_trash_of_a_closed_account_can_be_opened(visitor, app, mara):
    organization = an_organization("Acme Corp", mara)
    a_member(organization, Role.OWNER)
    trash_organization(organization, None, a_context(mara))
    close(visitor)
    teo = Visitor(app)
    teo.log_in("teo@acme.example")
    assert teo.get("/trash").status == 200
    assert teo.get(f"/trash/{organization.id}").status == 200
    assert fresh(organization).trashed_by == mara.id


def test_the_person_is_told(visitor, letters):
    close(visitor)
    assert letters.to(MARA) == ["Your account is closed"]
    assert MARA in letters.text(MARA, "Your account is closed")


@pytest.mark.parametrize("state", [InvitationState.OPEN, InvitationState.WITHDRAWN, "expired"])
def test_no_invitation_keeps_the_address_whatever_became_of_it(visitor, mara, master_db, state):
    organization = an_organization("Acme Corp")
    owner = the_owner(organization)
    invited = invite(an_access(organization), MARA, Role.VIEWER, a_context(owner))
    if state == InvitationState.WITHDRAWN:
        withdraw_invitation(an_access(organization), invited.id, a_context(owner))
    if state == "expired":
        invited.modify(set__expires_at=mara.created_at)
    close(visitor)
    for collection in ("invitations", "audit_events", "accounts", "organizations"):
        assert MARA not in str(list(master_db[collection].find())), collection
    left = Invitation.objects.get()
    assert (left.email, left.state) == ("a closed account", InvitationState.WITHDRAWN)
    assert not list(find_broken())


def test_an_invitation_that_ends_with_it_is_told_where_it_was_sent(visitor, mara):
    organizations = [an_organization("Acme Corp"), an_organization("Kestrel")]
    for organization in organizations:
        invite(an_access(organization), MARA, Role.VIEWER, a_context(the_owner(organization)))
    close(visitor)
    for organization in organizations:
        told = events_of(organization.id).rows[0]
        assert told.words == "Invitation of a closed account withdrawn"
        assert told.actor_shown == "a closed account"


def test_what_the_person_had_sent_is_withdrawn(visitor, mara):
    organization = an_organization("Acme Corp")
    Membership(
        organization=organization.id, account=mara.id, role=Role.ADMIN, since=mara.created_at
    ).save()
    invite(an_access(organization), "lena@acme.example", Role.VIEWER, a_context(mara))
    close(visitor)
    assert Invitation.objects.get().state == InvitationState.WITHDRAWN
    told = [line.words for line in events_of(organization.id).rows[:2]]
    assert told[1] == "Open invitations sent by a closed account withdrawn: 1"


def test_the_page_says_first_what_only_the_person_owns(visitor, mara):
    assert "You are the last owner" not in visitor.get("/account/close").text
    an_organization("Acme Corp", mara)
    trash_organization(an_organization("Kestrel", mara), None, a_context(mara))
    a_member(an_organization("Shared", mara), Role.OWNER)
    page = visitor.get("/account/close")
    assert "You are the last owner of Acme Corp, Kestrel." in page.text
    assert "Until somebody else owns them" in page.text
