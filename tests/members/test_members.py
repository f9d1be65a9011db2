"""Members: who may change whom, and that an owner always remains."""

import threading
from dataclasses import replace
from datetime import timedelta
from itertools import combinations_with_replacement, product

import pytest
from bson import ObjectId

from portal import clock
from portal import errors as portal_errors
from portal import settings as portal_settings
from portal.audit.trail import events_of
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.credentials import Credential
from portal.documents.mails import Mail
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization
from portal.mail import sender
from portal.organizations.access import errors as access_errors
from portal.organizations.access.lookup import access_to
from portal.organizations.api_keys import managing as api_keys_managing
from portal.organizations.members import errors, listing, managing, ownership
from portal.web import errors as web_errors
from tests.factories import (
    a_context,
    a_credential,
    a_key,
    a_member,
    a_person,
    an_access,
    an_account,
    an_organization,
)
from tests.mail.post_office import text_of

PATH = "/organizations/acme-corp"


def role_of(account):
    membership = Membership.objects(account=account.id).first()
    return membership and membership.role


def rows(page):
    return [re_text(row.select_one("th")) for row in page.html.select("table.register tbody tr")]


def re_text(found):
    return " ".join(found.get_text(" ").split())


def change_role(visitor, account, role):
    return visitor.post(f"{PATH}/members/{account.id}/role", {"role": role})


def remove(visitor, account):
    return visitor.post(f"{PATH}/members/{account.id}/remove")


def test_members_are_listed_with_role_and_who_is_you(owner, join):
    join("ann@acme.example", Role.VIEWER)
    page = owner.get(f"{PATH}/members")
    assert rows(page) == ["ann@acme.example", "mara@acme.example you"]
    assert "2 members, 1 owner" in page.text
    assert page.html.select_one(".tabs [aria-current]").get_text() == "Members"


def test_a_long_list_of_members_is_paged_both_ways(owner, acme, join, monkeypatch):
    monkeypatch.setattr(listing, "ROWS_PER_PAGE", 2)
    for name in "abcd":
        join(f"{name}@acme.example", Role.VIEWER)
    first = owner.get(f"{PATH}/members")
    second = owner.get(f"{PATH}/members" + first.html.find("a", rel="next")["href"])
    third = owner.get(f"{PATH}/members" + second.html.find("a", rel="next")["href"])
    back = owner.get(f"{PATH}/members" + third.html.find("a", rel="prev")["href"])
    assert rows(first) == ["a@acme.example", "b@acme.example"]
    assert rows(second) == rows(back) == ["c@acme.example", "d@acme.example"]
    assert rows(third) == ["mara@acme.example you"]


def test_only_members_of_the_organization_are_listed(owner, acme):
    an_organization("Kestrel", an_account("dispatch@kestrel.example"))
    assert rows(owner.get(f"{PATH}/members")) == ["mara@acme.example you"]


def test_a_page_that_is_none_leads_to_the_first(owner):
    keys = ("%00", "$gt", "x" * 5000, "zzz", "%ED%A0%80", "[]")
    for name, key in product(("before", "after"), keys):
        page = owner.get(f"{PATH}/members?{name}={key}", follow_redirects=True)
        assert page.status == 200
        assert "mara@acme.example" in page.text


@pytest.mark.attack("T2")
@pytest.mark.parametrize("role", [Role.VIEWER, Role.ADMIN])
def test_a_role_is_changed_at_once_and_told(app, owner, join, enter, office, role):
    before = Role.ADMIN if role == Role.VIEWER else Role.VIEWER
    teo = join("teo@acme.example", before)
    browser = enter("teo@acme.example")
    assert browser.get(f"{PATH}/rename").status == (200 if before == Role.ADMIN else 403)
    assert change_role(owner, teo, role).location == f"{PATH}/members"
    assert role_of(teo) == role
    assert browser.get(f"{PATH}/rename").status == (200 if role == Role.ADMIN else 403)
    sender.send_due_mails(app)
    [message] = office.to("teo@acme.example")
    assert message["Subject"] == f"Your role in Acme Corp is {role}"
    assert f"you are {role} now" in text_of(message)


@pytest.mark.attack("T2")
def test_a_removed_member_is_out_on_the_next_request_and_is_told(app, owner, join, enter, office):
    teo = join("teo@acme.example", Role.ADMIN)
    browser = enter("teo@acme.example")
    assert browser.get(PATH).status == 200
    assert "loses access" in owner.get(f"{PATH}/members/{teo.id}/remove").text
    assert remove(owner, teo).status == 303
    assert browser.get(PATH).status == 404
    sender.send_due_mails(app)
    [message] = office.to("teo@acme.example")
    assert message["Subject"] == "You no longer belong to Acme Corp"


def test_who_leaves_is_out(owner, join, enter):
    teo = join("teo@acme.example", Role.VIEWER)
    browser = enter("teo@acme.example")
    assert browser.post(f"{PATH}/leave").location == "/organizations"
    assert "You left Acme Corp" in browser.get("/organizations").text
    assert browser.get(PATH).status == 404
    assert role_of(teo) is None


def test_what_was_done_to_members_stands_in_the_audit_trail(owner, acme, join, enter):
    teo, pia = join("teo@acme.example", Role.VIEWER), join("pia@acme.example", Role.VIEWER)
    change_role(owner, teo, Role.ADMIN)
    remove(owner, teo)
    enter("pia@acme.example").post(f"{PATH}/leave")
    left, removed, changed = events_of(acme.id).rows[:3]
    assert changed.words == "Role of teo@acme.example changed from viewer to admin"
    assert removed.words == "Removed teo@acme.example, who was admin"
    assert (left.words, left.actor_email) == ("Left; was viewer", "pia@acme.example")
    event = AuditEvent.objects.get(action="member.role_changed")
    assert (event.target, event.details) == (teo.id, {"role_before": "viewer", "role": "admin"})
    assert pia.id == AuditEvent.objects.get(action="member.left").actor


def test_every_change_of_a_membership_is_counted_in_its_account(owner, join, enter):
    teo = join("teo@acme.example", Role.VIEWER)
    change_role(owner, teo, Role.ADMIN)
    assert Account.objects.get(id=teo.id).membership_changes == 1
    remove(owner, teo)
    assert Account.objects.get(id=teo.id).membership_changes == 2


@pytest.mark.each_case
@pytest.mark.attack("T3")
@pytest.mark.parametrize("actor", [Role.VIEWER, Role.ADMIN, Role.OWNER])
@pytest.mark.parametrize("target", [Role.VIEWER, Role.ADMIN, Role.OWNER])
def test_admins_manage_viewers_and_admins_and_owners_owners(join, enter, acme, actor, target):
    join("actor@acme.example", actor)
    teo = join("teo@acme.example", target)
    browser = enter("actor@acme.example")
    may = actor == Role.OWNER or (actor == Role.ADMIN and target != Role.OWNER)
    form = "/organizations/new"
    for path, fields in (("role", {"role": Role.VIEWER}), ("remove", {})):
        address = f"{PATH}/members/{teo.id}/{path}"
        assert browser.get(address).status == (200 if may else 403)
        assert browser.post(address, fields, form_at=form).status == (303 if may else 403)
    assert role_of(teo) == (None if may else target)


@pytest.mark.parametrize("role", ["owner", "", "root", "\0", '{"$ne": ""}'])
def test_nobody_becomes_owner_by_a_change_of_role(owner, join, role):
    teo = join("teo@acme.example", Role.ADMIN)
    answer = change_role(owner, teo, role)
    assert answer.status == 422
    assert answer.fault("role") == "Choose viewer or admin: ownership is offered, and accepted"
    assert role_of(teo) == Role.ADMIN


@pytest.mark.attack("T1")
def test_members_of_others_are_out_of_reach(owner, acme):
    other = an_organization("Kestrel", an_account("dispatch@kestrel.example"))
    theirs = a_member(other, Role.VIEWER, "teo@kestrel.example")
    for account in (theirs.id, ObjectId(), "x", "\0", "$ne"):
        for path in ("role", "remove", "ownership", "ownership/withdraw"):
            address = f"{PATH}/members/{account}/{path}"
            answer = owner.post(address, {"role": Role.ADMIN}, form_at="/organizations/new")
            assert answer.status == 404, address
    assert role_of(theirs) == Role.VIEWER


@pytest.mark.attack("N4")
def test_at_an_old_address_changes_are_refused_and_pages_lead_on(owner, join):
    teo = join("teo@acme.example", Role.VIEWER)
    sent = owner.hidden(f"{PATH}/members/{teo.id}/role")
    owner.post(f"{PATH}/rename", {"organization_name": "Other"})
    page = owner.get(f"{PATH}/members/{teo.id}/role")
    assert (page.status, page.location) == (307, f"/organizations/other/members/{teo.id}/role")
    answer = owner.send(f"{PATH}/members/{teo.id}/role", {**sent, "role": Role.ADMIN})
    assert answer.status == 409
    assert role_of(teo) == Role.VIEWER


# The last owner


def lose_ownership(organization, account, how):
    access = access_to(organization.slug, a_person(account))
    who = a_context(account)
    if how == "leaves":
        managing.leave(access, account.id, who)
    elif how == "is removed":
        managing.remove_member(access, account.id, who)
    else:
        managing.change_role(access, account.id, Role.ADMIN, who)


WAYS = ["leaves", "is removed", "is demoted"]


@pytest.mark.attack("T4")
@pytest.mark.parametrize("how", WAYS)
def test_the_last_owner_stays_one(acme, mara, join, how):
    join("teo@acme.example", Role.ADMIN)
    events = len(AuditEvent.objects())
    with pytest.raises(errors.LastOwner):
        lose_ownership(acme, mara, how)
    assert role_of(mara) == Role.OWNER
    assert len(AuditEvent.objects()) == events
    assert Account.objects.get(id=mara.id).membership_changes == 1


@pytest.mark.attack("T4")
def test_the_last_owner_is_told_what_to_do(owner):
    page = owner.post(f"{PATH}/leave")
    assert page.status == 409
    assert page.heading == "An organization needs an owner"
    assert "Offer ownership to a member first" in page.text
    assert page.html.find("a", string="Back to Acme Corp")["href"] == PATH


@pytest.mark.parametrize("how", WAYS)
def test_an_owner_who_is_not_the_last_goes(acme, mara, join, how):
    join("idris@acme.example", Role.OWNER)
    lose_ownership(acme, mara, how)
    assert role_of(mara) == (Role.ADMIN if how == "is demoted" else None)


@pytest.mark.attack("T4")
@pytest.mark.parametrize("how", WAYS)
def test_an_owner_who_can_not_log_in_is_no_other_owner(acme, mara, join, how):
    idris = join("idris@acme.example", Role.OWNER)
    idris.update(set__blocked_at=clock.now())
    with pytest.raises(errors.LastOwner):
        lose_ownership(acme, mara, how)
    assert role_of(mara) == Role.OWNER
    managing.remove_member(an_access(acme), idris.id, a_context(mara))  # may go all the same
    assert role_of(idris) is None


def at_one_moment(*deeds):
    """Do all at the same moment; what they raised."""
    ready, raised = threading.Barrier(len(deeds)), []

    def run(deed):
        ready.wait()
        try:
            deed()
        except portal_errors.PortalError as error:
            raised.append(type(error))

    threads = [threading.Thread(target=run, args=[deed]) for deed in deeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


@pytest.mark.attack("T4")
@pytest.mark.parametrize(("first", "second"), [*combinations_with_replacement(WAYS, 2)])
def test_of_two_owners_who_go_at_the_same_moment_one_stays(acme, mara, join, first, second):
    """Each pair of ways, several times."""
    idris = join("idris@acme.example", Role.OWNER)
    for _ in range(5):
        raised = at_one_moment(
            lambda: lose_ownership(acme, mara, first), lambda: lose_ownership(acme, idris, second)
        )
        assert raised == [errors.LastOwner]
        assert Membership.objects(organization=acme.id, role=Role.OWNER).count() == 1
        for account in (mara, idris):
            Membership.objects(organization=acme.id, account=account.id).delete()
            Membership(
                organization=acme.id, account=account.id, role=Role.OWNER, since=acme.created_at
            ).save()


@pytest.mark.attack("T4")
@pytest.mark.slow
def test_of_two_owners_who_demote_each_other_one_stays(acme, mara, join):
    idris = join("idris@acme.example", Role.OWNER)
    ways = {account.id: access_to("acme-corp", a_person(account)) for account in (mara, idris)}

    def demote(by, whom):
        return lambda: managing.change_role(ways[by.id], whom.id, Role.ADMIN, a_context(by))

    for _ in range(20):
        # Who came second is no owner any more.
        assert at_one_moment(demote(mara, idris), demote(idris, mara)) == [access_errors.Forbidden]
        assert Membership.objects(organization=acme.id, role=Role.OWNER).count() == 1
        Membership.objects(organization=acme.id).update(set__role=Role.OWNER)


def test_nothing_changes_in_the_trash(owner, acme, join):
    teo = join("teo@acme.example", Role.VIEWER)
    access = access_to("acme-corp", a_person(Account.objects.get(email="mara@acme.example")))
    owner.post(f"{PATH}/delete", {"confirm_name": "Acme Corp"})
    assert Organization.objects.get().state == "trashed"
    with pytest.raises(portal_errors.NotFound):
        managing.remove_member(access, teo.id, a_context())
    assert role_of(teo) == Role.VIEWER


def test_a_form_that_is_clicked_twice_does_it_once_and_leads_on(owner, join):
    teo = join("teo@acme.example", Role.VIEWER)
    path = f"{PATH}/members/{teo.id}/remove"
    sent = owner.hidden(path)
    assert owner.send(path, sent).location == f"{PATH}/members"
    assert owner.send(path, sent).location == f"{PATH}/members"
    assert len(AuditEvent.objects(action="member.removed")) == 1


def test_a_page_that_ends_a_role_lists_the_keys_that_outlast_it(owner, acme, join):
    teo = join("teo@acme.example", Role.ADMIN)
    access = access_to("acme-corp", a_person(teo))
    api_keys_managing.create_key(access, "Nightly export", Role.ADMIN, (), None, a_context(teo))
    api_keys_managing.create_key(
        access, "Reads", None, ["audit.view"], clock.now().date(), a_context(teo)
    )
    a_key(acme, name="Another's")
    other = an_organization("Kestrel", teo)
    api_keys_managing.create_key(
        an_access(other), "Elsewhere", Role.ADMIN, (), None, a_context(teo)
    )
    for deed in ("remove", "role"):
        page = owner.get(f"{PATH}/members/{teo.id}/{deed}")
        told = re_text(page.html.select_one("main"))
        assert "made 2 API keys, which go on working" in told
        assert "Nightly export, as admin" in told
        assert "Reads, with 1 permission" in told
        assert "Another's" not in told
        assert "Elsewhere" not in told
        assert page.html.select_one(f"main aside a[href='{PATH}/keys']")


def test_a_page_that_ends_a_role_lists_the_credentials_that_outlast_it(owner, acme, join):
    teo = join("teo@acme.example", Role.ADMIN)
    a_credential(acme, name="Weekly report")
    Credential.objects.update(set__created_by=teo.id)
    a_credential(acme, name="Another's")
    for deed in ("remove", "role"):
        page = owner.get(f"{PATH}/members/{teo.id}/{deed}")
        told = re_text(page.html.select_one("main"))
        assert "made a MongoDB user, which goes on working" in told
        assert "Weekly report" in told
        assert "Another's" not in told
        assert page.html.select_one(f"main aside a[href='{PATH}/connect#mongodb-user']")


def test_of_keys_that_work_no_more_nothing_is_said(owner, join, time_machine, enter):
    teo = join("teo@acme.example", Role.ADMIN)
    access, today = access_to("acme-corp", a_person(teo)), clock.now().date()
    api_keys_managing.create_key(access, "Nightly export", Role.ADMIN, (), today, a_context(teo))
    time_machine.move_to(clock.now() + timedelta(days=2))
    page = enter("mara@acme.example").get(f"{PATH}/members/{teo.id}/remove")
    assert "Nightly export" not in page.text
    assert "None of theirs works" in page.text


@pytest.fixture
def limited(settings):
    """Limits are on; few members are made admin in a minute."""
    portal_settings.activate(replace(settings, rate_limits=True, member_change_limit=3))
    yield
    portal_settings.activate(settings)


def test_a_role_is_toggled_so_often_a_minute_and_no_more(acme, join, mara, limited):
    """Each change mails somebody. Taking a role away is possible always."""
    teo, access = join("teo@acme.example", Role.VIEWER), access_to("acme-corp", a_person(mara))
    for _ in range(3):
        managing.change_role(access, teo.id, Role.ADMIN, a_context(mara))
        managing.change_role(access, teo.id, Role.VIEWER, a_context(mara))
    with pytest.raises(web_errors.TooManyAttempts):
        managing.change_role(access, teo.id, Role.ADMIN, a_context(mara))
    assert role_of(teo) == Role.VIEWER
    assert len(Mail.objects(kind="role_changed")) == 6
    Membership.objects(account=teo.id).update(set__role=Role.ADMIN)
    managing.change_role(access, teo.id, Role.VIEWER, a_context(mara))
    managing.remove_member(access, teo.id, a_context(mara))


def test_offers_and_keys_count_as_changes_of_members_do(acme, join, mara, limited):
    """One limit for all that members have the portal mail."""
    teo, access = join("teo@acme.example", Role.VIEWER), access_to("acme-corp", a_person(mara))
    managing.change_role(access, teo.id, Role.ADMIN, a_context(mara))
    api_keys_managing.create_key(access, "Nightly export", Role.ADMIN, (), None, a_context(mara))
    ownership.offer_ownership(access, teo.id, True, a_context(mara))
    ownership.withdraw_offer(access, teo.id, a_context(mara))
    for refused in (
        lambda: managing.change_role(access, teo.id, Role.ADMIN, a_context(mara)),
        lambda: api_keys_managing.create_key(
            access, "Another", Role.ADMIN, (), None, a_context(mara)
        ),
        lambda: ownership.offer_ownership(access, teo.id, True, a_context(mara)),
    ):
        with pytest.raises(web_errors.TooManyAttempts):
            refused()
    other = an_organization("Kestrel", mara)
    api_keys_managing.create_key(
        an_access(other), "Elsewhere", Role.ADMIN, (), None, a_context(mara)
    )
