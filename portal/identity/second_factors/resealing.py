"""Seals again, under the current SECRET_KEY, what is sealed under a former one, so that the former
can be dropped."""

import structlog

from portal import settings
from portal.database.background import start_loop
from portal.documents.second_factors import AuthenticatorApp
from portal.identity.second_factors import sealing

log = structlog.get_logger()

PAUSE_SECONDS = 10


def reseal_all() -> int:
    """Seal the apps' secrets under the current SECRET_KEY that are not; how many there were.

    One that changes meanwhile is sealed under it by that change.
    """
    resealed = 0
    for app in AuthenticatorApp.objects.only("secret"):
        if fresh := sealing.resealed(app.secret):
            unchanged = AuthenticatorApp.objects(id=app.id, secret=app.secret)
            resealed += unchanged.update_one(set__secret=fresh)
    return resealed


def start() -> None:
    """Seal again in a thread of this worker, if there is a former SECRET_KEY. Call it after the
    fork."""
    if settings.current().secret_key_fallbacks:
        start_loop("resealer", _reseal, pause_seconds=PAUSE_SECONDS, once=True)


def _reseal() -> None:
    log.info("secrets.resealed", count=reseal_all())
