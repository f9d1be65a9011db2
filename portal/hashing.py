"""Hashes that the database stores instead of secrets and user input."""

import hashlib


def hash_secret(secret: str | bytes) -> str:
    """SHA-256 (hex) of a secret that is random enough to need no slow hash, or of a text only ever
    compared."""
    if isinstance(secret, str):
        secret = secret.encode(errors="replace")
    return hashlib.sha256(secret).hexdigest()
