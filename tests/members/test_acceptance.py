"""Who is invited joins, by the link that was mailed; each other way in is shut."""

import threading
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from portal import clock
from portal.audit.trail import events_of
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Invitation, InvitationState, Membership, Role
from portal.documents.organizations import Organization, Slug
from portal.documents.sessions import Session
from portal.identity.authentication.passwords import verify_password
from portal.mail import links
from portal.mail.links import LinkPurpose
from portal.organizations.access.lookup import access_to
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.members import accepting, errors, inviting
from portal.organizations.members.mails import INVITE, token_of
from portal.organizations.members.managing import change_role, leave, remove_member
from tests.factories import a_context, a_person, an_account, an_organization, fresh
from tests.members.conftest import LENA, MARA
from tests.members.test_invitations import act
from tests.members.test_members import PATH, role_of
from tests.program import Program
from tests.visitor import PASSWORD

NEW = "another good passphrase"


def ended(page):
    return (page.status, page.heading) == (410, "This invitation no longer works")


def lena():
    return Account.objects.get(email_key=LENA)


# Ways in


def test_who_has_no_account_signs_up_by_the_link_and_is_in(invite, enter):
    link, visitor = invite(role=Role.ADMIN), enter()
    page = visitor.get(link)
    assert page.heading == "Join Acme Corp"
    assert f"{MARA} invites you as an admin" in page.text
    assert page.value("email") == LENA
    assert visitor.post(link, {"password": PASSWORD}).location == PATH
    assert "You are an admin" in visitor.get(PATH).text
    assert lena().verified_at
    event = AuditEvent.objects.get(action="invitation.accepted")
    assert event.session == Session.objects.get(account=lena().id).public_id
    assert len(Organization.objects()) == 1
    assert role_of(lena()) == Role.ADMIN
    events = AuditEvent.objects(chain=lena().id).order_by("seq")
    assert [event.action for event in events] == ["account.address_verified", "account.logged_in"]
    visitor.log_out()
    assert visitor.log_in(LENA).status == 303


def test_another_address_in_the_form_changes_nothing(invite, enter):
    link, visitor = invite(), enter()
    visitor.post(link, {"password": PASSWORD, "email": "evil@evil.example"})
    assert {account.email for account in Account.objects()} == {MARA, LENA}


def test_who_is_logged_in_with_the_verified_address_accepts(invite, enter):
    account = an_account(LENA)
    link, visitor = invite(), enter(LENA)
    assert "You are logged in as lena@acme.example" in visitor.get(link).text
    assert visitor.post(link).location == PATH
    assert role_of(account) == Role.VIEWER
    assert lena().membership_changes == 1
    invitation = Invitation.objects.get()
    assert (invitation.state, invitation.account) == (InvitationState.ACCEPTED, account.id)


def test_who_is_not_logged_in_and_has_a_verified_account_logs_in_first(invite, enter):
    an_account(LENA)
    link, visitor = invite(), enter()
    page = visitor.get(link)
    way = page.html.select_one("main a", string="Log in")["href"]
    assert not page.html.select("main form")
    fields = {"email": LENA, "password": PASSWORD}
    assert visitor.post(way, fields, form_at=way).location == link
    assert visitor.post(link).location == PATH


@pytest.mark.parametrize("logged_in", [True, False])
@pytest.mark.parametrize("password", [PASSWORD, NEW])
def test_the_link_verifies_an_address_that_was_not_and_then_joins(invite, enter, logged_in, password):  # fmt: skip
    an_account(LENA, verified=False)
    visitor = enter(LENA) if logged_in else enter()
    link = invite()
    assert "Your password, or a new one" in visitor.get(link).text
    answer = visitor.post(link, {"password": password})
    assert answer.location == PATH
    assert visitor.get(PATH).status == 200
    account = lena()
    assert account.verified_at
    assert verify_password(password, account.password_hash)
    assert role_of(account) == Role.VIEWER
    assert len(Session.objects(account=account.id)) == 1


def test_an_invitation_is_accepted_on_the_accounts_own_page_without_a_link(invite, enter):
    an_account(LENA)
    invite(role=Role.ADMIN)
    visitor = enter(LENA)
    page = visitor.get("/account/invitations")
    assert "Acme Corp" in page.text
    path = page.html.select_one("main form")["action"]
    assert visitor.post(path, form_at="/account/invitations").location == PATH
    assert role_of(lena()) == Role.ADMIN
    assert "No invitations" in visitor.get("/account/invitations").text


def test_who_joined_stands_in_the_audit_trail(invite, enter, acme):
    enter().post(invite(), {"password": PASSWORD})
    event = events_of(acme.id).rows[0]
    assert (event.words, event.actor_email) == (f"{LENA} joined as viewer", LENA)
    stored = AuditEvent.objects.get(action="invitation.accepted")
    assert (stored.actor, stored.target) == (lena().id, Invitation.objects.get().id)


# Ways in that strangers took elsewhere


@pytest.mark.attack("A4")
def test_a_link_works_once(invite, enter):
    """Replayed."""
    link = invite()
    assert enter().post(link, {"password": PASSWORD}).status == 303
    assert ended(enter().get(link))
    visitor = enter()
    answer = visitor.post(link, {"password": NEW}, form_at="/login")
    assert ended(answer)
    assert len(Account.objects()) == 2
    Membership.objects(account=lena().id).delete()
    assert ended(enter(LENA).get(link)), "it does not bring back who was removed"


@pytest.mark.attack("A4")
def test_a_forwarded_link_is_refused_to_who_is_logged_in_with_another_address(invite, enter):
    """For another address, forwarded."""
    an_account("evil@evil.example")
    link, visitor = invite(), enter("evil@evil.example")
    for page in (visitor.get(link), visitor.post(link, form_at="/organizations/new")):
        assert page.status == 409
        assert page.heading == "This invitation is for somebody else"
        assert "Log out, and you come back to it" in page.text
        assert page.html.select_one("main form")["action"].startswith("/logout?next=")
        assert not any(word in page.text for word in ("Acme Corp", LENA, MARA))
    assert len(Membership.objects()) == 1
    assert Invitation.objects.get().state == InvitationState.OPEN


@pytest.mark.parametrize("has_account", [True, False])
def test_who_logs_out_of_the_wrong_account_comes_back_to_the_invitation(invite, enter, has_account):
    if has_account:
        an_account(LENA)
    an_account("teo@acme.example")
    link, visitor = invite(), enter("teo@acme.example")
    form = visitor.get(link).html.select_one("main form")
    token = {"csrf_token": form.find("input")["value"]}
    for _ in range(2):  # in two tabs
        answer = visitor.send(form["action"], token)
        assert answer.location == (
            f"/login?{urlencode({'next': link}, safe='/')}" if has_account else link
        )
    if has_account:
        entered = visitor.post(
            "/login", {"email": LENA, "password": PASSWORD}, form_at=answer.location
        )
        assert entered.location == link
        assert visitor.post(link).location == PATH
    else:
        assert visitor.post(link, {"password": PASSWORD}).location == PATH


@pytest.mark.attack("C2")
@pytest.mark.parametrize("place", ["//evil.example", "https://evil.example/", "/\\evil.example"])
def test_logging_out_stays_on_the_site(owner, place):
    token = {"csrf_token": owner.token("/organizations/new")}
    for _ in range(2):
        answer = owner.send(f"/logout?{urlencode({'next': place})}", token)
        assert answer.location == "/login"


@pytest.mark.attack("A4", "A7")
def test_an_unverified_address_is_not_enough(invite, enter):
    """Signed up with the invited address, mailbox unseen."""
    an_account(LENA, verified=False)
    invite()
    squatter = enter(LENA)
    assert "not verified yet" in squatter.get("/account/invitations").text
    path = f"/account/invitations/{Invitation.objects.get().id}"
    answer = squatter.post(path, form_at="/organizations/new")
    assert (answer.status, answer.heading) == (403, "Your address is not verified yet")
    assert len(Membership.objects()) == 1


@pytest.mark.attack("A7")
def test_who_signed_up_first_with_the_invited_address_is_out(app, invite, enter):
    squatter = enter()
    squatter.sign_up("Trap", LENA)
    program = Program(app)
    program.log_in(LENA)
    assert program.get("/auth/check").status_code == 200
    link, victim = invite(), enter()
    assert victim.post(link, {"password": NEW}).location == PATH
    assert squatter.get("/organizations").location.startswith("/login")
    assert program.get("/auth/check").status_code == 401
    assert squatter.log_in(LENA).status == 401
    assert victim.get(PATH).status == 200


def test_a_weak_new_password_proves_nothing(invite, enter):
    an_account(LENA, verified=False)
    link, visitor = invite(), enter()
    answer = visitor.post(link, {"password": "short"})
    assert answer.status == 422
    assert "Choose a longer password" in answer.fault("password")
    assert lena().verified_at is None
    assert len(Membership.objects()) == 1


def test_a_weak_password_signs_nobody_up(invite, enter):
    link, visitor = invite(), enter()
    assert visitor.post(link, {"password": "lena@acme.example"}).status == 422
    assert visitor.post(link).status == 422
    assert len(Account.objects()) == 1
    assert Invitation.objects.get().state == InvitationState.OPEN


@pytest.mark.attack("A4")
def test_a_withdrawn_invitation_is_dead(owner, invite, enter):
    link = invite()
    visitor = enter()
    sent = {**visitor.hidden(link), "password": PASSWORD}
    act(owner, Invitation.objects.get(), "withdraw")
    assert ended(visitor.get(link))
    assert ended(visitor.send(link, sent))
    assert len(Account.objects()) == 1


@pytest.mark.attack("A4")
def test_an_invitation_is_good_for_7_days(invite, enter, time_machine):
    link = invite()
    begun = clock.now()
    time_machine.move_to(begun + timedelta(days=7) - timedelta(minutes=1))
    assert enter().get(link).status == 200
    time_machine.move_to(begun + timedelta(days=7, minutes=1))
    assert ended(enter().get(link))
    assert ended(enter().post(link, {"password": PASSWORD}, form_at="/login"))


@pytest.mark.attack("A4")
def test_sent_again_in_another_role_gives_that_role(mara, invite, enter):
    """Changed role."""
    link = invite(role=Role.ADMIN)
    invitation = Invitation.objects.get()
    access = access_to("acme-corp", a_person(mara))
    sent = inviting.resend_invitation(access, invitation.id, a_context(mara), Role.VIEWER)
    assert ended(enter().post(link, {"password": PASSWORD}, form_at="/login"))
    path = f"/invitations/{token_for(sent)}"
    assert enter().post(path, {"password": PASSWORD}).status == 303
    assert role_of(lena()) == Role.VIEWER


def token_for(invitation):
    return links.sign_token(INVITE, {"id": str(invitation.id), "generation": invitation.generation})


@pytest.fixture
def another_mailbox(mara):
    """An account of another spelling of the address that Acme Corp had invited before."""
    access = access_to("acme-corp", a_person(mara))
    inviting.invite(access, "straße@acme.example", Role.ADMIN, a_context(mara))
    return an_account("strasse@acme.example", verified=False)


@pytest.fixture
def other_link(acme, another_mailbox, mailed):
    return mailed("straße@acme.example")[-1]


@pytest.mark.attack("A7")
def test_a_link_to_another_spelling_takes_no_account_over(other_link, another_mailbox, enter):
    """By the mailbox of an address that counts as the same."""
    victim = another_mailbox
    attacker = enter()
    page = attacker.get(other_link)
    assert not page.html.select("main form")
    assert "strasse" not in page.text
    answer = attacker.post(other_link, {"password": NEW}, form_at="/login")
    assert answer.status == 409
    victim.reload()
    assert victim.verified_at is None
    assert verify_password(PASSWORD, victim.password_hash)
    assert not Session.objects(account=victim.id)
    assert role_of(victim) is None


@pytest.mark.attack("A7")
def test_whose_spelling_it_is_verifies_their_own_address_first(other_link, another_mailbox, enter):
    """A forwarded link proves nothing of who it was not sent to."""
    account = another_mailbox
    visitor = enter("strasse@acme.example")
    page = visitor.get(other_link)
    assert "Your address is not verified yet" in page.text
    assert not page.html.select("main form")
    answer = visitor.post(other_link, {"password": PASSWORD}, form_at="/organizations/new")
    assert (answer.status, answer.heading) == (403, "Your address is not verified yet")
    Account.objects(id=account.id).update(set__verified_at=clock.now())
    assert "You are logged in as strasse@acme.example" in visitor.get(other_link).text
    assert visitor.post(other_link).location == PATH


def test_capitals_of_the_domain_are_the_same_mailbox(mara, acme, mailed, enter):
    access = access_to("acme-corp", a_person(mara))
    inviting.invite(access, "lena@ACME.example", Role.VIEWER, a_context(mara))
    enter().sign_up("Lena's", "lena@acme.EXAMPLE")
    assert enter().post(mailed()[-1], {"password": NEW}).location == PATH


def test_who_signs_up_by_a_link_has_the_address_that_it_was_sent_to(mara, acme, mailed, enter):
    """An invitation goes to the account's spelling; its owner may have closed that since."""
    gone = an_account("strasse@acme.example")
    access = access_to("acme-corp", a_person(mara))
    inviting.invite(access, "straße@acme.example", Role.VIEWER, a_context(mara))
    link, visitor = mailed("strasse@acme.example")[-1], enter()
    gone.delete()
    assert visitor.get(link).value("email") == "strasse@acme.example"
    assert visitor.post(link, {"password": PASSWORD}).location == PATH
    assert {account.email for account in Account.objects()} == {MARA, "strasse@acme.example"}


def test_a_link_of_a_version_before_works(invite, enter):
    """It does not say where it was sent."""
    an_account(LENA, verified=False)
    invite()
    content = {"id": str(Invitation.objects.get().id), "generation": 1}
    path = f"/invitations/{links.sign_token(INVITE, content)}"
    assert enter().post(path, {"password": PASSWORD}).location == PATH


@pytest.mark.attack("A4")
@pytest.mark.parametrize("how", ["demoted", "removed", "left"])
def test_it_does_not_come_back_with_the_role_of_who_sent_it(acme, mara, join, mailed, enter, how):
    """After the role of the inviter ended, and began again."""
    ann, by_mara = join("ann@acme.example", Role.ADMIN), access_to("acme-corp", a_person(mara))
    by_ann = access_to("acme-corp", a_person(ann))
    for email in (LENA, "pia@acme.example"):
        inviting.invite(by_ann, email, Role.ADMIN, a_context(ann))
    kept = inviting.invite(by_mara, "ivo@acme.example", Role.ADMIN, a_context(mara))
    [link] = mailed()
    end = {
        "demoted": lambda: change_role(by_mara, ann.id, Role.VIEWER, a_context(mara)),
        "removed": lambda: remove_member(by_mara, ann.id, a_context(mara)),
        "left": lambda: leave(by_ann, ann.id, a_context(ann)),
    }
    end[how]()
    told = [line.words for line in events_of(acme.id).rows[:2]]
    assert told[1] == "Open invitations sent by ann@acme.example withdrawn: 2"
    Membership.objects(account=ann.id).delete()
    Membership(organization=acme.id, account=ann.id, role=Role.ADMIN, since=clock.now()).save()
    assert ended(enter().get(link))
    assert [one.id for one in Invitation.objects(state=InvitationState.OPEN)] == [kept.id]


def test_who_may_invite_still_keeps_their_invitations(acme, mara, join):
    ann = join("ann@acme.example", Role.OWNER)
    inviting.invite(access_to("acme-corp", a_person(ann)), LENA, Role.VIEWER, a_context(ann))
    change_role(access_to("acme-corp", a_person(mara)), ann.id, Role.ADMIN, a_context(mara))
    assert Invitation.objects.get().state == InvitationState.OPEN


@pytest.mark.attack("A4")
@pytest.mark.parametrize("how", ["demoted", "removed", "blocked"])
def test_it_is_dead_once_who_sent_it_may_invite_no_more(acme, join, app, enter, office, mailed, how):  # fmt: skip
    """After the role of the inviter ended."""
    ann = join("ann@acme.example", Role.ADMIN)
    inviting.invite(access_to("acme-corp", a_person(ann)), LENA, Role.ADMIN, a_context(ann))
    [link] = mailed()
    visitor = enter()
    sent = {**visitor.hidden(link), "password": PASSWORD}
    membership = Membership.objects(account=ann.id)
    {
        "demoted": lambda: membership.update(set__role=Role.VIEWER),
        "removed": membership.delete,
        "blocked": lambda: ann.update(set__blocked_at=clock.now()),
    }[how]()
    assert ended(visitor.get(link))
    assert ended(visitor.send(link, sent))
    owner = enter(MARA)
    told = owner.get(f"{PATH}/invitations").text
    assert "its sender may no longer invite: send it again" in told
    act(owner, Invitation.objects.get(), "resend")
    assert visitor.post(mailed()[-1], {"password": PASSWORD}).status == 303


@pytest.mark.attack("A4")
def test_it_can_not_be_accepted_while_the_inviter_is_demoted(acme, mara, join):
    """The role ends in the moment in which the invitation is accepted."""
    ann, account = join("ann@acme.example", Role.ADMIN), an_account(LENA)
    access, by_ann = access_to("acme-corp", a_person(mara)), access_to("acme-corp", a_person(ann))
    for _ in range(10):
        invitation = inviting.invite(by_ann, LENA, Role.VIEWER, a_context(ann))
        happened, ready = [], threading.Barrier(2)

        def accept(invitation=invitation, happened=happened, ready=ready):
            ready.wait()
            try:
                accepting.accept_own(invitation.id, account.id, a_context(account))
                happened.append("joined")
            except errors.InvitationEnded:
                happened.append("refused")

        thread = threading.Thread(target=accept)
        thread.start()
        ready.wait()
        change_role(access, ann.id, Role.VIEWER, a_context(mara))
        thread.join()
        actions = [e.action for e in AuditEvent.objects(chain=acme.id).order_by("-seq")[:2]]
        if happened == ["joined"]:
            assert actions == ["member.role_changed", "invitation.accepted"]
        else:
            assert actions == ["member.role_changed", "invitation.withdrawn_with_role"]
        Membership.objects(account=account.id).delete()
        Membership.objects(account=ann.id).update(set__role=Role.ADMIN)
        Invitation.objects.delete()


@pytest.mark.attack("A4")
def test_a_token_of_another_purpose_or_secret_is_none(invite, enter):
    invite()
    invitation = Invitation.objects.get()
    content = {"id": str(invitation.id), "generation": 1}
    tokens = [
        links.sign_token(LinkPurpose("reset", timedelta(days=1)), content),
        token_of(invitation)[:-2] + "AA",
        links.sign_token(INVITE, {**content, "generation": 2}),
        links.sign_token(INVITE, {**content, "generation": 0}),
        "x", "a.b.c", "%00", "$ne", "x" * 5000,
    ]  # fmt: skip
    for token in tokens:
        assert ended(enter().get(f"/invitations/{token}")), token


@pytest.mark.attack("N4")
def test_it_outlives_a_rename_and_leads_only_to_its_own_organization(acme, mara, invite, enter):
    """Invitations go by id, whoever has the old address now."""
    link = invite()
    rename_organization(acme, "Other", a_context(mara))
    Slug.objects(id="acme-corp").delete()
    an_organization("Acme Corp", an_account("dispatch@kestrel.example"))
    visitor = enter()
    assert visitor.get(link).heading == "Join Other"
    assert visitor.post(link, {"password": PASSWORD}).location == "/organizations/other"
    assert Membership.objects.get(account=lena().id).organization == acme.id


def test_it_sleeps_while_the_organization_is_in_the_trash(owner, acme, invite, enter):
    link, visitor = invite(), enter()
    sent = {**visitor.hidden(link), "password": PASSWORD}
    owner.post(f"{PATH}/delete", {"confirm_name": "Acme Corp"})
    for page in (visitor.get(link), visitor.send(link, sent)):
        assert (page.status, page.heading) == (409, "Not now")
    owner.post(f"/trash/{acme.id}/restore", {"organization_name": "Acme Corp"})
    assert visitor.post(link, {"password": PASSWORD}).location == PATH


def test_it_is_dead_when_the_organization_is_purged(owner, acme, invite, enter):
    link = invite()
    owner.post(f"{PATH}/delete", {"confirm_name": "Acme Corp"})
    owner.post(f"/trash/{acme.id}/purge", {"confirm_name": "Acme Corp"})
    assert fresh(acme).state == "purged"
    assert ended(enter().get(link))


def test_a_member_who_accepts_is_told_and_keeps_the_role(acme, invite, enter):
    account = an_account(LENA)
    link = invite(role=Role.VIEWER)
    Membership(organization=acme.id, account=account.id, role=Role.OWNER, since=clock.now()).save()
    page = enter(LENA).post(link)
    assert (page.status, page.heading) == (409, "You are a member already")
    assert page.html.find("a", string="Back to Acme Corp")
    assert role_of(account) == Role.OWNER


@pytest.mark.attack("T1")
def test_invitations_of_other_addresses_are_out_of_reach(invite, enter):
    invite()
    an_account("evil@evil.example")
    visitor = enter("evil@evil.example")
    for invitation_id in (Invitation.objects.get().id, "x", "0" * 24, "\0"):
        answer = visitor.post(f"/account/invitations/{invitation_id}", form_at="/organizations/new")
        assert answer.status == 404
    assert LENA not in visitor.get("/account/invitations").text
    assert "Acme Corp" not in visitor.get("/account/invitations").text


# At the same moment


def test_two_who_follow_one_link_at_once_make_one_account(invite, enter):
    link = invite()
    visitors = [enter(), enter()]
    forms = [{**visitor.hidden(link), "password": PASSWORD} for visitor in visitors]
    statuses = []

    def run(visitor, sent):
        statuses.append(visitor.send(link, sent).status)

    threads = [
        threading.Thread(target=run, args=pair) for pair in zip(visitors, forms, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(303) == 1
    assert set(statuses) <= {303, 409, 410}
    assert len(Account.objects()) == 2
    assert len(Membership.objects()) == 2


def test_who_signs_up_elsewhere_in_the_meantime_is_asked_for_more(invite, enter):
    link, visitor = invite(), enter()
    sent = {**visitor.hidden(link), "password": PASSWORD}
    an_account(LENA)
    answer = visitor.send(link, sent)
    assert answer.status == 409
    assert "has an account" in answer.text
    assert len(Membership.objects()) == 1


def test_a_form_that_is_clicked_twice_leads_where_the_first_did(invite, enter):
    link, visitor = invite(), enter()
    sent = {**visitor.hidden(link), "email": LENA, "password": PASSWORD}
    cookie = visitor.client.get_cookie("portal_session_test").value
    first = visitor.send(link, sent)
    visitor.client.set_cookie("portal_session_test", cookie)
    second = visitor.send(link, sent)
    assert (first.status, second.status) == (303, 303)
    assert visitor.get(PATH).status == 200
    assert len(Account.objects()) == 2


def test_looking_at_an_invitation_changes_nothing(invite, enter, master_db):
    link = invite()
    before = list(master_db.invitations.find())
    for _ in range(3):
        enter().get(link)
    assert list(master_db.invitations.find()) == before
    assert not Session.objects(account__ne=Account.objects.get(email=MARA).id)


def test_a_link_that_ended_does_not_tell_what_it_was_for(invite, enter):
    link = invite()
    Invitation.objects.update(set__state="withdrawn")
    page = enter().get(link)
    assert not any(word in page.text for word in ("Acme Corp", LENA, MARA))
