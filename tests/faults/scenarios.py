"""How each kind of lifecycle operation is started, and what stands in its way where it is turned
back."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from portal import clock
from portal.database.clusters import database_of
from portal.database.connection import tenant_database
from portal.database.portal_role import OWN_COLLECTION, TRASHED_COLLECTION
from portal.documents.accounts import Account
from portal.documents.organizations import (
    MAIN_CLUSTER,
    Organization,
    OrganizationState,
    Placement,
    Restriction,
    Strategy,
)
from portal.documents.restrictions import Cause
from portal.documents.sign_ups import PendingSignUp
from portal.errors import NotFound
from portal.organizations.credentials.managing import may_have_credentials
from portal.organizations.lifecycle import engine, runner
from portal.organizations.lifecycle.creating import create_organization
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.restricting import (
    Reason,
    lift_suspension,
    suspend_organization,
)
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.signing_up import finish_sign_up, request_sign_up, sign_up
from portal.organizations.storage import tenant_of
from tests.factories import a_context, a_credential, an_account, an_organization
from tests.visitor import PASSWORD

UNPAID = Reason(Cause.PAYMENT, "billing@portal.example")
DOCUMENTS = [{"_id": n, "n": n * n} for n in range(3)]


@dataclass(frozen=True)
class Scenario:
    """``given`` makes what must be there, and returns what the ``deed`` takes; the deed is done
    by another process, so it takes ids. A collection that is a ``stranger`` turns it back; its
    name may have the organization's id in it, and that of an organization's own database."""

    name: str
    kind: str
    given: Callable[[], tuple]
    deed: Callable[..., object]
    stranger: str | None = None
    strategy: Strategy = Strategy.COLLECTION
    cluster: str = MAIN_CLUSTER

    def __str__(self):
        return self.name


def an_owned(strategy=Strategy.COLLECTION, name="Acme Corp", cluster=MAIN_CLUSTER):
    """An organization with documents, an index and a credential, where it may have them, as (its
    id)."""
    owner = an_account("mara@acme.example")
    organization = an_organization(name, owner, strategy, cluster=cluster)
    tenant_of(organization).insert_many(DOCUMENTS)
    if strategy == Strategy.COLLECTION:
        tenant_of(organization).create_index("n", unique=True)
    if may_have_credentials(organization):
        a_credential(organization)
    return (organization.id,)


def a_mailed_link():
    """Where addresses are proved first: what somebody asked for, as (its id)."""
    request_sign_up("Acme Corp", "mara@acme.example", PASSWORD, a_context())
    return (PendingSignUp.objects.get().id,)


def an_idle_account():
    return (an_account("mara@acme.example").id,)


def renamed_before():
    arguments = an_owned(name="First")
    rename_organization(find(*arguments, OrganizationState.ACTIVE), "Acme Corp", by_mara())
    return arguments


def a_trashed(strategy=Strategy.COLLECTION, cluster=MAIN_CLUSTER):
    arguments = an_owned(strategy, cluster=cluster)
    trash(*arguments)
    return arguments


def one_due_to_be_purged():
    (organization_id,) = a_trashed()
    Organization.objects(id=organization_id).update_one(
        set__purge_at=clock.now() - timedelta(hours=1)
    )
    return (organization_id,)


def moved_by_hand():
    arguments = an_owned()
    tenant_database().org_acme_corp.rename("elsewhere")
    return arguments


def moved_in_its_database():
    """To the only other name in it that the portal may touch."""
    arguments = an_owned(Strategy.DATABASE)
    database = database_of(Organization.objects.get(id=arguments[0]).placement)
    database[OWN_COLLECTION].rename(TRASHED_COLLECTION)
    return arguments


def a_suspended(kind, strategy=Strategy.COLLECTION, cluster=MAIN_CLUSTER):
    """An organization as of ``an_owned``, suspended so, as (its id, the suspension's)."""
    (organization_id,) = an_owned(strategy, cluster=cluster)
    suspension = suspend(kind, organization_id)
    return organization_id, suspension.id


def by_mara():
    return a_context(Account.objects(email="mara@acme.example").first())


def find(organization_id, *states):
    """The organization, if it is in one of the states, as views find it."""
    found = Organization.objects(id=organization_id, state__in=states).first()
    if found is None:
        raise NotFound
    return found


def sign_acme_up(strategy=Strategy.COLLECTION, cluster=MAIN_CLUSTER):
    who = "Acme Corp", "mara@acme.example", PASSWORD, by_mara()
    sign_up(*who, user_agent="a browser", placement=Placement(strategy=strategy, cluster=cluster))


def follow_link(asked_id):
    asked = PendingSignUp.objects.get(id=asked_id)
    finish_sign_up(asked, "Acme Corp", PASSWORD, a_context(), "a browser")


def create_acme(account_id):
    create_organization(account_id, "Acme Corp", by_mara())


def rename(organization_id):
    rename_organization(find(organization_id, OrganizationState.ACTIVE), "Other", by_mara())


def rename_back(organization_id):
    rename_organization(find(organization_id, OrganizationState.ACTIVE), "First", by_mara())


def trash(organization_id):
    trash_organization(find(organization_id, OrganizationState.ACTIVE), None, by_mara())


def restore(organization_id):
    restore_organization(find(organization_id, OrganizationState.TRASHED), None, by_mara())


def restore_as_other(organization_id):
    restore_organization(find(organization_id, OrganizationState.TRASHED), "Other", by_mara())


def purge(organization_id):
    purge_organization(
        find(organization_id, OrganizationState.ACTIVE, OrganizationState.TRASHED), None, by_mara()
    )


def suspend(kind, organization_id):
    organization = find(organization_id, OrganizationState.ACTIVE)
    return suspend_organization(organization, kind, UNPAID, by_mara())


def lift(organization_id, suspension_id):
    lift_suspension(find(organization_id, OrganizationState.ACTIVE), suspension_id, by_mara())


def rename_suspended(organization_id, _):
    rename(organization_id)


def purge_what_is_due(_):
    runner.start_due_purges()


def repair(organization_id):
    engine.repair_organization(
        find(organization_id, OrganizationState.ACTIVE, OrganizationState.TRASHED), by_mara()
    )


def a_hidden_read_only():
    """One that is read-only for another reason, as of ``a_hidden``."""
    organization_id, _ = a_read_only()
    return organization_id, hide(organization_id).id


read_only = partial(suspend, Restriction.READ_ONLY)
lock = partial(suspend, Restriction.LOCKED)
hide = partial(suspend, Restriction.HIDDEN)
a_read_only = partial(a_suspended, Restriction.READ_ONLY)
a_locked = partial(a_suspended, Restriction.LOCKED)
a_hidden = partial(a_suspended, Restriction.HIDDEN)


def lock_further(organization_id, _):
    lock(organization_id)


def hide_further(organization_id, _):
    hide(organization_id)


SCENARIOS = [
    Scenario("sign-up", "create", tuple, sign_acme_up),
    Scenario("sign-up turned back", "create", tuple, sign_acme_up, "org_acme_corp"),
    Scenario("sign-up by a link", "create", a_mailed_link, follow_link),
    Scenario(
        "sign-up by a link turned back", "create", a_mailed_link, follow_link, "org_acme_corp"
    ),
    Scenario("creation", "create", an_idle_account, create_acme),
    Scenario("creation turned back", "create", an_idle_account, create_acme, "org_acme_corp"),
    Scenario("rename", "rename", an_owned, rename),
    Scenario("rename turned back", "rename", an_owned, rename, "org_other"),
    Scenario("rename of what was moved by hand", "rename", moved_by_hand, rename),
    Scenario("rename back", "rename", renamed_before, rename_back),
    Scenario("rename back turned back", "rename", renamed_before, rename_back, "org_first"),
    Scenario("trash", "trash", an_owned, trash),
    Scenario("trash turned back", "trash", an_owned, trash, "trash_{}"),
    Scenario("restore", "restore", a_trashed, restore),
    Scenario("restore under another name", "restore", a_trashed, restore_as_other),
    Scenario("restore turned back", "restore", a_trashed, restore, "org_acme_corp"),
    Scenario("purge", "purge", an_owned, purge),
    Scenario("purge from the trash", "purge", a_trashed, purge),
    Scenario("purge that is due", "purge", one_due_to_be_purged, purge_what_is_due),
    Scenario("purge of what was moved by hand", "purge", moved_by_hand, purge),
    Scenario("repair", "repair", moved_by_hand, repair),
    Scenario("repair turned back", "repair", moved_by_hand, repair, "org_acme_corp"),
    Scenario("lock", "restrict", an_owned, lock),
    Scenario("lock turned back", "restrict", an_owned, lock, "locked_{}"),
    Scenario("lock of what is read-only", "restrict", a_read_only, lock_further),
    Scenario("read-only", "restrict", an_owned, read_only),
    Scenario("read-only turned back", "restrict", an_owned, read_only, "readonly_{}"),
    Scenario("lift of read-only", "restrict", a_read_only, lift),
    Scenario("hide", "restrict", an_owned, hide),
    Scenario("hide turned back", "restrict", an_owned, hide, "locked_{}"),
    Scenario("hide of what is read-only", "restrict", a_read_only, hide_further),
    Scenario("hide of what is locked", "restrict", a_locked, hide_further),
    Scenario("lift of hidden", "restrict", a_hidden, lift),
    Scenario("lift of hidden that leaves read-only", "restrict", a_hidden_read_only, lift),
    Scenario("unlock", "restrict", a_locked, lift),
    Scenario("unlock turned back", "restrict", a_locked, lift, "org_acme_corp"),
    Scenario("rename of what is read-only", "rename", a_read_only, rename_suspended),
]


def _by_strategy(strategy, cluster=MAIN_CLUSTER):
    """The scenarios of a strategy that has others' steps, or of all on another cluster."""
    owned = partial(an_owned, strategy, cluster=cluster)
    trashed = partial(a_trashed, strategy, cluster)
    told = {
        "sign-up": ("create", tuple, partial(sign_acme_up, strategy, cluster)),
        "rename": ("rename", owned, rename),
        "trash": ("trash", owned, trash),
        "restore": ("restore", trashed, restore),
        "purge": ("purge", owned, purge),
        "purge from the trash": ("purge", trashed, purge),
        "lock": ("restrict", owned, lock),
        "unlock": ("restrict", partial(a_locked, strategy, cluster), lift),
        "read-only": ("restrict", owned, read_only),
        "lift of read-only": ("restrict", partial(a_read_only, strategy, cluster), lift),
        "hide": ("restrict", owned, hide),
        "lift of hidden": ("restrict", partial(a_hidden, strategy, cluster), lift),
    }
    where = "" if cluster == MAIN_CLUSTER else f", {cluster}"
    for name, what in told.items():
        yield Scenario(f"{name}, {strategy}{where}", *what, strategy=strategy, cluster=cluster)


IN_DATABASES = [
    *_by_strategy(Strategy.DATABASE),
    *(
        Scenario(f"{name}, database", *what, strategy=Strategy.DATABASE)
        for name, what in {
            "trash turned back": (
                "trash",
                partial(an_owned, Strategy.DATABASE),
                trash,
                f"t_{{0}}.{TRASHED_COLLECTION}",
            ),
            "restore turned back": (
                "restore",
                partial(a_trashed, Strategy.DATABASE),
                restore,
                f"t_{{0}}.{OWN_COLLECTION}",
            ),
            "repair": ("repair", moved_in_its_database, repair),
            "repair turned back": (
                "repair",
                moved_in_its_database,
                repair,
                f"t_{{0}}.{OWN_COLLECTION}",
            ),
        }.items()
    ),
]
IN_POOLS = list(_by_strategy(Strategy.SHARED))
EVERY = [*SCENARIOS, *IN_DATABASES, *IN_POOLS]
"""The scenarios of all strategies."""

ABROAD = [scenario for strategy in Strategy for scenario in _by_strategy(strategy, "europe")]
"""Those of all strategies on another cluster."""
