"""What a test is given, in a line each."""

from functools import cache

import pyotp
from bson import ObjectId

from portal import clock
from portal.database import users
from portal.database.clusters import database_of, uri_of
from portal.database.connection import tenant_database
from portal.database.transactions import transaction, transactional
from portal.database.users import ConnectionString
from portal.documents.accounts import Account, OperatorRole
from portal.documents.credentials import Credential, CredentialUser, Reach
from portal.documents.memberships import Invitation, Membership, Role
from portal.documents.organizations import Organization, Placement, Restriction, Strategy
from portal.documents.restrictions import Cause
from portal.documents.second_factors import Passkey
from portal.documents.sessions import Session
from portal.email_addresses import parse_email
from portal.identity.authentication.passwords import hash_password
from portal.identity.second_factors import totp
from portal.identity.sessions import sessions
from portal.identity.sessions.principals import AccountPrincipal
from portal.identity.sessions.sessions import open_session
from portal.organizations.access.lookup import Access
from portal.organizations.api_keys import managing
from portal.organizations.lifecycle import creating
from portal.organizations.lifecycle.engine import PLANS, Plan, Way, write_intent
from portal.organizations.lifecycle.privileges import PREFIX, privileges_on
from portal.organizations.lifecycle.restricting import Reason, suspend_organization
from portal.organizations.members.mails import INVITE
from portal.organizations.restrictions.holding import set_hold
from portal.permissions import ROLES
from portal.tenants import collections
from portal.web.context import AuditActor, RequestContext
from tests.processes import wait_until
from tests.visitor import PASSWORD


def a_context(account=None):
    """The request that something is done by: of the account, or of nobody."""
    actor = AuditActor(account.id, account.email) if account else AuditActor()
    return RequestContext(actor, ip_address="192.0.2.7", request_id="0123456789abcdef")


def an_account(email="teo@acme.example", *, verified=True):
    now = clock.now()
    account = Account(
        email=email,
        email_key=email,
        email_by_domain=parse_email(email).by_domain,
        password_hash=_hash(),
        created_at=now,
        verified_at=now if verified else None,
    )
    return account.save()


def a_collection(tenant_db, name):
    transaction(lambda: collections.create_collection(tenant_database(), name))
    return collections.uuid_of(tenant_db, name)


def collections_in(database):
    """The names of its collections: no views, and none of the server's own."""
    found = database.list_collection_names(filter={"type": "collection"})
    return [name for name in found if not name.startswith("system.")]


def verify(email="mara@acme.example"):
    """Have the account of who signed up with this address count as verified."""
    Account.objects(email=email).update_one(set__verified_at=clock.now())


def a_session(email):
    """A browser somewhere that the account of this address is logged in with."""
    account = Account.objects.get(email=email)
    return Session.objects.get(
        public_id=transactional(open_session)(account, a_context(account), "").public_session_id
    )


@cache
def _hash():
    """Made once: it takes longer than all else here."""
    return hash_password(PASSWORD)


def an_organization(name="Acme Corp", account=None, strategy=Strategy.COLLECTION, **placement):
    account = account or an_account(f"owner-{ObjectId()}@acme.example")
    placed = Placement(strategy=strategy, **placement)
    return creating.create_organization(account.id, name, a_context(account), placement=placed)


def a_member(organization, role, email="teo@acme.example"):
    account = an_account(email)
    Membership(
        organization=organization.id, account=account.id, role=role, since=clock.now()
    ).save()
    return account


def an_operator(role=OperatorRole.OPERATOR, email="ops@portal.example"):
    """An account with this role in the console, and with a second factor."""
    account = an_account(email)
    an_app(account)
    return account.modify(set__operator_role=role) and account


def a_person(account):
    """Who the account is by a session."""
    return AccountPrincipal(account.id, account.email, "", clock.now(), None)


def the_owner(organization):
    """Who founded it."""
    return Account.objects.get(id=organization.created_by)


def a_suspension(organization, kind=Restriction.READ_ONLY, cause=Cause.PAYMENT):
    """A suspension of the organization."""
    reason = Reason(cause, "billing@portal.example", "An invoice is open.")
    return suspend_organization(fresh(organization), kind, reason, a_context())


def a_hold(organization, reason="Case 4711"):
    """A legal hold on the organization."""
    return set_hold(fresh(organization), reason, None, a_context()).hold


def an_access(organization, role=Role.OWNER):
    return Access(organization, role, organization.slug, ROLES[role])


def a_key(organization, role=Role.ADMIN, permissions=(), name="Nightly export", expires_on=None):
    """What a program sends as a key of the organization."""
    maker = the_owner(organization)
    asked = (an_access(organization), name, role, permissions, expires_on, a_context(maker))
    return managing.create_key(*asked).credential


def a_credential(organization, reach=Reach.WRITE, name="Reporting"):
    """A credential of the organization, and what its user connects by."""
    user, password = users.random_name(PREFIX), users.random_password()
    now = clock.now()
    Credential(
        organization=organization.id,
        name=name,
        reach=reach,
        users=[CredentialUser(name=user, created_at=now, ready_at=now)],
        created_at=now,
        created_by=organization.created_by,
    ).save(force_insert=True)
    Organization.objects(id=organization.id).update_one(inc__credentials=1)
    home, collection = database_of(organization.placement), organization.placement.collection
    users.create_user(home, user, password, privileges_on(home.name, collection, reach))
    made = ConnectionString.of(uri_of(organization.placement.cluster))
    own = {"database": home.name, "auth_source": home.name}
    return made.for_user(user, password, **own, replica_set=None)


def an_invitation(organization, inviter, email):
    """Without its mail."""
    now = clock.now()
    return Invitation(
        organization=organization.id,
        email=email,
        email_key=email,
        role=Role.VIEWER,
        inviter=inviter.id,
        created_at=now,
        sent_at=now,
        expires_at=now + INVITE.valid_for,
    ).save()


def earlier_code(app, seconds=1):
    """The code of the step before, so that the one which the app shows now is not used up. It stays
    valid for these seconds: at the end of a step the next one is waited for."""
    wait_until(lambda: clock.now().timestamp() % app.interval < app.interval - seconds)
    return app.at(clock.now(), counter_offset=-1)


def an_app(account):
    """An authenticator app that is set up for the account, and its recovery codes."""
    principal = transactional(sessions.open_session)(account, a_context(account), "A browser")
    secret = totp.begin_enrollment(principal.session_id)
    app = pyotp.TOTP(secret)
    codes = totp.finish_enrollment(principal, earlier_code(app), a_context(account))
    return app, codes


def a_passkey(account, name="Laptop, work"):
    """A passkey of the account that nobody can use."""
    return Passkey(
        account=account.id, credential=name.encode(), public_key=b"k", sign_count=0, name=name,
        synced=False, added_at=clock.now(),
    ).save()  # fmt: skip


def a_plan(kind, *forward, back=(), title="", doing=""):
    """How an operation of the kind is done where an organization has a collection of its own."""
    return Plan(kind, title, doing, {Strategy.COLLECTION: Way(forward, back)})


def steps_of(kind):
    """The steps of an operation where an organization has a collection of its own."""
    return PLANS[kind].ways[Strategy.COLLECTION].forward


def fresh(organization):
    """The organization as it is now."""
    return Organization.objects.get(id=organization.id)


def intend(organization, operation, **options):
    """Write an operation into an organization that nobody carries out."""
    return transaction(lambda: write_intent(organization, operation, a_context(), **options))
