"""Ownership changes hands by an offer that is accepted, and by nothing else."""

import pytest

from portal import clock
from portal.audit.trail import events_of
from portal.doctor.chains import find_broken
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Membership, Role
from portal.mail import sender
from portal.organizations.access.lookup import access_to
from portal.organizations.members import errors, managing, ownership
from tests.factories import a_context, a_person
from tests.mail.post_office import text_of
from tests.members.test_members import PATH, at_one_moment, role_of

TEO, IDRIS = "teo@acme.example", "idris@acme.example"


@pytest.fixture
def teo(acme, join):
    """A viewer of Acme Corp."""
    return join(TEO, Role.VIEWER)


def offer(visitor, account, role=Role.OWNER):
    return visitor.post(f"{PATH}/members/{account.id}/ownership", {"role": role})


def the_offer(account):
    return Membership.objects.get(account=account.id).offer


def mails_to(app, office, email):
    sender.send_due_mails(app)
    return {message["Subject"]: text_of(message) for message in office.to(email)}


@pytest.mark.parametrize(("role", "afterwards"), [(Role.OWNER, "stays an owner"), (Role.ADMIN, "becomes an admin")])  # fmt: skip
def test_who_accepts_is_an_owner_and_the_giver_what_the_offer_says(
    app, owner, mara, teo, enter, office, role, afterwards
):
    assert offer(owner, teo, role).location == f"{PATH}/members"
    assert (role_of(mara), role_of(teo)) == (Role.OWNER, Role.VIEWER)
    told = mails_to(app, office, TEO)["mara@acme.example offers you ownership of Acme Corp"]
    assert f"http://localhost{PATH}/ownership" in told
    assert afterwards in told
    browser = enter(TEO)
    assert browser.get(f"{PATH}/members").html.find("a", string="See the offer")
    assert afterwards in browser.get(f"{PATH}/ownership").text
    assert browser.post(f"{PATH}/ownership").location == f"{PATH}/members"
    assert (role_of(mara), role_of(teo)) == (role, Role.OWNER)
    assert owner.get(f"{PATH}/delete").status == (200 if role == Role.OWNER else 403)
    assert the_offer(teo) is None


def test_an_offer_that_is_declined_changes_nothing(owner, mara, teo, enter):
    offer(owner, teo)
    browser = enter(TEO)
    hidden = browser.hidden(f"{PATH}/ownership")
    assert browser.send(f"{PATH}/ownership/decline", hidden).status == 303
    assert (role_of(mara), role_of(teo), the_offer(teo)) == (Role.OWNER, Role.VIEWER, None)
    assert browser.get(f"{PATH}/ownership").status == 409


def test_an_offer_that_is_withdrawn_can_not_be_accepted_and_that_is_told(
    app, owner, teo, enter, office
):
    offer(owner, teo)
    browser = enter(TEO)
    sent = browser.hidden(f"{PATH}/ownership")
    path = f"{PATH}/members/{teo.id}"
    assert "Withdraw the offer" in owner.get(f"{path}/role").text
    assert owner.post(f"{path}/ownership/withdraw", form_at=f"{path}/role").status == 303
    answer = browser.send(f"{PATH}/ownership", sent)
    assert (answer.status, answer.heading) == (409, "This offer has ended")
    assert role_of(teo) == Role.VIEWER
    told = mails_to(app, office, TEO)
    assert list(told) == ["The offer of ownership of Acme Corp has ended"]


def test_what_an_owner_offered_who_is_blocked_waits(owner, mara, teo, enter):
    offer(owner, teo)
    browser = enter(TEO)
    sent = browser.hidden(f"{PATH}/ownership")
    mara.update(set__blocked_at=clock.now())
    assert browser.get(f"{PATH}/ownership").status == 409
    assert browser.send(f"{PATH}/ownership", sent).status == 409
    assert role_of(teo) == Role.VIEWER
    mara.update(unset__blocked_at=True)
    assert browser.post(f"{PATH}/ownership").location == f"{PATH}/members"


def test_another_owner_can_withdraw_an_offer(owner, teo, join, enter):
    offer(owner, teo)
    join(IDRIS, Role.OWNER)
    path = f"{PATH}/members/{teo.id}"
    assert enter(IDRIS).post(f"{path}/ownership/withdraw", form_at=f"{path}/role").status == 303
    assert the_offer(teo) is None


@pytest.mark.parametrize("how", ["is demoted", "is removed", "leaves", "gives it away"])
def test_an_offer_dies_with_the_givers_ownership_and_that_is_told(
    app, owner, mara, teo, join, enter, office, how
):
    idris = join(IDRIS, Role.OWNER)
    offer(owner, teo)
    browser = enter(TEO)
    sent = browser.hidden(f"{PATH}/ownership")
    access, by = access_to("acme-corp", a_person(idris)), a_context(idris)
    if how == "is demoted":
        managing.change_role(access, mara.id, Role.ADMIN, by)
    elif how == "is removed":
        managing.remove_member(access, mara.id, by)
    elif how == "leaves":
        owner.post(f"{PATH}/leave")
    else:
        ann = join("ann@acme.example", Role.ADMIN)
        offer(owner, ann, Role.ADMIN)
        enter("ann@acme.example").post(f"{PATH}/ownership")
    assert the_offer(teo) is None
    assert browser.send(f"{PATH}/ownership", sent).status == 409
    assert role_of(teo) == Role.VIEWER
    assert "The offer of ownership of Acme Corp has ended" in mails_to(app, office, TEO)
    assert AuditEvent.objects.get(action="ownership.lapsed").target == teo.id


def test_an_offer_ends_with_the_membership_it_was_made_to(owner, teo, join, enter):
    offer(owner, teo)
    browser = enter(TEO)
    sent = browser.hidden(f"{PATH}/ownership")
    owner.post(f"{PATH}/members/{teo.id}/remove")
    assert browser.send(f"{PATH}/ownership", sent).status == 404


def test_only_the_offer_that_was_seen_is_accepted(owner, mara, teo, enter):
    offer(owner, teo, Role.OWNER)
    browser = enter(TEO)
    sent = browser.hidden(f"{PATH}/ownership")
    path = f"{PATH}/members/{teo.id}"
    owner.post(f"{path}/ownership/withdraw", form_at=f"{path}/role")
    offer(owner, teo, Role.ADMIN)
    assert browser.send(f"{PATH}/ownership", sent).status == 409
    assert (role_of(mara), role_of(teo)) == (Role.OWNER, Role.VIEWER)


@pytest.mark.parametrize("value", ["", "x", "\0", "0" * 24])
def test_an_offer_that_is_none_is_refused(owner, teo, enter, value):
    browser = enter(TEO)
    for path in ("", "/decline"):
        sent = {"offer": value}
        form = "/organizations/new"
        assert browser.post(f"{PATH}/ownership{path}", sent, form_at=form).status == 409
    assert role_of(teo) == Role.VIEWER


@pytest.mark.attack("T3")
def test_nobody_accepts_what_was_offered_to_another(owner, teo, join, enter):
    offer(owner, teo)
    join("ann@acme.example", Role.ADMIN)
    sent = {"offer": str(the_offer(teo).id)}
    answer = enter("ann@acme.example").post(f"{PATH}/ownership", sent, form_at="/organizations/new")
    assert answer.status == 409


def test_a_second_offer_and_one_to_an_owner_are_refused(owner, teo, join):
    offer(owner, teo)
    assert offer(owner, teo).heading == "There is an offer already"
    assert offer(owner, join(IDRIS, Role.OWNER)).heading == "There is nothing to offer"


def test_an_offer_has_to_say_what_the_giver_is_then(owner, teo):
    answer = offer(owner, teo, "viewer")
    assert answer.status == 422
    assert answer.fault("role") == "Choose what you are then"
    assert the_offer(teo) is None


@pytest.mark.attack("T3")
def test_admins_offer_no_ownership(teo, join, enter):
    join("ann@acme.example", Role.ADMIN)
    browser = enter("ann@acme.example")
    for path in ("", "/withdraw"):
        answer = browser.post(
            f"{PATH}/members/{teo.id}/ownership{path}",
            {"role": Role.OWNER},
            form_at="/organizations/new",
        )
        assert answer.status == 403


@pytest.mark.attack("T4")
@pytest.mark.slow
def test_an_owner_remains_whether_an_offer_is_accepted_or_the_giver_goes_first(acme, mara, teo):
    """The giver goes in the moment in which the offer is accepted."""
    giving, taking = access_to("acme-corp", a_person(mara)), access_to("acme-corp", a_person(teo))
    for _ in range(20):
        ownership.offer_ownership(giving, teo.id, False, a_context(mara))
        offer_id = str(the_offer(teo).id)
        raised = at_one_moment(
            lambda offer_id=offer_id: ownership.accept_ownership(
                taking, teo.id, offer_id, a_context(teo)
            ),
            lambda: managing.leave(giving, mara.id, a_context(mara)),
        )
        assert raised in ([], [errors.LastOwner])
        assert Membership.objects(organization=acme.id, role=Role.OWNER).count() == 1
        Membership.objects(organization=acme.id).delete()
        for account, role in ((mara, Role.OWNER), (teo, Role.VIEWER)):
            Membership(
                organization=acme.id, account=account.id, role=role, since=acme.created_at
            ).save()


def test_what_was_done_about_ownership_stands_in_the_audit_trail(owner, acme, teo, enter):
    offer(owner, teo, Role.ADMIN)
    enter(TEO).post(f"{PATH}/ownership")
    changed, accepted, offered = events_of(acme.id).rows[:3]
    assert offered.words == "Offered ownership to teo@acme.example"
    assert (accepted.words, accepted.actor_email) == (
        "Accepted ownership from mara@acme.example",
        TEO,
    )
    assert accepted.details == {"role_before": "viewer", "role": "owner"}
    assert changed.words == "Role of mara@acme.example changed from owner to admin"


@pytest.mark.attack("L2")
def test_the_chain_is_whole_where_one_change_writes_two_events(owner, teo, enter):
    offer(owner, teo, Role.ADMIN)
    enter(TEO).post(f"{PATH}/ownership")
    assert not list(find_broken())
