"""Hashes that stand for a secret, or for what somebody typed, in the database."""

import hashlib


def hash_secret(secret: str | bytes) -> str:
    """SHA-256 (hex) of a secret that is random enough to need no slow hash, or of a text that is
    only ever compared."""
    if isinstance(secret, str):
        secret = secret.encode(errors="replace")
    return hashlib.sha256(secret).hexdigest()
