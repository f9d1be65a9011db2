"""Reversible encryption of stored secrets, with a key that is not in the database.

What is sealed under a former SECRET_KEY is sealed again under the current one, so that the former
can be dropped.
"""

from base64 import urlsafe_b64encode

import structlog
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from portal import settings
from portal.database.background import start_loop
from portal.documents.second_factors import AuthenticatorApp

_PAUSE_SECONDS = 10

log = structlog.get_logger()


def seal(secret: str) -> str:
    """``secret`` encrypted under the current SECRET_KEY."""
    return _box().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str | None:
    """The secret, sealed under the current or a former SECRET_KEY; ``None`` under any other."""
    try:
        return _box().decrypt(sealed).decode()
    except InvalidToken:
        return None


def reseal_all() -> int:
    """Seal the apps' secrets under the current SECRET_KEY that are not; how many there were. One
    that changes meanwhile is sealed under it by that change."""
    resealed = 0
    for app in AuthenticatorApp.objects.only("secret"):
        if fresh := _resealed(app.secret):
            unchanged = AuthenticatorApp.objects(id=app.id, secret=app.secret)
            resealed += unchanged.update_one(set__secret=fresh)
    return resealed


def start_resealing() -> None:
    """Seal again in a thread of this worker, if there is a former SECRET_KEY. Call it after the
    fork."""
    if settings.current().secret_key_fallbacks:
        start_loop("resealer", _reseal, pause_seconds=_PAUSE_SECONDS, once=True)


def _reseal() -> None:
    log.info("secrets.resealed", count=reseal_all())


def _resealed(sealed: str) -> str | None:
    """The same secret sealed under the current SECRET_KEY; ``None`` where it already is, or can't
    be unsealed."""
    try:
        _under(settings.current().secret_key).decrypt(sealed)
    except InvalidToken:
        secret = unseal(sealed)
        return seal(secret) if secret else None
    return None


def _box() -> MultiFernet:
    active = settings.current()
    return MultiFernet([_under(key) for key in (active.secret_key, *active.secret_key_fallbacks)])


def _under(secret_key: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"portal: stored secrets")
    return Fernet(urlsafe_b64encode(derived.derive(secret_key.encode())))
