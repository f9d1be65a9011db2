"""API keys of organizations: created, rotated, revoked.

A key's secret is returned once, when it is created or rotated.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from bson import ObjectId

from portal import clock
from portal.audit.trail import record
from portal.database.paging import join
from portal.database.together import Part, Read, read
from portal.database.transactions import transactional
from portal.display_names import InvalidName, clean_words
from portal.documents.accounts import Account
from portal.documents.api_keys import API_KEY_ROLES, ApiKey
from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from portal.errors import check_all
from portal.hashing import hash_secret
from portal.identity.api_keys import credentials
from portal.identity.api_keys.errors import ApiKeyNotFound
from portal.identity.sessions import sessions
from portal.organizations.access.lookup import Access, begin_change
from portal.organizations.access.owners import email_owners
from portal.organizations.api_keys import errors
from portal.organizations.api_keys.mails import KEY_MADE
from portal.permissions import FOR_API_KEYS, ROLES, of_api_key
from portal.web import rate_limits
from portal.web.context import RequestContext

MAX_KEYS = 100
LONGEST_LIFE = timedelta(days=3650)
OVERLAPS = (timedelta(0), timedelta(hours=1), timedelta(days=1), timedelta(days=7))
"""Times for which the old secret may work alongside the new one."""

MADE, ROTATED, REVOKED = "key_made", "key_rotated", "key_revoked"


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A key with a new secret; ``credential``, which programs send, is shown only here."""

    key: ApiKey
    credential: str

    def __repr__(self) -> str:
        return f"NewSecret({self.key.id})"


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key without its secret, as listed."""

    id: ObjectId
    name: str
    role: Role | None
    permissions: list[str]
    made_by: str | None
    created_at: datetime
    used_at: datetime | None
    expires_at: datetime | None
    former_until: datetime | None

    @property
    def expires_on(self) -> date | None:
        """Its last day, in UTC."""
        return (self.expires_at - timedelta(days=1)).date() if self.expires_at else None

    @property
    def expired(self) -> bool:
        """True once its last day has passed."""
        return self.expires_at is not None and self.expires_at <= clock.now()

    @property
    def overlaps(self) -> bool:
        """True while the secret before the last rotation still works."""
        return self.former_until is not None and self.former_until > clock.now()

    def may(self, permission: str) -> bool:
        """Tell whether programs may do this with it."""
        return not self.expired and permission in of_api_key(self.role, self.permissions)


def create_key(
    access: Access,
    name: str,
    role: str | None,
    permissions: Collection[str],
    expires_on: date | None,
    context: RequestContext,
) -> NewSecret:
    """Create a key of the organization with a ``role``, or else with ``permissions``. It expires at
    the end of the day ``expires_on`` in UTC, if given.

    The owners get a mail where it may do more than view. Raises InvalidApiKeyName, InvalidGrant,
    InvalidExpiry (or SeveralErrors of them), Forbidden for permissions beyond the caller's,
    TooManyAttempts, TooManyApiKeys, NotFound where the organization is gone, DuplicateRequest.
    """
    name, permissions, expires_at = check_all(
        lambda: _clean_name(name),
        lambda: _clean_grant(role, permissions),
        lambda: _expiry_of(expires_on),
    )
    access.require_all(of_api_key(role, permissions))
    rate_limits.count_attempt(rate_limits.MEMBER_CHANGES, str(access.organization.id))
    key_id, secret = ObjectId(), credentials.new_secret()

    @transactional
    def insert_key() -> ApiKey:
        sessions.lock_session(context)
        organization = begin_change(access, context, MADE, key_id, permission="keys.manage")
        # Each new key writes the head of the organization's chain: of two at once one is retried,
        # and counts the other.
        if ApiKey.objects(organization=organization.id).count() >= MAX_KEYS:
            raise errors.TooManyApiKeys(MAX_KEYS)
        key = ApiKey(
            id=key_id,
            organization=organization.id,
            name=name,
            role=role,
            permissions=permissions or None,
            secret_hash=hash_secret(secret),
            created_at=clock.now(),
            created_by=context.account,
            expires_at=expires_at,
        )
        key.insert()
        if of_api_key(role, permissions) - ROLES[Role.VIEWER]:
            email_owners(KEY_MADE, organization, key=key.id)
        may = role or ", ".join(permissions)
        record(organization, "key.created", context.origin, target=key.id, name=name, may=may)
        return key

    return NewSecret(
        insert_key(), credentials.format_key(credentials.ORGANIZATION_PREFIX, key_id, secret)
    )


def rotate_key(
    access: Access, key_id: ObjectId, overlap: timedelta, context: RequestContext
) -> NewSecret:
    """Replace the key's secret; the current one works for ``overlap`` longer, an older one no more.

    Raises ApiKeyNotFound, ApiKeyExpired, Forbidden for a key with permissions beyond the caller's,
    NotFound, DuplicateRequest.
    """
    secret = credentials.new_secret()

    @transactional
    def replace_secret() -> ApiKey:
        sessions.lock_session(context)
        organization = begin_change(access, context, ROTATED, key_id, permission="keys.manage")
        key = _stored(access, key_id)
        access.require_all(of_api_key(key.role, key.permissions or ()))
        now = clock.now()
        if key.expires_at and key.expires_at <= now:
            raise errors.ApiKeyExpired(key.name)
        key.former_hash, key.former_until = key.secret_hash, now + overlap
        key.secret_hash = hash_secret(secret)
        key.save()
        record(organization, "key.rotated", context.origin, target=key.id, name=key.name)
        return key

    return NewSecret(
        replace_secret(), credentials.format_key(credentials.ORGANIZATION_PREFIX, key_id, secret)
    )


@transactional
def revoke_key(access: Access, key_id: ObjectId, context: RequestContext) -> ApiKey:
    """Revoke the key, effective from the next request; the deleted key.

    Raises ApiKeyNotFound, NotFound, DuplicateRequest.
    """
    organization = begin_change(access, context, REVOKED, key_id, permission="keys.manage")
    key = _stored(access, key_id)
    key.delete()
    record(organization, "key.revoked", context.origin, target=key.id, name=key.name)
    return key


def keys_of(organization: Organization) -> list[ListedKey]:
    """The organization's keys by name; one read."""
    return read(listing({"organization": organization.id}))


def keys_by(organization: Organization, account_id: ObjectId) -> list[ListedKey]:
    """The organization's unexpired keys that the account created, by name."""
    created = read(listing({"organization": organization.id, "created_by": account_id}))
    return [key for key in created if not key.expired]


def key_of(organization: Organization, key_id: str | ObjectId | None) -> ListedKey:
    """The organization's key with this id. Raises ApiKeyNotFound."""
    if not ObjectId.is_valid(key_id):
        raise ApiKeyNotFound
    found = read(listing({"organization": organization.id, "_id": ObjectId(key_id)}))
    if not found:
        raise ApiKeyNotFound
    return found[0]


def listing(query: dict[str, ObjectId]) -> Part[list[ListedKey]]:
    """The part of a page that lists the keys that match, by name."""
    stages = [
        {"$match": query},
        join(Account, "created_by", "_id", "creators", [{"$project": {"email": 1}}]),
        {"$set": {"lower": {"$toLower": "$name"}}},
        {"$sort": {"lower": 1, "_id": 1}},
        {"$unset": ["secret_hash", "former_hash"]},
    ]
    [rows] = yield [Read(ApiKey, stages)]
    return [
        ListedKey(
            id=row["_id"],
            name=row["name"],
            role=row.get("role"),
            permissions=row.get("permissions") or [],
            made_by=next((creator.get("email") for creator in row["creators"]), None),
            created_at=row["created_at"],
            used_at=row.get("used_at"),
            expires_at=row.get("expires_at"),
            former_until=row.get("former_until"),
        )
        for row in rows
    ]


def _clean_name(name: str) -> str:
    try:
        return clean_words(name)
    except InvalidName as error:
        raise errors.InvalidApiKeyName(error.reason) from error


def _clean_grant(role: str | None, permissions: Collection[str]) -> list[str]:
    """The sorted permissions of a key without a role; empty with one."""
    if role is not None and permissions:
        raise errors.InvalidGrant(errors.BOTH_GRANTED)
    if role is not None:
        if role not in API_KEY_ROLES:
            raise errors.InvalidGrant(errors.UNKNOWN_ROLE)
        return []
    if not permissions:
        raise errors.InvalidGrant(errors.NOTHING_GRANTED)
    if not FOR_API_KEYS.issuperset(permissions):
        raise errors.InvalidGrant(errors.UNKNOWN_PERMISSION)
    return sorted(set(permissions))


def _expiry_of(day: date | None) -> datetime | None:
    """The end of the key's last ``day`` in UTC."""
    if day is None:
        return None
    today = clock.now().date()
    if day < today:
        raise errors.InvalidExpiry(errors.PAST_DAY)
    if day > today + LONGEST_LIFE:
        raise errors.InvalidExpiry(errors.DISTANT_DAY)
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def _stored(access: Access, key_id: ObjectId) -> ApiKey:
    key = ApiKey.objects(id=key_id, organization=access.organization.id).first()
    if key is None:
        raise ApiKeyNotFound
    return key
