"""Brings what is sealed under a former SECRET_KEY under the current one, so that the former can be
given up one day."""

import threading

import structlog

from portal import settings
from portal.database import connection
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
        threading.Thread(target=_run, name="resealer", daemon=True).start()


def _run() -> None:
    pause = threading.Event()
    while True:
        try:
            connection.prepare()
            log.info("secrets.resealed", count=reseal_all())
            return
        except Exception as error:
            if not connection.unavailable(error):
                log.exception("resealer.failed")
                return
            log.warning("resealer.no_database", error=str(error)[:300])
        pause.wait(PAUSE_SECONDS)
