"""Writes that rules refused, as far as they came by the portal, are counted with the rules."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from portal import clock
from portal.data.errors import DocumentInvalid
from portal.documents.rules_versions import RulesVersion

log = structlog.get_logger()


@contextmanager
def noting_refused(organization: ObjectId) -> Iterator[None]:
    """Count a write that the rules of the organization's documents refuse."""
    try:
        yield
    except DocumentInvalid:
        note_refused(organization)
        raise


def note_refused(organization: ObjectId) -> None:
    """Count a refused write with the rules that were put into force last."""
    try:
        RulesVersion._get_collection().find_one_and_update(
            {"organization": organization},
            {"$inc": {"refused": 1}, "$set": {"refused_at": clock.now()}},
            {"_id": 1},
            sort=[("seq", -1), ("found", 1)],
        )
    except PyMongoError as error:  # the write is refused all the same
        log.warning("refused_write.not_noted", error=str(error)[:200])
