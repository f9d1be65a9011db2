"""What a program sends as its key: ``pk_<id>_<secret>``.

Found by the id and compared by the secret's hash: 32 random bytes need no slow one. The shape is
one that scanners for leaked secrets can tell: ``p[kv]_[0-9a-f]{24}_[A-Za-z0-9_-]{43}``.
"""

import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog
from bson import ObjectId
from mongoengine import Document

from portal import clock
from portal.documents.api_keys import ApiKey, ProvisioningKey
from portal.hashing import hash_secret
from portal.identity.sessions.principals import OrganizationKey, ProvisioningPrincipal
from portal.permissions import of_key

log = structlog.get_logger()

PREFIX, PROVISIONING_PREFIX = "pk_", "pv_"
_SYNTAX = re.compile(r"p[kv]_([0-9a-f]{24})_([A-Za-z0-9_-]{43})")
_USED_AT_MOST_EVERY = timedelta(minutes=1)
# What the secret of a key that doesn't exist is compared with: no secret leads to it.
_NOBODYS = "-" * 64


def new_secret() -> str:
    """A secret that nobody can guess."""
    return secrets.token_urlsafe(32)


def written(prefix: str, key_id: ObjectId, secret: str) -> str:
    """The key as a program sends it."""
    return f"{prefix}{key_id}_{secret}"


def organization_key_of(credential: str) -> OrganizationKey | None:
    """Who sends this key of an organization; ``None`` unless it exists and has not expired.

    One read, and once a minute one write. Whether the organization is there is asked with what
    is wanted of it.
    """
    now = clock.now()
    key_id, secret = _parts(credential)
    key = ApiKey.objects(id=key_id).first()
    if not _matches(secret, _hashes(key, now)) or key is None:
        _note_refusal(key_id, "no such key")
        return None
    if key.expires_at and key.expires_at <= now:
        _note_refusal(key_id, "expired")
        return None
    _note_use(key, now)
    may = of_key(key.role, key.permissions or ())
    return OrganizationKey(key.id, key.name, key.organization, key.role, may, key.expires_at)


def provisioner_of(credential: str) -> ProvisioningPrincipal | None:
    """Who sends this provisioning key; ``None`` unless it exists."""
    now = clock.now()
    key_id, secret = _parts(credential)
    key = ProvisioningKey.objects(id=key_id).first()
    if not _matches(secret, (key.secret_hash if key else _NOBODYS,)) or key is None:
        _note_refusal(key_id, "no such key")
        return None
    _note_use(key, now)
    return ProvisioningPrincipal(key.id, key.name)


def _parts(credential: str) -> tuple[ObjectId | None, str]:
    found = _SYNTAX.fullmatch(credential)
    return (ObjectId(found[1]), found[2]) if found else (None, "")


def _hashes(key: ApiKey | None, now: datetime) -> tuple[str, str]:
    """The hashes that a secret may have: always two, so that it takes as long for every key."""
    if key is None:
        return _NOBODYS, _NOBODYS
    overlaps = key.former_until and now < key.former_until
    return key.secret_hash, key.former_hash if overlaps else _NOBODYS


def _matches(secret: str, hashes: Iterable[str]) -> bool:
    sent = hash_secret(secret)
    compared = [hmac.compare_digest(sent, known) for known in hashes]  # all of them, always
    return any(compared)


def _note_use(key: Document, now: datetime) -> None:
    if key.used_at is None or key.used_at < now - _USED_AT_MOST_EVERY:
        type(key).objects(id=key.id).update_one(set__used_at=now)


def _note_refusal(key_id: ObjectId | None, reason: str) -> None:
    log.info("key.refused", api_key=key_id and str(key_id), reason=reason)
