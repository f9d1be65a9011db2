"""Each kind of damage is found and told, and mended where that is safe."""

from collections import Counter
from datetime import timedelta

import pytest
from bson import Binary, ObjectId
from bson.binary import UuidRepresentation

from portal import clock
from portal.app.parts import DOCUMENTS
from portal.audit.trail import delete_chain
from portal.data.lacking_indexes import note_refused
from portal.data.rules.versions import Version, keep_version
from portal.database.transactions import transactional
from portal.doctor import leftovers, members, operations, placements, slugs
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.document_views import DocumentView
from portal.documents.figures import OrganizationFigures
from portal.documents.mails import Mail
from portal.documents.memberships import Membership
from portal.documents.organizations import Organization, OrganizationState, Slug
from portal.documents.sessions import Browser, Session, SessionKind
from portal.identity.authentication.logging_in import log_in
from portal.identity.sessions import sessions
from portal.jobs.managing import start_job
from portal.jobs.running import JobKind
from portal.operators.organizations.notes import add_note
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.members.ownership import offer_ownership
from portal.organizations.usage import rolling
from tests.factories import (
    a_collection,
    a_context,
    a_key,
    a_member,
    a_passkey,
    a_session,
    an_access,
    an_account,
    an_app,
    an_invitation,
    an_organization,
    fresh,
)
from tests.visitor import PASSWORD

pytestmark = pytest.mark.slow


def names(tenant_db):
    return sorted(tenant_db.list_collection_names())


def test_a_stray_collection_is_set_aside_with_its_documents(found, repair, tenant_db):
    an_organization("Acme Corp")
    tenant_db["wild things"].insert_one({"_id": 1})
    assert found() == [("stray_collection", "wild things")]
    [(_, _, did)] = repair()
    aside = did.removeprefix("renamed to ")
    assert names(tenant_db) == sorted([aside, "org_acme_corp"])
    assert aside.startswith("stray_")
    assert tenant_db[aside].find_one() == {"_id": 1}
    for look in (found, repair):
        assert look()[0][:2] == ("set_aside_collection", aside)
    assert names(tenant_db) == sorted([aside, "org_acme_corp"])


def test_limits_and_budgets_of_applications_are_no_strays(found, repair, tenant_db):
    rolling.prepare()
    assert names(tenant_db) == ["portal_budgets", "portal_limits"]
    assert found() == repair() == []


def test_what_a_creation_left_that_was_overtaken_is_a_stray(found, repair, tenant_db):
    organization = an_organization("Acme Corp")
    for owner in (organization.id, ObjectId()):
        tenant_db.create_collection(f"new_{owner}")
    assert len(found()) == 2
    repair()
    assert {kind for kind, _ in found()} == {"set_aside_collection"}
    assert "org_acme_corp" in names(tenant_db)


def test_a_newborn_collection_is_no_stray(found, repair, tenant_db, master_db):
    organization = an_organization("Acme Corp")
    newborn = f"new_{ObjectId()}"
    a_collection(tenant_db, newborn)
    operation = {
        "id": ObjectId(),
        "kind": "create",
        "attempt": 1,
        "started_at": clock.now(),
        "lease_until": clock.now() + timedelta(minutes=1),
        "collection": "org_other",
        "origin": {},
    }
    row = master_db.organizations.find_one({"_id": organization.id})
    placement = {"collection": newborn}
    changes = {"_id": ObjectId(newborn[4:]), "placement": placement, "operation": operation}
    master_db.organizations.insert_one({**row, **changes, "state": OrganizationState.ACTIVE})
    assert "stray_collection" not in {kind for kind, _ in found()}
    repair()
    assert newborn in names(tenant_db)


def test_a_strays_name_that_is_taken_stays_and_is_told(found, repair, tenant_db):
    uuid = a_collection(tenant_db, "wild")
    tenant_db.command({"create": f"stray_{uuid}", "viewOn": "wild", "pipeline": []})
    assert repair() == [("stray_collection", "wild", None)]
    assert found() == [("stray_collection", "wild")]


def test_a_stray_that_got_an_owner_meanwhile_is_left(tenant_db, master_db):
    organization = an_organization("Acme Corp")
    uuid = a_collection(tenant_db, "wild")
    [stray] = placements.find_strays()
    standard = Binary.from_uuid(uuid, UuidRepresentation.STANDARD)
    master_db.organizations.update_one(
        {"_id": organization.id}, {"$set": {"placement.uuid": standard}}
    )
    assert stray.repair() is None
    assert "wild" in names(tenant_db)


def test_the_collection_of_a_purged_organization_is_a_stray(found, tenant_db, master_db):
    organization = an_organization("Acme Corp")
    purge_organization(organization, None, a_context())
    uuid = Binary.from_uuid(a_collection(tenant_db, "org_acme_corp"))
    purged = {"_id": organization.id}
    master_db.organizations.update_one(purged, {"$set": {"placement.uuid": uuid}})
    assert found() == [("stray_collection", "org_acme_corp")]


@pytest.mark.parametrize("trashed", [False, True])
def test_an_organization_without_its_collection_is_told_and_left(
    found, repair, tenant_db, trashed
):  # fmt: skip
    organization = an_organization("Acme Corp")
    if trashed:
        trash_organization(organization, None, a_context())
    [collection] = names(tenant_db)
    tenant_db.drop_collection(collection)
    assert found() == [("missing_collection", "acme-corp")]
    assert repair() == [("missing_collection", "acme-corp", None)]
    assert fresh(organization).operation is None


def test_another_collection_in_the_place_of_a_lost_one_is_told_apart(found, repair, tenant_db):
    an_organization("Acme Corp")
    tenant_db.drop_collection("org_acme_corp")
    tenant_db["org_acme_corp"].insert_one({"_id": 1})
    told = [("restored_collection", "acme-corp")]
    assert found() == told
    repair()
    assert found() == told


def test_a_collection_under_a_wrong_name_gets_its_own_back(found, repair, tenant_db):
    an_organization("Acme Corp")
    tenant_db["org_acme_corp"].insert_one({"_id": 1})
    tenant_db["org_acme_corp"].rename("wild")
    assert found() == [("misnamed_collection", "acme-corp")]
    assert repair() == [("misnamed_collection", "acme-corp", "renamed to org_acme_corp")]
    assert tenant_db["org_acme_corp"].find_one() == {"_id": 1}
    assert found() == repair() == []


def test_a_wrong_name_whose_place_is_taken_by_a_stray_is_mended_in_one_go(
    found, repair, tenant_db
):  # fmt: skip
    an_organization("Acme Corp")
    tenant_db["org_acme_corp"].rename("wild")
    tenant_db.create_collection("org_acme_corp")
    repair()
    assert {kind for kind, _ in found()} == {"set_aside_collection"}


def test_two_that_have_each_others_place_are_told_and_left(found, repair, tenant_db):
    for name in ("One", "Two"):
        an_organization(name)
    tenant_db["org_one"].rename("between")
    tenant_db["org_two"].rename("org_one")
    tenant_db["between"].rename("org_two")
    both = [("misnamed_collection", "one"), ("misnamed_collection", "two")]
    assert found() == both
    assert [did for _, _, did in repair()] == [None, None]
    assert found() == both


def leave_unfinished(master_db, organization, **changes):
    """As a process leaves a rename that died right after the intent."""
    operation = {
        "id": ObjectId(),
        "kind": "rename",
        "attempt": 1,
        "started_at": clock.now() - timedelta(minutes=5),
        "lease_until": clock.now() - timedelta(seconds=61),
        "origin": {},
        "collection": "org_other",
        "name": "Other",
        "slug": "other",
        **changes,
    }
    master_db.organizations.update_one({"_id": organization.id}, {"$set": {"operation": operation}})
    master_db.slugs.insert_one({"_id": "other", "organization": organization.id, "state": "target"})


def test_a_stuck_operation_is_carried_on(found, repair, master_db):
    organization = an_organization("Acme Corp")
    leave_unfinished(master_db, organization)
    assert found() == [("stuck_operation", "acme-corp")]
    assert repair() == [("stuck_operation", "acme-corp", "completed")]
    assert fresh(organization).slug == "other"
    assert found() == repair() == []


def test_an_operation_whose_lease_ran_out_just_now_is_not_stuck(found, master_db):
    organization = an_organization("Acme Corp")
    leave_unfinished(master_db, organization, lease_until=clock.now() - timedelta(seconds=30))
    assert found() == []


def test_one_that_fails_again_and_again_is_told_with_its_error(found, repair, master_db):
    organization = an_organization("Acme Corp")
    leave_unfinished(
        master_db, organization, attempt=5, last_error="it went wrong",
        lease_until=clock.now() + timedelta(seconds=40),
    )  # fmt: skip
    [finding] = operations.find_stuck()
    assert finding.words.endswith("attempt 5, it went wrong")
    assert repair() == [("stuck_operation", "acme-corp", None)]


def test_a_stuck_operation_that_only_a_newer_version_knows_is_left(found, repair, master_db):
    leave_unfinished(master_db, an_organization("Acme Corp"), kind="unheard of")
    assert repair() == [("stuck_operation", "acme-corp", None)]
    assert found() == [("stuck_operation", "acme-corp")]


IDLE = {
    "of nobody": lambda organization: {"organization": ObjectId(), "state": "current"},
    "old, of nobody": lambda organization: {
        "organization": ObjectId(),
        "state": "old",
        "held_until": clock.now() + timedelta(days=1),
    },
    "claimed for nothing": lambda organization: {
        "organization": organization.id,
        "state": "target",
    },
    "a second current one": lambda organization: {
        "organization": organization.id,
        "state": "current",
    },
}


@pytest.mark.parametrize("held", IDLE.values(), ids=IDLE)
def test_a_slug_that_is_held_for_nobody_is_freed(found, repair, master_db, held):
    organization = an_organization("Acme Corp")
    master_db.slugs.insert_one({"_id": "idle", **held(organization)})
    assert found() == [("idle_slug", "idle")]
    assert repair() == [("idle_slug", "idle", "freed")]
    assert found() == repair() == []
    assert [slug.id for slug in Slug.objects()] == ["acme-corp"]


def test_slugs_of_organizations_in_the_trash_are_freed(found, repair, master_db):
    organization = an_organization("Acme Corp")
    trash_organization(organization, None, a_context())
    held = {"_id": "acme-corp", "organization": organization.id, "state": "current"}
    master_db.slugs.insert_one(held)
    assert found() == [("idle_slug", "acme-corp")]
    repair()
    assert found() == []


def test_old_slugs_are_no_damage_in_their_time_nor_after_it(found, master_db):
    organization = an_organization("Acme Corp")
    rename_organization(organization, "Other", a_context())
    assert found() == []
    past = {"held_until": clock.now() - timedelta(days=1)}
    master_db.slugs.update_one({"_id": "acme-corp"}, {"$set": past})
    assert found() == []


def test_a_slug_that_was_claimed_meanwhile_is_not_freed(master_db):
    organization = an_organization("Acme Corp")
    idle = {"_id": "idle", "organization": organization.id, "state": "target"}
    master_db.slugs.insert_one(idle)
    [finding] = slugs.find_idle()
    leave_unfinished(master_db, organization, slug="idle")
    assert finding.repair() is None
    assert Slug.objects(id="idle")


def test_a_slug_that_is_not_held_is_claimed_again(found, repair, visitor, master_db):
    visitor.sign_up("Acme Corp")
    master_db.slugs.delete_many({})
    assert visitor.get("/organizations/acme-corp").status == 404
    assert found() == [("unheld_slug", "acme-corp")]
    assert repair() == [("unheld_slug", "acme-corp", "claimed")]
    page = visitor.get("/organizations/acme-corp")
    assert page.status == 200
    assert "Address acme-corp claimed again" in page.text
    assert found() == repair() == []


def test_a_slug_that_another_holds_is_left_to_it(found, repair, master_db):
    organization, other = an_organization("Acme Corp"), an_organization("Other")
    master_db.slugs.update_one({"_id": "acme-corp"}, {"$set": {"organization": other.id}})
    master_db.slugs.update_one({"_id": "acme-corp"}, {"$set": {"state": "old"}})
    held_until = {"held_until": clock.now() + timedelta(days=1)}
    master_db.slugs.update_one({"_id": "acme-corp"}, {"$set": held_until})
    assert found() == [("unheld_slug", "acme-corp")]
    assert repair() == [("unheld_slug", "acme-corp", None)]
    assert Slug.objects.get(id="acme-corp").organization == other.id != organization.id


# What outlived the account or organization it belongs to


def a_browser(account):
    now = clock.now()
    return Browser(account=account.id, hash="x", first_seen_at=now, last_seen_at=now).save()


def a_waiting_log_in(account):
    transactional(sessions.open_session)(
        account, a_context(account), "Browser", SessionKind.PENDING
    )


def a_membership(organization, account):
    return Membership(
        organization=organization.id, account=account.id, role="viewer", since=clock.now()
    ).save()


def some_figures(organization):
    now = clock.now()
    OrganizationFigures(
        id=organization.id, documents=1, bytes=9, indexes=1, measured_at=now, used_at=now
    ).save()


def a_job(organization):
    kind = JobKind("count", goes_on="goes on by itself")
    start_job(kind, "sheep", "Counting", a_context(), organization=organization.id)
    start_job(kind, "goats", "Counting", a_context())  # the operator's


def a_view(organization, account):
    words = {"name": "Open", "name_key": "open", "query": "sort=-due", "created_at": clock.now()}
    DocumentView(organization=organization.id, account=account.id, **words).save()


def former_rules(organization):
    transactional(keep_version)(organization.id, 1, None, Version({}, "strict", "error"))


# Kinds of findings, and what there is of an account and an organization for each.
LEFT = (
    # First: these end sessions.
    ("dead_factor", lambda org, account: a_passkey(account)),
    ("dead_factor", lambda org, account: an_app(account)),
    ("dead_membership", a_membership),
    ("dead_key", lambda org, account: a_key(org)),
    ("dead_invitation", lambda org, account: an_invitation(org, account, "x@y.example")),
    ("dead_session", lambda org, account: a_session(account.email)),
    ("dead_session", lambda org, account: a_waiting_log_in(account)),
    ("dead_browser", lambda org, account: a_browser(account)),
    ("dead_job", lambda org, account: a_job(org)),
    ("dead_view", a_view),
    ("dead_note", lambda org, account: add_note(org.id, "Called.", a_context())),
    ("dead_suggestion", lambda org, account: note_refused(org, {"n": 1})),
    ("dead_rules", lambda org, account: former_rules(org)),
    ("dead_figures", lambda org, account: some_figures(org)),
)
DEAD = {kind for kind, _ in LEFT}
# With an app come recovery codes, and the session that it was set up in.
HOW_MANY = Counter(kind for kind, _ in LEFT) + Counter(dead_factor=1, dead_session=1)


@pytest.fixture
def left(app):
    """An organization and an account of which there is all that may be left."""
    organization, account = an_organization("Acme Corp"), an_account()
    for _, make in LEFT:
        make(organization, account)
    return organization, account


def gone(organization, account):
    """Both are gone as if there never were any."""
    Account.objects(id=account.id).delete()
    Organization.objects(id=organization.id).delete()
    for one in (organization, account):
        transactional(delete_chain)(one.id)
    Slug.objects.delete()
    Membership.objects(account=organization.created_by).delete()


def over(organization, account):
    """Both are tombstones."""
    changes = {"closed_at": clock.now(), "email_key": "closed"}
    Account.objects(id=account.id).update(**{f"set__{k}": v for k, v in changes.items()})
    Organization.objects(id=organization.id).update(set__state=OrganizationState.PURGED)
    Slug.objects.delete()
    Membership.objects(account=organization.created_by).delete()


def test_what_is_left_of_a_closed_account_or_purged_organization_is_deleted(
    found, repair, tenant_db, left
):  # fmt: skip
    over(*left)
    tenant_db.drop_collection("org_acme_corp")
    assert Counter(name for name, _ in found()) == HOW_MANY
    assert {(name, did) for name, _, did in repair()} == {(kind, "deleted") for kind in DEAD}
    assert found() == repair() == []


def test_what_a_backup_might_still_need_is_told_and_left(found, repair, tenant_db, left):
    gone(*left)
    tenant_db.drop_collection("org_acme_corp")
    before = found()
    assert Counter(name for name, _ in before) == HOW_MANY
    come_again = {"dead_session", "dead_browser", "dead_figures"}
    assert {(name, did) for name, _, did in repair()} == {
        (kind, "deleted" if kind in come_again else None) for kind in DEAD
    }
    assert found() == [(name, subject) for name, subject in before if name not in come_again]


def test_one_half_that_is_over_for_good_is_enough_for_a_membership(found, repair):
    organization, account = an_organization("Acme Corp"), an_account()
    Membership(organization=ObjectId(), account=account.id, role="viewer", since=clock.now()).save()
    assert [did for _, _, did in repair()] == [None]
    Account.objects(id=account.id).update(set__closed_at=clock.now())
    assert [did for _, _, did in repair()] == ["deleted"]
    assert Membership.objects.get().organization == organization.id


def test_what_belongs_to_nothing_at_all_is_told(found, master_db):
    master_db.passkeys.insert_one({"name": "no account"})
    master_db.api_keys.insert_one({"organization": "no id"})
    assert [kind for kind, _ in found()] == ["dead_key", "dead_factor"]


def test_an_owner_that_came_back_keeps_what_it_has():
    account = an_account()
    a_session(account.email)
    Account.objects(id=account.id).update(set__closed_at=clock.now())
    [finding] = leftovers.find_dead()
    assert finding.words == f"session of account {account.id}, which is closed"
    Account.objects(id=account.id).update(unset__closed_at=True)
    assert finding.repair() is None
    assert Session.objects


def test_what_organizations_in_the_trash_have_is_no_damage(found):
    organization = an_organization("Acme Corp")
    owner = Account.objects.get()
    a_key(organization)
    an_invitation(organization, owner, "x@y.example")
    trash_organization(fresh(organization), None, a_context(owner))
    assert found() == []


# Documents that belong to nobody, that end by themselves within days, or that other checks are of.
ON_THEIR_OWN = {
    "Account", "Organization", "Slug", "AuditEvent", "ProvisioningKey", "PendingSignUp",
    "Recovery", "Challenge", "Mail", "LimitCounter", "LogInAttempts", "IdempotencyRecord",
    "Installation", "Application", "PlacementPolicy", "CapacityReading", "Pool", "Cluster",
    "TenantScript", "Move", "PlanLimits", "UsageHour", "UsageDay", "ClusterUsage", "UsageReporter",
    "UsageGap", "UsageRollup", "DirectReading",
    "BulkAction", "BulkItem", "ExaminedCheck", "InstallationDay", "ListedOrganization",
    "ListedWord", "ListingFeed", "OperatorKey", "OperatorLink", "PeriodicTask", "Process",
}  # fmt: skip


def test_each_document_belongs_to_something_or_to_nothing():
    belonging = {belonging.document.__name__ for belonging in leftovers.BELONGINGS}
    assert not belonging & ON_THEIR_OWN
    assert belonging | ON_THEIR_OWN == {document.__name__ for document in DOCUMENTS}


def an_offer(giver_role="owner"):
    organization = an_organization("Acme Corp")
    giver = a_member(organization, "owner", "giver@acme.example")
    teo = a_member(organization, "viewer")
    offer_ownership(an_access(organization), teo.id, True, a_context(giver))
    Membership.objects(account=giver.id).update(set__role=giver_role)
    return organization, giver, teo


def test_an_offer_of_an_owner_is_no_damage(found):
    an_offer()
    assert found() == []


@pytest.mark.parametrize("end", ["demoted", "membership gone", "account closed", "account gone"])
def test_an_offer_of_no_owner_is_ended_and_whom_it_was_made_to_is_told(found, repair, end):
    organization, giver, teo = an_offer("admin" if end == "demoted" else "owner")
    if end == "account closed":
        Account.objects(id=giver.id).update(set__closed_at=clock.now())
    if end == "account gone":
        Account.objects(id=giver.id).delete()
    if end != "demoted":
        Membership.objects(account=giver.id).delete()
    offered = str(Membership.objects.get(account=teo.id).id)
    assert found() == [("dead_offer", offered)]
    assert repair() == [("dead_offer", offered, "ended")]
    assert Membership.objects.get(account=teo.id).offer is None
    assert AuditEvent.objects(chain=organization.id, action="ownership.lapsed").count() == 1
    assert Mail.objects(kind="offer_ended", to=teo.email).count() == 1
    assert found() == repair() == []


def test_an_offer_whose_giver_is_an_owner_again_is_left():
    _, giver, teo = an_offer("admin")
    [finding] = members.find_dead_offers()
    Membership.objects(account=giver.id).update(set__role="owner")
    assert finding.repair() is None
    assert Membership.objects.get(account=teo.id).offer


def test_the_offer_in_a_dead_membership_is_none_of_its_own(found):
    _, _, teo = an_offer("admin")
    Account.objects(id=teo.id).update(set__closed_at=clock.now())
    assert [kind for kind, _ in found()] == ["dead_membership"]


def test_an_organization_without_an_owner_is_told(found, repair):
    organization = an_organization("Acme Corp")
    a_member(organization, "admin")
    Membership.objects(organization=organization.id, role="owner").delete()
    assert found() == [("ownerless_organization", "acme-corp")]
    assert repair() == [("ownerless_organization", "acme-corp", None)]
    trash_organization(organization, None, a_context())
    assert found() == [("ownerless_organization", "acme-corp")]


def test_an_organization_whose_owners_account_is_missing_has_no_owner(found):
    organization = an_organization("Acme Corp")
    Account.objects(id=organization.created_by).delete()
    assert {kind for kind, _ in found()} == {"dead_membership", "ownerless_organization"}


def lived(name="Acme Corp"):
    organization = an_organization(name)
    for n in range(3):
        rename_organization(fresh(organization), f"{name} {n}", a_context())
    return organization


BREAKS = {
    "an event changed": lambda db, c: db.audit_events.update_one(
        {"chain": c, "seq": 2}, {"$set": {"action": "x"}}
    ),
    "an e-mail changed": lambda db, c: db.audit_events.update_one(
        {"chain": c, "seq": 2}, {"$set": {"personal.address.value": "192.0.2.8"}}
    ),
    "a hash changed": lambda db, c: db.audit_events.update_one(
        {"chain": c, "seq": 2}, {"$set": {"hash": "x"}}
    ),
    "an event removed": lambda db, c: db.audit_events.delete_one({"chain": c, "seq": 2}),
    "the first removed": lambda db, c: db.audit_events.delete_one({"chain": c, "seq": 1}),
    "the last removed": lambda db, c: db.audit_events.delete_one({"chain": c, "seq": 4}),
    "all removed": lambda db, c: db.audit_events.delete_many({"chain": c}),
    "head set back": lambda db, c: db.organizations.update_one(
        {"_id": c}, {"$set": {"audit_head.seq": 3}}
    ),
    "head changed": lambda db, c: db.organizations.update_one(
        {"_id": c}, {"$set": {"audit_head.hash": "x"}}
    ),
    "head removed": lambda db, c: db.organizations.update_one(
        {"_id": c}, {"$unset": {"audit_head": 1}}
    ),
}  # fmt: skip


@pytest.mark.attack("L2")
def test_a_broken_chain_is_told(found, repair, master_db):
    """However it was broken, and none that is sound."""
    lived("Sound")
    broken = [("broken_chain", str(lived(name).id)) for name in BREAKS]
    for break_chain, (_, chain) in zip(BREAKS.values(), broken, strict=True):
        break_chain(master_db, ObjectId(chain))
    assert sorted(found()) == broken
    assert sorted(repair()) == [(*one, None) for one in broken]


def test_a_broken_chain_of_an_account_is_told(found, master_db):
    account = an_account("mara@acme.example")
    for _ in range(2):
        log_in("mara@acme.example", PASSWORD, a_context(), "Browser")
    assert found() == []
    master_db.audit_events.delete_one({"chain": account.id, "seq": 1})
    assert found() == [("broken_chain", str(account.id))]


def test_events_of_nothing_that_exists_are_told(found, master_db):
    """Before, between and behind those that do."""
    organization = lived()
    [event] = master_db.audit_events.find({"chain": organization.id, "seq": 1})
    strangers = [ObjectId("0" * 24), ObjectId("f" * 24)]
    for stranger in strangers:
        master_db.audit_events.insert_one({**event, "_id": ObjectId(), "chain": stranger})
    assert found() == [("broken_chain", str(stranger)) for stranger in strangers]


@pytest.mark.attack("L2")
def test_erased_personal_values_leave_the_chain_whole(found, master_db):
    lived()
    master_db.audit_events.update_many({}, {"$unset": {"personal.address.value": 1}})
    assert found() == []
