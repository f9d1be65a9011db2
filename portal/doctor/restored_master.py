"""Notices that master data were set back, and begins an epoch of the directory: else applications
would take restored versions, which are lower than those that they know, for old answers.

Master data count their marks, and ``<TENANT_DB>_internal`` keeps the highest one: each start of a
portal and each command sets one, the examination of every hour too. It is counted before it is
kept, so one that is kept and was never counted is of master data that aren't there any more. A
backup that has both databases tells nothing: ``flask doctor --adopt-restored`` is for that.
"""

from typing import Any

import structlog
from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from portal import settings
from portal.audit.trail import installation, record
from portal.database import directory
from portal.database.connection import client, master_database
from portal.database.portal_role import internal_database
from portal.database.transactions import transactional
from portal.database.users import UNAUTHORIZED
from portal.documents.installation import INSTALLATION, Installation
from portal.web.context import RequestContext

log = structlog.get_logger()

COLLECTION = "installation"


def begin_epoch(context: RequestContext) -> None:
    """Have applications believe the directory from now on, whatever versions they knew before."""
    epoch = directory.raise_epoch(master_database(), settings.current().tenant_db)
    _record(epoch, context)


def notice_restored() -> None:
    """Begin an epoch if master data were set back since the last call of any process. Interrupted
    anywhere, the next call does it. Raises PyMongoError."""
    try:
        _notice()
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        log.warning("master_data.not_compared", error=str(error))


def _notice() -> None:
    # Read in this order: whoever counts has made the record beside before, and raises it after.
    known = Installation.objects(marks__exists=True).first()
    kept = _beside().find_one({"_id": INSTALLATION})
    if kept is None and known is None:  # the first time
        _keep(0)
    counted = _count({"$inc": {"marks": 1}})
    set_back = kept["marks"] >= counted if kept else known is not None
    if set_back:
        log.warning("master_data.set_back", note="an epoch begins, so that applications go on")
        begin_epoch(RequestContext())
        counted = _count({"$max": {"marks": (kept or {"marks": counted})["marks"] + 1}})
    _keep(counted)


def _count(change: dict[str, Any]) -> int:
    counted: int = Installation._get_collection().find_one_and_update(
        {"_id": INSTALLATION}, change, upsert=True, return_document=ReturnDocument.AFTER
    )["marks"]
    return counted


def _keep(marks: int) -> None:
    _beside().update_one({"_id": INSTALLATION}, {"$max": {"marks": marks}}, upsert=True)


def _beside() -> Collection[dict[str, Any]]:
    return client()[internal_database(settings.current().tenant_db)][COLLECTION]


@transactional
def _record(epoch: int, context: RequestContext) -> None:
    record(installation(), "installation.epoch_begun", context.origin, epoch=str(epoch))
