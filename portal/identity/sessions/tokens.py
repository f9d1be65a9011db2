"""Signed tokens (JWT), for cookies and programs alike.

A signing key has one algorithm, by its type and the settings, never by what a token says (RFC 8725,
section 3.1): so none passes that was signed with a public key as if that were a secret.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from portal import clock, settings
from portal.database.connection import CLOCKS_DIFFER_SECONDS
from portal.settings import DEFAULT_HMAC, Settings, key_files
from portal.settings.key_files import PrivateKey, PublicKey


class InvalidToken(Exception):
    """A token that is not ours, not of this kind, expired, or not valid yet."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key that tokens are verified with."""

    id: str
    algorithm: str
    material: str | PublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The key that signs, with its secret or private part, and all keys that are accepted."""

    current: VerificationKey
    signing: str | PrivateKey = field(repr=False)
    by_id: dict[str, VerificationKey]


def issue(kind: str, claims: dict[str, Any], *, issued_at: datetime, expires_at: datetime) -> str:
    """Sign ``claims`` with the current key; ``kind`` goes into the header as ``typ``."""
    keys = _key_ring(settings.current())
    return jwt.encode(
        {**claims, "iat": int(issued_at.timestamp()), "exp": int(expires_at.timestamp())},
        keys.signing,
        algorithm=keys.current.algorithm,
        headers={"typ": kind, "kid": keys.current.id},
    )


def verify(kind: str, token: str) -> dict[str, Any]:
    """The claims of a token of this ``kind``, signed with the current or a former key. Raises
    InvalidToken. A token of another kind never passes (RFC 8725, section 3.11)."""
    try:
        typ, kid = _header(token.partition(".")[0])
        key = _key_ring(settings.current()).by_id.get(kid)
        if key is None or typ != kind:
            raise InvalidToken(f"not a {kind} token of this portal")
        claims = jwt.decode(
            token,
            key.material,
            algorithms=[key.algorithm],
            options={"require": ["iat", "exp"], "verify_iat": False},
        )
        # Another portal may have issued it, whose clock is ahead.
        if claims["iat"] > clock.now().timestamp() + CLOCKS_DIFFER_SECONDS:
            raise InvalidToken("not valid yet")
        return claims
    except (jwt.PyJWTError, TypeError, ValueError) as error:
        raise InvalidToken(str(error)) from error


@lru_cache(maxsize=16)
def _header(encoded: str) -> tuple[Any, Any]:
    """Type and key id of a token's header, by which the key is chosen that verifies it. Tokens of
    one kind and key have the same."""
    header = jwt.get_unverified_header(f"{encoded}..")
    return header.get("typ"), header.get("kid", "")


def key_id(key: str | PublicKey) -> str:
    """The id of a signing key: an HMAC of a secret, the digest of a public key."""
    if isinstance(key, str):
        digest = hmac.digest(key.encode(), b"key id", hashlib.sha256)
    else:
        content = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        digest = hashlib.sha256(content).digest()
    return base64.urlsafe_b64encode(digest[:6]).decode()


@lru_cache(maxsize=2)
def _key_ring(active: Settings) -> KeyRing:
    publics = map(key_files.read_public_key, active.jwt_public_key_files)
    accepted = [VerificationKey(key_id(key), key_files.algorithm_of(key), key) for key in publics]
    by_file = active.jwt_algorithm in key_files.ALGORITHMS
    algorithm = DEFAULT_HMAC if by_file else active.jwt_algorithm
    accepted += [
        VerificationKey(key_id(secret), algorithm, secret) for secret in active.jwt_secret_fallbacks
    ]
    signing: str | PrivateKey
    if by_file:
        signing = key_files.read_private_key(active.jwt_private_key_file)
        public = signing.public_key()
        current = VerificationKey(key_id(public), active.jwt_algorithm, public)
    else:
        signing = active.jwt_secret
        current = VerificationKey(key_id(signing), active.jwt_algorithm, signing)
    return KeyRing(current, signing, {key.id: key for key in (*accepted, current)})
