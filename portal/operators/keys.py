"""Operators' keys: credentials of the installation by which programs act in the console."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from bson import ObjectId

from portal import clock
from portal.audit.trail import installation, record
from portal.database.transactions import transactional
from portal.display_names import InvalidName, clean_words
from portal.documents.api_keys import OPERATOR_KEY_ROLES, OperatorKey
from portal.documents.installation import INSTALLATION
from portal.errors import check_all
from portal.hashing import hash_secret
from portal.identity.api_keys import credentials
from portal.identity.sessions import sessions
from portal.operators import errors
from portal.operators.roles import names_of
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

MAX_KEYS = 100
LONGEST_LIFE = timedelta(days=366)
MADE, REVOKED = "operator_key_made", "operator_key_revoked"


@dataclass(frozen=True, slots=True)
class ListedOperatorKey:
    """A key without its secret, as listed. ``made_by`` is empty for one made by a command."""

    id: ObjectId
    name: str
    role: str
    made_by: str
    created_at: datetime
    used_at: datetime | None
    expires_on: date
    expired: bool


@dataclass(frozen=True, slots=True)
class NewOperatorKey:
    """A key just made; ``credential``, which programs send, is shown only here."""

    id: ObjectId
    credential: str

    def __repr__(self) -> str:
        return f"NewOperatorKey({self.id})"


def create_key(
    name: str, role: str, expires_on: date | None, context: RequestContext
) -> NewOperatorKey:
    """Make a key with a ``role`` in the console, never operator-admin. It expires at the end of the
    day ``expires_on`` in UTC.

    Raises InvalidOperatorKeyName, InvalidOperatorKeyRole, InvalidLastDay (or SeveralErrors of
    them), TooManyOperatorKeys, DuplicateRequest.
    """
    name, role, expires_at = check_all(
        lambda: _clean_name(name),
        lambda: _clean_role(role),
        lambda: _expiry_of(expires_on),
    )
    key_id, secret = ObjectId(), credentials.new_secret()

    @transactional
    def insert() -> None:
        sessions.lock_session(context)
        claim_key(context, INSTALLATION, MADE, key_id)
        # Each new key writes the head of the chain: of two at once one counts the other.
        subject = installation()
        if OperatorKey.objects(revoked_at=None).count() >= MAX_KEYS:
            raise errors.TooManyOperatorKeys(MAX_KEYS)
        key = OperatorKey(
            id=key_id,
            name=name,
            role=role,
            secret_hash=hash_secret(secret),
            created_at=clock.now(),
            created_by=context.actor.id,
            expires_at=expires_at,
        )
        key.insert()
        record(subject, "operator_key.created", context.origin, target=key_id, name=name, role=role)

    insert()
    return NewOperatorKey(
        key_id, credentials.format_key(credentials.OPERATOR_PREFIX, key_id, secret)
    )


@transactional
def revoke_key(key_id: str | ObjectId, context: RequestContext) -> OperatorKey:
    """Revoke the key: its next request is refused. Raises OperatorKeyNotFound, DuplicateRequest."""
    found = OperatorKey.objects(id=_parsed(key_id), revoked_at=None)
    key = found.modify(new=True, set__revoked_at=clock.now(), unset__secret_hash=True)
    if key is None:
        raise errors.OperatorKeyNotFound
    claim_key(context, INSTALLATION, REVOKED, key.id)
    record(installation(), "operator_key.revoked", context.origin, target=key.id, name=key.name)
    return key


def list_keys() -> list[ListedOperatorKey]:
    """The keys that are not revoked, by name."""
    keys = list(OperatorKey.objects(revoked_at=None).exclude("secret_hash").order_by("name", "id"))
    makers = names_of({key.created_by for key in keys if key.created_by})
    now = clock.now()
    return [
        ListedOperatorKey(
            key.id,
            key.name,
            key.role,
            makers.get(key.created_by, ""),
            key.created_at,
            key.used_at,
            (key.expires_at - timedelta(days=1)).date(),
            key.expires_at <= now,
        )
        for key in keys
    ]


def keys_by(account_id: ObjectId) -> list[str]:
    """The names of the keys that this account made and that are not revoked."""
    made = OperatorKey.objects(created_by=account_id, revoked_at=None)
    return [key.name for key in made.only("name").order_by("name")]


def find_key(key_id: str | ObjectId) -> ListedOperatorKey:
    """The key with this id, unless it is revoked. Raises OperatorKeyNotFound."""
    wanted = _parsed(key_id)
    found = next((key for key in list_keys() if key.id == wanted), None)
    if found is None:
        raise errors.OperatorKeyNotFound
    return found


def _parsed(key_id: str | ObjectId) -> ObjectId:
    if not ObjectId.is_valid(key_id):
        raise errors.OperatorKeyNotFound
    return ObjectId(key_id)


def _clean_name(name: str) -> str:
    try:
        return clean_words(name)
    except InvalidName as error:
        raise errors.InvalidOperatorKeyName(error.reason) from error


def _clean_role(role: str) -> str:
    if role not in OPERATOR_KEY_ROLES:
        raise errors.InvalidOperatorKeyRole
    return role


def _expiry_of(expires_on: date | None) -> datetime:
    today = clock.now().date()
    if expires_on is None or not today <= expires_on <= today + LONGEST_LIFE:
        raise errors.InvalidLastDay
    return datetime.combine(expires_on + timedelta(days=1), time(), UTC)
