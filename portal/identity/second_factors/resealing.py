"""Brings what is sealed under a former SECRET_KEY under the current one, so that the former can be
given up one day."""

import structlog

from portal import settings
from portal.database.background import start_loop
from portal.documents.second_factors import AuthenticatorApp
from portal.identity.second_factors import sealing

log = structlog.get_logger()

PAUSE_SECONDS = 10


def reseal_all() -> int:
    """Seal each app's secret under the current key that is not; how many there were.

    One that is changed meanwhile is sealed under it by that.
    """
    resealed = 0
    for app in AuthenticatorApp.objects.only("secret"):
        fresh = sealing.resealed(app.secret)
        if fresh:
            mine = AuthenticatorApp.objects(id=app.id, secret=app.secret)
            resealed += mine.update_one(set__secret=fresh)
    return resealed


def start() -> None:
    """Do so in a thread of this worker, if there is a former key; call it after the fork."""
    if settings.current().secret_key_fallbacks:
        start_loop("resealer", _reseal, pause_seconds=PAUSE_SECONDS, once=True)


def _reseal() -> None:
    log.info("secrets.resealed", count=reseal_all())
