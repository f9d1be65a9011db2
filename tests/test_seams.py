"""What one part promises holds where it meets another."""

from dataclasses import replace
from datetime import timedelta

import pytest
from pymongo.errors import ExecutionTimeout

from portal import clock, settings
from portal.database.transactions import transactional
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.mails import Mail
from portal.documents.memberships import Invitation, Membership, Role
from portal.documents.sessions import Session
from portal.errors import NotFound
from portal.identity.accounts.closing import close_account, erase_closed
from portal.identity.second_factors import enrollment
from portal.identity.sessions import sessions
from portal.identity.sessions.errors import NotAuthenticated
from portal.organizations.api_keys import managing
from portal.organizations.lifecycle.errors import OperationInProgress
from portal.organizations.members import inviting
from portal.organizations.members import managing as members_managing
from portal.organizations.members.ownership import offer_ownership
from tests.factories import (
    a_context,
    a_member,
    a_passkey,
    an_access,
    an_account,
    an_app,
    an_organization,
    fresh,
)
from tests.program import Program
from tests.visitor import PASSWORD, Visitor


@pytest.fixture
def limited(app):
    active = settings.current()
    settings.activate(replace(active, rate_limits=True))
    yield
    settings.activate(active)


def from_a_session(account):
    """Where a request of the account comes from, and its session."""
    there = a_context(account)
    opened = transactional(sessions.open_session)(account, there, "A browser")
    return there.acting_as(opened.audit_actor), opened


def a_key_by(account, organization, there):
    return managing.create_key(
        an_access(organization), "Nightly export", Role.ADMIN, (), None, there
    )


@pytest.mark.attack("A7")
def test_a_session_that_was_ended_makes_no_key():
    """The request was under way when the address was proved."""
    mara = an_account("mara@acme.example")
    organization = an_organization("Acme Corp", mara)
    there, _ = from_a_session(mara)
    transactional(sessions.revoke_all)(mara.id)
    with pytest.raises(NotAuthenticated):
        a_key_by(mara, organization, there)
    assert not managing.keys_of(organization)


@pytest.mark.attack("A7")
def test_a_session_that_was_ended_adds_no_factor():
    mara = an_account("mara@acme.example")
    there, opened = from_a_session(mara)
    transactional(sessions.revoke_all)(mara.id)
    with pytest.raises(NotAuthenticated):
        transactional(enrollment.enroll)(opened, "account.app_added", "app", there)
    assert not Account.objects.get().has_second_factor


def test_the_first_second_factor_ends_sessions_that_were_opened_without():
    mara = an_account("mara@acme.example")
    from_a_session(mara)
    an_app(mara)
    assert len(Session.objects(account=mara.id)) == 1


@pytest.mark.attack("A1")
def test_nobody_spends_the_tries_of_anothers_codes(app, limited):
    """By an address that reads like what codes are counted by."""
    mara = an_account("mara@acme.example")
    shown, _ = an_app(mara)
    for name in (f"code of {mara.id}", f"address code of {mara.id}"):
        for _ in range(6):
            Visitor(app).log_in(name, "wrong password wrong")
    browser = Visitor(app)
    browser.log_in()
    answer = browser.post("/login/second", {"code": shown.at(clock.now())})
    assert (answer.status, answer.location) == (303, "/organizations")


@pytest.mark.attack("A1")
@pytest.mark.slow
def test_who_knows_the_password_keeps_the_owners_browser_out_of_nothing(app, limited):
    mara = an_account("mara@acme.example")
    shown, codes = an_app(mara)
    own, evil = Visitor(app), Visitor(app)
    own.log_in()
    assert own.post("/login/second", {"code": shown.at(clock.now())}).status == 303
    evil.log_in()
    hidden = evil.hidden("/login/second")
    tries = [evil.send("/login/second", {**hidden, "code": "000000"}).status for _ in range(9)]
    assert tries == [401] * 5 + [429] * 4
    assert [mail.kind for mail in Mail.objects(kind="wrong_codes")] == ["wrong_codes"]
    own.log_out()
    own.log_in()
    assert own.post("/login/second", {"code": codes[0]}).status == 303


def test_of_log_ins_at_one_moment_none_is_refused(app, limited):
    an_account("mara@acme.example")
    moment = clock.now()
    with pytest.MonkeyPatch.context() as patched:
        times = iter([moment, moment.replace(microsecond=0)] * 50)
        patched.setattr(
            "portal.identity.authentication.attempts.clock.now", lambda: next(times, moment)
        )
        answers = [Program(app).log_in().status_code for _ in range(3)]
    assert answers == [200] * 3


@pytest.mark.attack("T2")
def test_a_removed_admins_request_that_is_under_way_does_nothing():
    """Its transaction is done over after theirs who removed them."""
    organization = an_organization("Acme Corp")
    teo = a_member(organization, Role.ADMIN, "teo@acme.example")
    pia = a_member(organization, Role.VIEWER, "pia@acme.example")
    access = an_access(organization, Role.ADMIN)
    Membership.objects(account=teo.id).delete()
    with pytest.raises(NotFound):
        members_managing.change_role(access, pia.id, Role.ADMIN, a_context(teo))
    with pytest.raises(NotFound):
        inviting.invite(access, "lena@acme.example", Role.ADMIN, a_context(teo))
    with pytest.raises(NotFound):
        a_key_by(teo, organization, a_context(teo))
    assert Membership.objects.get(account=pia.id).role == Role.VIEWER


def test_lists_go_on_after_a_member_closed_their_account(app):
    owner = an_account("mara@acme.example")
    organization = an_organization("Acme Corp", owner)
    teo = a_member(organization, Role.ADMIN, "teo@acme.example")
    key = a_key_by(teo, organization, a_context(teo))
    inviting.invite(
        an_access(organization, Role.ADMIN), "lena@acme.example", Role.VIEWER, a_context(teo)
    )
    close_account(teo.id, "teo@acme.example", PASSWORD, a_context(teo))
    mara = Visitor(app)
    mara.log_in()
    for page in (
        "",
        "/members",
        "/invitations",
        "/keys",
        f"/keys/{key.key.id}/revoke",
        "/activity",
    ):
        assert mara.get(f"/organizations/acme-corp{page}").status == 200, page
    program = Program(app)
    program.log_in()
    for page in ("/members", "/invitations", "/keys", "/audit"):
        assert program.get(f"/org/acme-corp{page}").status_code == 200, page
    assert program.delete(f"/org/acme-corp/keys/{key.key.id}").status_code == 200


def test_nothing_names_who_closed_their_account_in_what_was_done_to_them(app):
    organization = an_organization("Acme Corp", an_account("mara@acme.example"))
    mara = Account.objects.get()
    lena = an_account("lena@acme.example")
    invited = inviting.invite(an_access(organization), lena.email, Role.VIEWER, a_context(mara))
    Invitation.objects(id=invited.id).update_one(set__account=lena.id, set__state="accepted")
    close_account(lena.id, lena.email, PASSWORD, a_context(lena))
    stored = str(list(AuditEvent._get_collection().find())) + str(
        list(Invitation._get_collection().find())
    )
    assert "lena@acme.example" not in stored


def test_who_could_not_be_erased_at_once_is_erased_later(monkeypatch):
    """The process died, or the time was up: an account may have a hundred thousand events."""

    def no_time(account, targets, erase):
        raise ExecutionTimeout("time is up")

    mara = an_account("mara@acme.example")
    organization = an_organization("Acme Corp", mara)
    a_member(organization, Role.OWNER, "idris@acme.example")
    with monkeypatch.context() as patched:
        patched.setattr("portal.identity.accounts.closing.erase_person", no_time)
        close_account(mara.id, mara.email, PASSWORD, a_context(mara))
    assert "mara@acme.example" in str(list(AuditEvent._get_collection().find()))
    assert (erase_closed(), erase_closed()) == (1, 0)
    assert "mara@acme.example" not in str(list(AuditEvent._get_collection().find()))


def test_a_passkey_of_who_closed_their_account_is_gone():
    mara = an_account("mara@acme.example")
    a_passkey(mara)
    close_account(mara.id, mara.email, PASSWORD, a_context(mara))
    assert not enrollment.second_factors_of(mara.id)


def test_what_a_closed_account_offered_ends_and_is_told():
    mara = an_account("mara@acme.example")
    organization = an_organization("Acme Corp", mara)
    a_member(organization, Role.OWNER, "idris@acme.example")
    teo = a_member(organization, Role.VIEWER, "teo@acme.example")
    offer_ownership(an_access(organization), teo.id, True, a_context(mara))
    close_account(mara.id, mara.email, PASSWORD, a_context(mara))
    assert Membership.objects.get(account=teo.id).offer is None
    actions = [e.action for e in AuditEvent.objects(chain=organization.id).order_by("seq")]
    assert actions[-2:] == ["ownership.lapsed", "member.left"]
    assert fresh(organization).audit_head.seq == len(actions)


def test_a_key_with_an_empty_role_is_refused_in_words(app):
    program = Program(app)
    program.sign_up()
    program.log_in()
    asked = {"name": "Export", "role": "", "permissions": ["organization.view"]}
    assert program.post("/org/acme-corp/keys", asked).status_code == 422


def test_leaving_that_is_sent_twice_is_answered_as_the_first_time(app):
    organization = an_organization("Acme Corp")
    teo = a_member(organization, Role.ADMIN, "teo@acme.example")
    program, keyed = Program(app), {"headers": {"Idempotency-Key": "one"}}
    program.log_in("teo@acme.example")
    first = program.delete(f"/org/acme-corp/members/{teo.id}", **keyed)
    second = program.delete(f"/org/acme-corp/members/{teo.id}", **keyed)
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("way", ["invited", "made one"])
def test_nobody_becomes_an_admin_by_a_session_that_was_found_open(app, way, time_machine):
    organization = an_organization("Acme Corp", an_account("mara@acme.example"))
    pia = a_member(organization, Role.VIEWER, "pia@acme.example")
    mara = Visitor(app)
    mara.log_in()
    page = "/organizations/acme-corp/members"
    token = mara.token(page)
    time_machine.move_to(clock.now() + timedelta(minutes=16))
    given = {"csrf_token": token, "role": Role.ADMIN, "email": "lena@acme.example"}
    path = "/organizations/acme-corp/invitations" if way == "invited" else f"{page}/{pia.id}/role"
    assert mara.send(path, given).location.startswith("/account/confirm")
    assert Membership.objects.get(account=pia.id).role == Role.VIEWER
    assert not Invitation.objects
    given["role"] = Role.VIEWER
    assert mara.send(path, given).location == page


def test_what_somebody_left_running_elsewhere_ends_before_their_account_does(master_db):
    teo = an_account("teo@acme.example")
    organization = an_organization("Acme Corp")
    running = {
        "kind": "rename", "origin": {"account": teo.id, "email": teo.email},
        "lease_until": clock.now(), "started_at": clock.now(), "attempt": 1,
    }  # fmt: skip
    master_db.organizations.update_one({"_id": organization.id}, {"$set": {"operation": running}})
    with pytest.raises(OperationInProgress):
        close_account(teo.id, teo.email, PASSWORD, a_context(teo))
