"""Stored secrets, sealed again under the current SECRET_KEY, so that the former can be dropped."""

import structlog
from mongoengine import Document

from portal import settings
from portal.database.background import start_loop
from portal.documents.clusters import Cluster
from portal.documents.second_factors import AuthenticatorApp
from portal.settings import sealing

_PAUSE_SECONDS = 10
SEALED: tuple[tuple[type[Document], str], ...] = ((AuthenticatorApp, "secret"), (Cluster, "uri"))
"""Documents with a sealed secret, and its field."""

log = structlog.get_logger()


def reseal_all() -> int:
    """Seal the secrets under the current SECRET_KEY that are not; how many there were. One that
    changes meanwhile is sealed under it by that change; one that no key unseals is logged, and
    left as it is."""
    resealed = 0
    for document, field in SEALED:
        collection = document._get_collection()
        # The record of the first cluster has no URI.
        for found in collection.find({field: {"$type": "string"}}, {field: 1}):
            if sealing.is_current(found[field]):
                continue
            secret = sealing.unseal(found[field])
            if secret is None:
                log.error("secrets.unreadable", kind=document.__name__, id=str(found["_id"]))
                continue
            changed = collection.update_one(found, {"$set": {field: sealing.seal(secret)}})
            resealed += changed.modified_count
    return resealed


def start() -> None:
    """Seal again in a thread of this worker, if there is a former SECRET_KEY. Call it after the
    fork."""
    if settings.current().secret_key_fallbacks:
        start_loop("resealer", _reseal, pause_seconds=_PAUSE_SECONDS, once=True)


def _reseal() -> None:
    log.info("secrets.resealed", count=reseal_all())
