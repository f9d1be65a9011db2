"""API keys as services: what they may be given, how many there are, what is told of them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from bson import ObjectId

from portal import clock
from portal.doctor.chains import find_broken
from portal.documents.api_keys import ApiKey
from portal.documents.audit import AuditEvent
from portal.documents.mails import Mail
from portal.documents.memberships import Role
from portal.documents.organizations import Failure, Strategy
from portal.errors import NotFound, PortalError, SeveralErrors
from portal.identity.api_keys.errors import ApiKeyNotFound
from portal.mail import sender
from portal.organizations.access.errors import Forbidden
from portal.organizations.access.lookup import Access
from portal.organizations.api_keys import managing
from portal.organizations.api_keys.errors import (
    ApiKeyExpired,
    InvalidApiKeyName,
    InvalidExpiry,
    InvalidGrant,
    TooManyApiKeys,
)
from portal.organizations.api_keys.managing import LONGEST_LIFE, MAX_KEYS, OVERLAPS, NewSecret
from portal.organizations.lifecycle import engine
from portal.organizations.lifecycle.engine import RollBack
from portal.organizations.lifecycle.errors import SlugTaken
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.permissions import ALL, FOR_API_KEYS, ROLES, of_api_key
from tests.factories import (
    a_context,
    a_key,
    a_member,
    a_plan,
    an_access,
    an_account,
    an_organization,
    collections_in,
    fresh,
    the_owner,
)
from tests.mail.post_office import text_of


def make(
    organization, name="Nightly export", role=Role.ADMIN, permissions=(), expires_on=None, by=None
):
    account = by or the_owner(organization)
    access = an_access(organization)
    return managing.create_key(access, name, role, permissions, expires_on, a_context(account))


def events(organization):
    return list(AuditEvent.objects(chain=organization.id).order_by("seq"))


def test_a_key_may_at_most_what_an_admin_may_without_keys_and_leaving():
    for_people = {
        "keys.manage",
        "credentials.manage",
        "invitations.manage",
        "organization.leave",
    }
    assert ROLES[Role.ADMIN] - for_people == FOR_API_KEYS
    documents = {name for name in FOR_API_KEYS if name.startswith(("documents.", "indexes."))}
    assert of_api_key(Role.ADMIN) == FOR_API_KEYS - documents
    assert of_api_key(Role.VIEWER) == ROLES[Role.VIEWER] - {"organization.leave"}
    # What was stored by a version that allowed more gives no more.
    assert of_api_key(Role.OWNER) == FOR_API_KEYS - documents
    # Those on documents are chosen one by one, so that no key has gained them.
    assert of_api_key(None, sorted(documents)) == documents
    assert of_api_key(None, ["organization.view", "organization.purge"]) == {"organization.view"}


@pytest.mark.attack("L1")
def test_a_key_belongs_to_the_organization_and_is_stored_as_a_hash(master_db):
    organization = an_organization()
    made = make(organization)
    [stored] = master_db.api_keys.find()
    assert stored["organization"] == organization.id
    assert made.credential.startswith(f"pk_{stored['_id']}_")
    secret = made.credential.split("_", 2)[2]
    assert secret not in str(stored)
    assert secret not in repr(made)
    for name in collections_in(master_db):
        assert secret not in str(list(master_db[name].find()))


NO_KEYS = [
    ({"name": "x"}, InvalidApiKeyName),
    ({"name": "x" * 81}, InvalidApiKeyName),
    ({"name": "a\x00b"}, InvalidApiKeyName),
    ({"name": "a\u202eb"}, InvalidApiKeyName),
    ({"name": "\ud800 x"}, InvalidApiKeyName),
    ({"name": "<b>bold</b>"}, InvalidApiKeyName),
    ({"role": Role.OWNER}, InvalidGrant),
    ({"role": "root"}, InvalidGrant),
    ({"role": None}, InvalidGrant),
    ({"role": Role.ADMIN, "permissions": ["members.view"]}, InvalidGrant),
    ({"role": None, "permissions": ["keys.manage"]}, InvalidGrant),
    ({"role": None, "permissions": ["organization.leave"]}, InvalidGrant),
    ({"role": None, "permissions": ["organization.delete"]}, InvalidGrant),
    ({"role": None, "permissions": ["$where"]}, InvalidGrant),
    ({"expires_on": date(2020, 1, 1)}, InvalidExpiry),
    ({"expires_on": date.max}, InvalidExpiry),
    ({"name": "", "role": "root", "expires_on": date.min}, SeveralErrors),
]


def test_what_is_no_key_is_refused_and_changes_nothing():
    organization = an_organization()
    for given, error in NO_KEYS:
        with pytest.raises(error):
            make(organization, **given)
    assert len(ApiKey.objects()) == 0
    assert [event.action for event in events(organization)] == ["organization.created"]


def test_a_name_may_be_one_that_no_organization_may_have():
    organization = an_organization()
    assert make(organization, "new").key.name == "new"
    assert make(organization, "  ---  ").key.name == "---"


def test_who_makes_a_key_gives_no_more_than_they_have():
    organization = an_organization()
    may = frozenset({"keys.manage", "organization.view", "members.view"})
    access = Access(organization, None, organization.slug, may)
    maker = a_context(the_owner(organization))
    made = managing.create_key(access, "Reads", None, ["members.view"], None, maker)
    assert made.key.permissions == ["members.view"]
    for role, permissions in ((Role.ADMIN, ()), (Role.VIEWER, ()), (None, ["members.manage"])):
        with pytest.raises(Forbidden):
            managing.create_key(access, "More", role, permissions, None, maker)
    stronger = make(organization, role=Role.ADMIN).key
    with pytest.raises(Forbidden):
        managing.rotate_key(access, stronger.id, OVERLAPS[0], maker)


def test_the_last_day_is_whole_and_may_be_today(time_machine):
    organization = an_organization()
    today = clock.now().date()
    key = make(organization, expires_on=today).key
    assert key.expires_at - timedelta(days=1) <= clock.now() < key.expires_at
    [listed] = managing.keys_of(organization)
    assert listed.expires_on == today
    assert not listed.expired
    assert make(organization, expires_on=today + LONGEST_LIFE).key.expires_at
    time_machine.move_to(key.expires_at)
    assert [shown.expired for shown in managing.keys_of(organization)] == [True, False]
    with pytest.raises(ApiKeyExpired):
        managing.rotate_key(
            an_access(organization), key.id, OVERLAPS[0], a_context(the_owner(organization))
        )


def test_an_organization_has_a_hundred_keys_at_most():
    organization, other = an_organization(), an_organization("Other")
    kept = make(organization).key
    hundred = [
        ApiKey(
            organization=organization.id,
            name=f"key {number}",
            role=Role.VIEWER,
            secret_hash="-",
            created_at=clock.now(),
            created_by=ObjectId(),
        )
        for number in range(MAX_KEYS - 1)
    ]
    ApiKey.objects.insert(hundred)
    with pytest.raises(TooManyApiKeys):
        make(organization)
    make(other)
    managing.revoke_key(an_access(organization), kept.id, a_context(the_owner(organization)))
    assert make(organization)


def test_of_many_at_once_no_more_are_made_than_may_be(monkeypatch):
    monkeypatch.setattr(managing, "MAX_KEYS", 3)
    organization = an_organization()
    maker = the_owner(organization)

    def one(number):
        try:
            return make(organization, f"key {number}", by=maker)
        except PortalError as error:
            return error

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(one, range(8)))
    assert sum(isinstance(outcome, TooManyApiKeys) for outcome in outcomes) == 5
    assert len(ApiKey.objects(organization=organization.id)) == 3
    assert [event.action for event in events(organization)][1:] == ["key.created"] * 3


@pytest.mark.parametrize("attempt", range(3))
def test_a_key_that_is_rotated_and_revoked_at_once_is_gone(attempt):
    organization = an_organization()
    key, by = make(organization).key, the_owner(organization)
    access = an_access(organization)

    def one(number):
        try:
            if number == 2:
                return managing.revoke_key(access, key.id, a_context(by))
            return managing.rotate_key(access, key.id, OVERLAPS[2], a_context(by))
        except ApiKeyNotFound as error:
            return error

    with ThreadPoolExecutor(5) as threads:
        outcomes = list(threads.map(one, range(5)))
    rotated = sum(isinstance(outcome, NewSecret) for outcome in outcomes)
    assert len(ApiKey.objects()) == 0
    assert [event.action for event in events(organization)][2:] == [
        *["key.rotated"] * rotated,
        "key.revoked",
    ]


def test_a_creation_that_is_turned_back_leaves_no_keys(monkeypatch):
    plan = engine.PLANS["create"]

    def make_key_and_fail(organization):
        make(organization)
        raise RollBack(Failure.NAME_TAKEN)

    failing = a_plan("create", make_key_and_fail, back=plan.ways[Strategy.COLLECTION].back)
    monkeypatch.setitem(engine.PLANS, "create", failing)
    with pytest.raises(SlugTaken):
        an_organization("Acme Corp")
    assert len(ApiKey.objects()) == 0


@pytest.mark.attack("T1")
def test_keys_of_others_are_none():
    mine, theirs = an_organization(), an_organization("Other")
    key = make(theirs).key
    by = a_context(the_owner(mine))
    for ask in (
        lambda: managing.key_of(mine, str(key.id)),
        lambda: managing.key_of(mine, "no id"),
        lambda: managing.key_of(mine, "$where"),
        lambda: managing.rotate_key(an_access(mine), key.id, OVERLAPS[0], by),
        lambda: managing.revoke_key(an_access(mine), key.id, by),
    ):
        with pytest.raises(ApiKeyNotFound):
            ask()
    assert managing.keys_of(mine) == []
    assert len(managing.keys_of(theirs)) == 1


def test_what_is_done_to_keys_is_in_the_activity():
    organization = an_organization()
    mara = a_member(organization, Role.ADMIN, "mara@acme.example")
    key = make(organization, by=mara).key
    make(organization, "Reads", None, ["audit.view", "members.view"], by=mara)
    managing.rotate_key(an_access(organization), key.id, OVERLAPS[1], a_context(mara))
    managing.revoke_key(an_access(organization), key.id, a_context(mara))
    told = events(organization)[1:]
    actions = ["key.created", "key.created", "key.rotated", "key.revoked"]
    assert [event.action for event in told] == actions
    assert [event.target for event in told if event.details["name"] == "Nightly export"] == [
        key.id
    ] * 3
    assert told[0].details == {"name": "Nightly export", "may": "admin"}
    assert told[1].details == {"name": "Reads", "may": "audit.view, members.view"}
    assert all(event.actor == mara.id for event in told)
    assert not list(find_broken())


def test_an_organization_in_the_trash_gets_no_keys_and_a_purge_removes_them():
    organization = an_organization()
    a_key(organization)
    a_key(an_organization("Other"))
    trashed = trash_organization(organization, None, a_context())
    with pytest.raises(NotFound):
        make(organization)
    assert len(ApiKey.objects(organization=organization.id)) == 1
    purge_organization(trashed, None, a_context())
    assert len(ApiKey.objects(organization=organization.id)) == 0
    assert len(ApiKey.objects()) == 1


@pytest.mark.attack("L1")
def test_owners_are_told_of_a_key_that_may_change_something(app, office):
    """Without the key."""
    mara = an_account("mara@acme.example")
    organization = an_organization("Acme Corp", mara)
    a_member(organization, Role.OWNER, "idris@acme.example")
    teo = a_member(organization, Role.ADMIN, "teo@acme.example")
    make(organization, "Reads", Role.VIEWER)
    make(organization, "Lists", None, ["members.view"])
    assert len(Mail.objects()) == 0
    made = make(organization, "Nightly export", by=teo)
    make(organization, "Renames", None, ["organization.rename"])
    sender.send_due_mails(app)
    assert {m["To"] for m in office.messages} == {"mara@acme.example", "idris@acme.example"}
    message, listed = office.to("idris@acme.example")
    assert message["Subject"] == "Acme Corp has a new API key, Nightly export"
    for kind in ("plain", "html"):
        words = " ".join(text_of(message, kind).split())
        assert "teo@acme.example made the key “Nightly export”" in words
        assert "what an admin may" in words
        assert "http://localhost/organizations/acme-corp/keys" in words
        assert made.credential not in words
        assert made.credential.split("_", 2)[2] not in words
    assert "do this in Acme Corp: rename it." in text_of(listed)


def test_of_a_key_that_was_revoked_before_the_mail_left_nothing_is_told(app, office):
    organization = an_organization()
    key = make(organization).key
    managing.revoke_key(an_access(organization), key.id, a_context(the_owner(organization)))
    sender.send_due_mails(app)
    assert not office.messages


def test_lists_are_by_name_and_one_read(commands):
    organization = an_organization()
    for name in ("zoo", "Acme", "beta"):
        make(organization, name)
    commands.clear()
    listed = managing.keys_of(fresh(organization))
    assert [key.name for key in listed] == ["Acme", "beta", "zoo"]
    assert commands == ["find", "aggregate"]


def test_every_permission_is_a_known_one():
    assert FOR_API_KEYS < ALL
