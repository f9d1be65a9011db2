"""Signed tokens (JWT): made and checked here, for cookies and programs alike.

A key has one algorithm, by what it is and by the settings, never by what a token says (RFC 8725,
section 3.1): so none passes that was signed with a public key as if that were a secret.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from portal import settings
from portal.settings import DEFAULT_HMAC, Settings, key_files
from portal.settings.key_files import PrivateKey, PublicKey


class InvalidToken(Exception):
    """A token that is not ours, not of this kind, expired, or not valid yet."""


@dataclass(frozen=True, slots=True)
class Key:
    """What tokens are checked by."""

    id: str
    algorithm: str
    checks: str | PublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keys:
    """The key that signs, by its secret or private part, and all that are accepted."""

    current: Key
    signs: str | PrivateKey = field(repr=False)
    by_id: dict[str, Key]


def issue(kind: str, claims: dict[str, Any], *, issued_at: datetime, expires_at: datetime) -> str:
    """Sign ``claims`` with the current key; ``kind`` goes into the header as ``typ``."""
    keys = _keys_of(settings.current())
    return jwt.encode(
        {**claims, "iat": int(issued_at.timestamp()), "exp": int(expires_at.timestamp())},
        keys.signs,
        algorithm=keys.current.algorithm,
        headers={"typ": kind, "kid": keys.current.id},
    )


def read(kind: str, token: str) -> dict[str, Any]:
    """The claims of a token of this ``kind``, signed with the current or a former key.

    Raises InvalidToken. A token of another kind never passes (RFC 8725, section 3.11).
    """
    try:
        header = jwt.get_unverified_header(token)
        key = _keys_of(settings.current()).by_id.get(header.get("kid", ""))
        if key is None or header.get("typ") != kind:
            raise InvalidToken(f"not a {kind} token of this portal")
        return jwt.decode(
            token,
            key.checks,
            algorithms=[key.algorithm],
            options={"require": ["iat", "exp"]},
        )
    except (jwt.PyJWTError, TypeError, ValueError) as error:
        raise InvalidToken(str(error)) from error


def key_id(key: str | PublicKey) -> str:
    """What names a key: a secret without telling it, a public key by its digest."""
    if isinstance(key, str):
        digest = hmac.digest(key.encode(), b"key id", hashlib.sha256)
    else:
        content = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        digest = hashlib.sha256(content).digest()
    return base64.urlsafe_b64encode(digest[:6]).decode()


@lru_cache(maxsize=2)
def _keys_of(active: Settings) -> Keys:
    former = [*_former_public_keys(active), *_former_secrets(active)]
    signs: str | PrivateKey
    if active.jwt_algorithm in key_files.ALGORITHMS:
        signs = key_files.read_private_key(active.jwt_private_key_file)
        public = signs.public_key()
        current = Key(key_id(public), active.jwt_algorithm, public)
    else:
        signs = active.jwt_secret
        current = Key(key_id(signs), active.jwt_algorithm, signs)
    return Keys(current, signs, {key.id: key for key in (*former, current)})


def _former_public_keys(active: Settings) -> Iterator[Key]:
    for path in active.jwt_public_key_files:
        public = key_files.read_public_key(path)
        yield Key(key_id(public), key_files.algorithm_of(public), public)


def _former_secrets(active: Settings) -> Iterator[Key]:
    by_file = active.jwt_algorithm in key_files.ALGORITHMS
    algorithm = DEFAULT_HMAC if by_file else active.jwt_algorithm
    for secret in active.jwt_secret_fallbacks:
        yield Key(key_id(secret), algorithm, secret)
