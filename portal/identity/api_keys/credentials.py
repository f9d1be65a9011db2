"""API keys as programs send them: ``pk_<id>_<secret>``, or ``pv_`` for a provisioning key, ``po_``
for an operators' one.

Found by the id and compared by the secret's hash: 32 random bytes need no slow one. Scanners for
leaked secrets recognize the format: ``p[kov]_[0-9a-f]{24}_[A-Za-z0-9_-]{43}``.
"""

import hmac
import re
import secrets
from datetime import datetime, timedelta

import structlog
from bson import ObjectId

from portal import clock
from portal.audit.trail import installation, record
from portal.database.transactions import transactional
from portal.display_names import clean_words
from portal.documents.api_keys import ApiKey, OperatorKey, ProvisioningKey
from portal.documents.memberships import Role
from portal.hashing import hash_secret
from portal.identity.api_keys.errors import ApiKeyNotFound
from portal.identity.sessions.principals import (
    OperatorPrincipal,
    OrganizationKey,
    ProvisioningPrincipal,
)
from portal.permissions import of_api_key
from portal.web.context import OPERATOR, RequestContext

log = structlog.get_logger()

ORGANIZATION_PREFIX, PROVISIONING_PREFIX, OPERATOR_PREFIX = "pk_", "pv_", "po_"
_SYNTAX = re.compile(r"p[kov]_([0-9a-f]{24})_([A-Za-z0-9_-]{43})")
_USE_RECORDED_EVERY = timedelta(minutes=1)
# Compared in place of a hash that there isn't: no secret has it.
_NO_HASH = "-" * 64


def new_secret() -> str:
    """A random secret."""
    return secrets.token_urlsafe(32)


def format_key(prefix: str, key_id: ObjectId, secret: str) -> str:
    """The API key as a program sends it."""
    return f"{prefix}{key_id}_{secret}"


def organization_key_of(credential: str) -> OrganizationKey | None:
    """The principal of an organization's API key; ``None`` unless the key exists and has not
    expired. Whether the organization exists is not checked here. One read, and at most one write a
    minute."""
    now = clock.now()
    key_id, secret = _parsed(credential)
    key = ApiKey.objects(id=key_id).first()
    if not _matches(secret, *_hashes(key, now)) or key is None:
        _log_refusal(key_id, "no such key")
        return None
    if key.expires_at and key.expires_at <= now:
        _log_refusal(key_id, "expired")
        return None
    _record_use(key, now)
    role = Role(key.role) if key.role else None
    permissions = of_api_key(role, key.permissions or ())
    return OrganizationKey(key.id, key.name, key.organization, role, permissions, key.expires_at)


def provisioner_of(credential: str) -> ProvisioningPrincipal | None:
    """The principal of a provisioning key; ``None`` unless the key exists."""
    key_id, secret = _parsed(credential)
    key = ProvisioningKey.objects(id=key_id).first()
    if not _matches(secret, key.secret_hash if key else _NO_HASH) or key is None:
        _log_refusal(key_id, "no such key")
        return None
    _record_use(key, clock.now())
    return ProvisioningPrincipal(key.id, key.name)


def operator_key_of(credential: str) -> OperatorPrincipal | None:
    """The principal of an operators' key; ``None`` unless the key exists, is not revoked and has
    not expired."""
    now = clock.now()
    key_id, secret = _parsed(credential)
    key = OperatorKey.objects(id=key_id, revoked_at=None).first()
    if not _matches(secret, key.secret_hash if key else _NO_HASH) or key is None:
        _log_refusal(key_id, "no such key")
        return None
    if key.expires_at and key.expires_at <= now:
        _log_refusal(key_id, "expired")
        return None
    _record_use(key, now)
    return OperatorPrincipal(key.id, key.name, key.role)


def create_provisioning_key(name: str) -> str:
    """Create a key and return it as a program sends it, once. Raises InvalidName."""
    secret = new_secret()
    key = _insert_provisioning_key(clean_words(name), hash_secret(secret))
    log.info("provisioning_key.made", api_key=str(key.id))
    return format_key(PROVISIONING_PREFIX, key.id, secret)


@transactional
def _insert_provisioning_key(name: str, secret_hash: str) -> ProvisioningKey:
    key = ProvisioningKey(name=name, secret_hash=secret_hash, created_at=clock.now()).save()
    origin = RequestContext(OPERATOR).origin
    record(installation(), "provisioning_key.created", origin, target=key.id, name=name)
    return key


def provisioning_keys() -> list[ProvisioningKey]:
    """All provisioning keys, oldest first."""
    return list(ProvisioningKey.objects.order_by("created_at").exclude("secret_hash"))


def revoke_provisioning_key(key_id: str) -> None:
    """Delete the key: its next request is refused. Raises ApiKeyNotFound."""
    if not ObjectId.is_valid(key_id):
        raise ApiKeyNotFound
    _delete_provisioning_key(ObjectId(key_id))
    log.info("provisioning_key.revoked", api_key=key_id)


@transactional
def _delete_provisioning_key(key_id: ObjectId) -> None:
    key = ProvisioningKey.objects(id=key_id).first()
    if key is None:
        raise ApiKeyNotFound
    key.delete()
    origin = RequestContext(OPERATOR).origin
    record(installation(), "provisioning_key.revoked", origin, target=key_id, name=key.name)


def _parsed(credential: str) -> tuple[ObjectId | None, str]:
    parts = _SYNTAX.fullmatch(credential)
    return (ObjectId(parts[1]), parts[2]) if parts else (None, "")


def _hashes(key: ApiKey | None, now: datetime) -> tuple[str, str]:
    """The hashes that the secret may have: always two, so that each key takes the same time."""
    if key is None:
        return _NO_HASH, _NO_HASH
    overlaps = key.former_until and now < key.former_until
    return key.secret_hash, key.former_hash if overlaps else _NO_HASH


def _matches(secret: str, *hashes: str) -> bool:
    sent = hash_secret(secret)
    compared = [hmac.compare_digest(sent, known) for known in hashes]  # all of them, always
    return any(compared)


def _record_use(key: ApiKey | ProvisioningKey | OperatorKey, now: datetime) -> None:
    if key.used_at is None or key.used_at < now - _USE_RECORDED_EVERY:
        type(key).objects(id=key.id).update_one(set__used_at=now)


def _log_refusal(key_id: ObjectId | None, reason: str) -> None:
    log.info("key.refused", api_key=key_id and str(key_id), reason=reason)
