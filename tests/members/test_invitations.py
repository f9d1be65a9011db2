"""Invitations: sent, listed, sent again, withdrawn."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from bson import ObjectId

from portal import clock
from portal import settings as portal_settings
from portal.audit.trail import events_of
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Invitation, Role
from portal.mail import sender
from portal.organizations.access.lookup import access_to
from portal.organizations.members import errors, inviting, listing
from portal.web import errors as web_errors
from tests.factories import (
    a_context,
    a_person,
    an_access,
    an_account,
    an_organization,
    collections_in,
    fresh,
)
from tests.mail.post_office import text_of
from tests.members.conftest import LENA, MARA
from tests.members.test_members import PATH, re_text
from tests.stopwatch import take_as_long, work_seconds

MEMBERS = f"{PATH}/members"


def send(visitor, email=LENA, role=Role.VIEWER):
    return visitor.post(f"{PATH}/invitations", {"email": email, "role": role}, form_at=MEMBERS)


def act(visitor, invitation, deed):
    path = f"{PATH}/invitations/{invitation.id}/{deed}"
    return visitor.post(path, form_at="/organizations/new")


def listed(visitor):
    """Address and state of each row."""
    rows = visitor.get(f"{PATH}/invitations").html.select("tbody tr")
    return [(re_text(row.th), re_text(row.select("td")[3])) for row in rows]


def test_an_invitation_is_mailed_and_listed(app, owner, office):
    page = owner.get(send(owner, role=Role.ADMIN).location)
    assert f"An invitation is on its way to {LENA}." in page.text
    assert LENA in re_text(page.html.select_one("table"))
    sender.send_due_mails(app)
    [message] = office.to(LENA)
    assert message["Subject"] == "mara@acme.example invites you to Acme Corp"
    text = text_of(message)
    assert "invites you to Acme Corp, as admin" in text
    assert "http://localhost/invitations/" in text
    assert "http://localhost/invitations/" in text_of(message, "html")


@pytest.mark.attack("A4")
def test_nothing_in_the_database_opens_an_invitation(owner, mailed, master_db):
    send(owner)
    [link] = mailed()
    token = link.removeprefix("/invitations/")
    stored = [str(d) for name in collections_in(master_db) for d in master_db[name].find()]
    assert not any(token in document for document in stored)


@pytest.mark.attack("L1")
def test_no_line_of_the_log_has_a_link_in_it(owner, mailed, enter, log):
    send(owner)
    [link] = mailed()
    assert enter().get(link).status == 200
    enter().get(f"{link}/")
    assert link.removeprefix("/invitations/") not in log.text
    assert "/invitations/…" in {event["path"] for event in log.named("request.answered")}


WRONG = [
    ("", Role.VIEWER, "email"),
    ("lena", Role.VIEWER, "email"),
    ("lena@acme.example\0", Role.VIEWER, "email"),
    ("a@b\nBcc: c@d", Role.VIEWER, "email"),
    ("x" * 10_000, Role.VIEWER, "email"),
    (LENA, "owner", "role"),
    (LENA, "", "role"),
    (LENA, '{"$gt": ""}', "role"),
]


def test_what_is_wrong_is_told_at_its_field_and_nothing_is_sent(owner):
    for email, role, field in WRONG:
        answer = send(owner, email, role)
        assert answer.status == 422
        assert answer.fault(field), (email, role)
    assert not Invitation.objects()


def test_a_member_is_not_invited(owner, join):
    join("teo@acme.example", Role.VIEWER)
    answer = send(owner, "TEO@Acme.example")
    assert answer.status == 409
    assert "is a member: change the role instead" in answer.fault("email")
    assert not Invitation.objects()


def test_who_became_a_member_meanwhile_is_not_invited_again(owner, join):
    send(owner)
    join(LENA, Role.VIEWER)
    answer = act(owner, Invitation.objects.get(), "resend")
    assert (answer.status, answer.heading) == (409, "Nothing was changed")


def test_an_address_has_one_open_invitation(owner):
    send(owner)
    answer = send(owner, "LENA@ACME.example", Role.ADMIN)
    assert answer.status == 409
    assert "has an invitation: send that again, or withdraw it first" in answer.fault("email")
    assert [invitation.role for invitation in Invitation.objects()] == [Role.VIEWER]


def test_of_many_who_invite_one_address_at_once_one_does(acme, mara):
    access, refused = access_to("acme-corp", a_person(mara)), []

    def run():
        try:
            inviting.invite(access, LENA, Role.VIEWER, a_context(mara))
        except errors.AlreadyInvited as error:
            refused.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(refused), len(Invitation.objects())) == (7, 1)
    assert len(AuditEvent.objects(action="invitation.sent")) == 1


def test_two_organizations_invite_one_address(owner, enter):
    send(owner)
    an_organization("Kestrel", an_account("dispatch@kestrel.example"))
    other = enter("dispatch@kestrel.example")
    fields = {"email": LENA, "role": Role.VIEWER}
    path = "/organizations/kestrel"
    answer = other.post(f"{path}/invitations", fields, form_at=f"{path}/members")
    assert answer.status == 303
    assert len(Invitation.objects()) == 2


@pytest.mark.attack("T3")
def test_viewers_neither_invite_nor_see_who_is_invited(owner, join, enter):
    send(owner)
    join("teo@acme.example", Role.VIEWER)
    viewer = enter("teo@acme.example")
    page = viewer.get(MEMBERS)
    assert "Invite a member" not in page.text
    assert LENA not in page.text
    assert viewer.get(f"{PATH}/invitations").status == 403
    path = f"{PATH}/invitations"
    assert viewer.post(path, {"email": "x@y.example"}, form_at="/organizations/new").status == 403
    for deed in ("resend", "withdraw"):
        assert act(viewer, Invitation.objects.get(), deed).status == 403


def test_sent_again_it_is_another_link_for_7_days_from_now(owner, mailed, enter, time_machine):
    send(owner)
    [first] = mailed()
    time_machine.move_to(clock.now() + timedelta(days=5))
    owner = enter(MARA)
    assert act(owner, Invitation.objects.get(), "resend").location == MEMBERS
    invitation = Invitation.objects.get()
    assert invitation.generation == 2
    assert timedelta(days=6.9) < invitation.expires_at - clock.now() <= timedelta(days=7)
    first_again, second = mailed()
    assert first_again == first != second
    assert enter().get(first).status == 410
    assert enter().get(second).status == 200


def test_a_mail_that_was_overtaken_is_not_sent(app, owner, office):
    send(owner)
    act(owner, Invitation.objects.get(), "resend")
    sender.send_due_mails(app)
    assert len(office.to(LENA)) == 1
    send(owner, "other@acme.example")
    act(owner, Invitation.objects.get(email="other@acme.example"), "withdraw")
    sender.send_due_mails(app)
    assert not office.to("other@acme.example")


def test_a_withdrawn_address_can_be_invited_again(owner):
    send(owner)
    act(owner, Invitation.objects.get(), "withdraw")
    assert send(owner).status == 303
    assert len(Invitation.objects()) == 2


@pytest.mark.parametrize("deed", ["resend", "withdraw"])
def test_what_has_ended_is_neither_sent_again_nor_withdrawn(owner, deed):
    send(owner)
    act(owner, Invitation.objects.get(), "withdraw")
    answer = act(owner, Invitation.objects.get(), deed)
    assert (answer.status, answer.heading) == (409, "This invitation has ended")


def test_all_stay_listed_in_words_open_ones_first(owner, enter, time_machine, acme):
    for email in ("a@acme.example", "b@acme.example"):
        send(owner, email)
    act(owner, Invitation.objects.get(email="b@acme.example"), "withdraw")
    time_machine.move_to(clock.now() + timedelta(days=8))
    owner = enter(MARA)
    send(owner, "c@acme.example")
    assert listed(owner) == [
        ("c@acme.example", "expires in 7 days"),
        ("a@acme.example", "expired a day ago"),
        ("b@acme.example", "withdrawn 8 days ago"),
    ]


def test_a_long_list_is_paged_both_ways(owner, monkeypatch):
    monkeypatch.setattr(listing, "ROWS_PER_PAGE", 2)
    for name in "abcde":
        send(owner, f"{name}@acme.example")
    act(owner, Invitation.objects.get(email="e@acme.example"), "withdraw")
    path = f"{PATH}/invitations"
    pages = [owner.get(path)]
    while onwards := pages[-1].html.find("a", rel="next"):
        pages.append(owner.get(path + onwards["href"]))
    seen = [[re_text(row) for row in page.html.select("tbody th")] for page in pages]
    assert [[email[0] for email in emails] for emails in seen] == [["d", "c"], ["b", "a"], ["e"]]
    back = owner.get(path + pages[2].html.find("a", rel="prev")["href"])
    assert [re_text(row) for row in back.html.select("tbody th")] == seen[1]


@pytest.mark.attack("T1")
def test_invitations_of_others_are_out_of_reach(owner, acme):
    kestrel = an_account("dispatch@kestrel.example")
    an_organization("Kestrel", kestrel)
    theirs = inviting.invite(
        access_to("kestrel", a_person(kestrel)), LENA, Role.VIEWER, a_context(kestrel)
    )
    for invitation_id in (theirs.id, ObjectId(), "x", "\0", "$ne"):
        for deed in ("resend", "withdraw"):
            path = f"{PATH}/invitations/{invitation_id}/{deed}"
            assert owner.post(path, form_at="/organizations/new").status == 404
    assert Invitation.objects.get().to_mongo() == theirs.to_mongo()
    assert LENA not in owner.get(f"{PATH}/invitations").text


def test_what_was_done_stands_in_the_audit_trail(owner, acme):
    send(owner)
    invitation = Invitation.objects.get()
    act(owner, invitation, "resend")
    act(owner, invitation, "withdraw")
    told = [event.words for event in events_of(acme.id).rows[:3]]
    assert told == [
        f"Invitation of {LENA} withdrawn",
        f"Invited {LENA} again, as viewer",
        f"Invited {LENA} as viewer",
    ]
    events = AuditEvent.objects(action__startswith="invitation.")
    assert {event.target for event in events} == {invitation.id}


def test_a_purge_ends_the_invitations(owner, acme):
    send(owner)
    owner.post(f"{PATH}/delete", {"confirm_name": "Acme Corp"})
    assert len(Invitation.objects()) == 1
    owner.post(f"/trash/{acme.id}/purge", {"confirm_name": "Acme Corp"})
    assert fresh(acme).state == "purged"
    assert not Invitation.objects()


@pytest.mark.attack("A2")
def test_an_address_with_an_account_is_invited_like_one_without(owner, acme, mara, commands):
    an_account("known@acme.example")
    known, unknown = (send(owner, f"{name}@acme.example") for name in ("known", "unknown"))
    assert (known.status, known.location) == (unknown.status, unknown.location)
    access = access_to("acme-corp", a_person(mara))

    sent = set()

    def seconds(email):
        commands.clear()
        taken = work_seconds(lambda: inviting.invite(access, email, Role.VIEWER, a_context(mara)))
        sent.add(tuple(commands))
        return taken

    def pairs(row):
        names = [f"known{row}.{n}" for n in range(10)]
        for name in names:
            an_account(f"{name}@acme.example")
        return [(f"{name}@acme.example", f"un{name}@acme.example") for name in names]

    assert take_as_long(seconds, pairs)
    assert len(sent) == 1


def test_an_address_is_sent_three_a_minute_whether_new_or_again(settings, owner, mara, acme):
    """Sending again is no way around the limit of the address, which is that of all spellings."""
    access = access_to("acme-corp", a_person(mara))
    invitation = inviting.invite(access, LENA, Role.VIEWER, a_context(mara))
    portal_settings.activate(replace(settings, rate_limits=True, address_mail_limit=2))
    try:
        for _ in range(2):
            inviting.resend_invitation(access, invitation.id, a_context(mara))
        with pytest.raises(web_errors.TooManyAttempts):
            inviting.resend_invitation(access, invitation.id, a_context(mara))
        kestrel = an_organization("Kestrel", mara)
        with pytest.raises(web_errors.TooManyAttempts):
            inviting.invite(an_access(kestrel), LENA, Role.VIEWER, a_context(mara))
    finally:
        portal_settings.activate(settings)
    assert Invitation.objects.get().generation == 3


@pytest.mark.parametrize("expired", [False, True])
def test_an_admins_invitation_is_sent_again_by_who_was_there_lately(owner, time_machine, expired):
    """As it is sent the first time: whoever finds a browser open makes nobody an admin."""
    send(owner, role=Role.ADMIN)
    send(owner, "viewer@acme.example")
    if expired:
        past = clock.now() - timedelta(days=1)
        Invitation.objects.update(set__expires_at=past)
    time_machine.move_to(clock.now() + timedelta(minutes=16))
    answer = act(owner, Invitation.objects.get(role=Role.ADMIN), "resend")
    assert answer.location.startswith("/account/confirm")
    assert Invitation.objects.get(role=Role.ADMIN).generation == 1
    assert act(owner, Invitation.objects.get(role=Role.VIEWER), "resend").location == MEMBERS
    assert Invitation.objects.get(role=Role.VIEWER).generation == 2
