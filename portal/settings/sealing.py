"""Reversible encryption of stored secrets, with a key that is not in the database."""

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from portal import settings


def seal(secret: str) -> str:
    """``secret`` encrypted under the current SECRET_KEY."""
    return _box().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str | None:
    """The secret, sealed under the current or a former SECRET_KEY; ``None`` under any other, and
    for what isn't sealed."""
    return _unsealed(sealed, _box())


def is_current(sealed: str) -> bool:
    """Tell whether the secret is sealed under the current SECRET_KEY."""
    return _unsealed(sealed, _under(settings.current().secret_key)) is not None


def _unsealed(sealed: str, box: Fernet | MultiFernet) -> str | None:
    try:
        return box.decrypt(sealed).decode()
    except (InvalidToken, ValueError):  # the latter of text that isn't ASCII
        return None


def _box() -> MultiFernet:
    active = settings.current()
    return MultiFernet([_under(key) for key in (active.secret_key, *active.secret_key_fallbacks)])


def _under(secret_key: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"portal: stored secrets")
    return Fernet(urlsafe_b64encode(derived.derive(secret_key.encode())))
