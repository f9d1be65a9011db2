"""Events of edits in the audit trail: a document's id and its fields, never values.

Documents may be in another cluster than the trail, so no transaction writes both. The row of an
edit is marked as untold in the transaction of the edit; right after, its event is recorded, once
for each edit, and the row is marked as told. What a process that died left over, a thread of each
worker tells.
"""

from datetime import timedelta
from typing import Any

import structlog
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError

from portal import clock
from portal.audit.trail import record
from portal.data import extended_json
from portal.data.document_ids import address_of
from portal.data.edits import EditKind, EditState
from portal.data.handles import EXACT
from portal.data.patching import elements
from portal.data.recording import rows_between
from portal.database.background import start_loop
from portal.database.clusters import known_clusters
from portal.database.errors import ClusterUnavailable
from portal.database.kept_beside import BEFORE_IMAGES, EDITS, Rows, rows_of
from portal.database.leases import summary
from portal.database.transactions import transactional
from portal.database.write_records import CHANGED
from portal.documents.audit import AuditEvent, Origin
from portal.documents.organizations import Organization
from portal.tenants.elements import field_of

log = structlog.get_logger()

LONGEST_ID = 200
LONGEST_FIELDS = 1000
"""The characters of a document's id and of its fields that an event has."""

LEFT_OVER_AFTER = timedelta(seconds=10)
"""The time after which the process that made an edit tells it no longer."""

_PAUSE_SECONDS = 30
_AT_ONCE = 1000
_UNTOLD = {"told": False, "state": EditState.DONE, "documents": {"$gt": 0}}
_SEVERAL_INSERTED = "document.several_inserted"
_ACTIONS = {
    EditKind.INSERT: "document.inserted",
    EditKind.CHANGE: "document.changed",
    EditKind.DELETE: "document.deleted",
    EditKind.UNDO: "document.put_back",
}


def start() -> None:
    """Start the thread of this worker that tells what was left over; call it after the fork."""
    start_loop("edit_events", tell_left_over, pause_seconds=_PAUSE_SECONDS)


def tell_edits(organization: Organization) -> None:
    """Record the events of the organization's edits that have none yet. Where that fails, which is
    logged, a worker does it later: the edits are done."""
    try:
        _tell(rows_of(organization.placement.cluster, EDITS), {"_id.o": organization.id})
    except (PyMongoError, MongoEngineException, ClusterUnavailable) as error:
        log.warning("edits.not_told", organization=str(organization.id), error=summary(error))


def tell_left_over() -> None:
    """Record the events of all edits that processes left without, in every cluster that answers.
    Raises PyMongoError."""
    before = {"at": {"$lt": clock.now() - LEFT_OVER_AFTER}}
    for cluster in known_clusters():
        if cluster.lost_at:
            continue
        try:
            rows = rows_of(cluster.name, EDITS)
        except ClusterUnavailable:  # told once it answers
            continue
        _tell(rows, before)


def _tell(edits: Rows, which: dict[str, Any]) -> None:
    found = edits.with_options(codec_options=EXACT).find({**_UNTOLD, **which})
    for row in found.sort("_id", 1).limit(_AT_ONCE):
        _record(row["_id"]["o"], row, _details(edits, row))
        _mark_told(edits, row["_id"])


@transactional
def _record(organization_id: ObjectId, row: RawBSONDocument, details: dict[str, str]) -> None:
    """Record the event of an edit, unless it is recorded: of two at a time one meets the other at
    the head of the chain."""
    organization = Organization.objects(id=organization_id).first()
    edit_id = row["_id"]["i"]
    told = AuditEvent.objects(chain=organization_id, target=edit_id).first()
    if organization is None or told is not None:
        return
    action = _ACTIONS[EditKind(row["kind"])]
    if "document" not in details:
        action = _SEVERAL_INSERTED
    origin = Origin._from_son(dict(row["origin"]))
    record(organization, action, origin, target=edit_id, **details)


def _mark_told(edits: Rows, key: Any) -> None:
    edits.update_one({"_id": key}, {"$set": {"told": True}, "$inc": {"rev": 1}, **CHANGED})


def _details(edits: Rows, row: RawBSONDocument) -> dict[str, str]:
    if row["documents"] > 1:
        return {"count": str(row["documents"])}
    document_id = field_of(bytes(row.raw), "document") or _only_id(edits, row)
    details = {"document": _cut(_id_text(document_id), LONGEST_ID)}
    if row["fields"]:
        details["fields"] = _cut(", ".join(row["fields"]), LONGEST_FIELDS)
    return details


def _only_id(edits: Rows, row: RawBSONDocument) -> bytes:
    """The id of the only document of an edit that was made of one out of many."""
    images = edits.database[BEFORE_IMAGES].with_options(codec_options=EXACT)
    image = images.find_one(rows_between(row["_id"]["o"], row["_id"]["i"], 0, 1)) or {}
    content = bytes(image.raw) if isinstance(image, RawBSONDocument) else b""
    ids = field_of(content, "ids")
    return next(elements(ids[6:-1])).value if ids else field_of(content, "document") or b""


def _id_text(document_id: bytes) -> str:
    try:
        return extended_json.render_value(document_id)
    except ValueError:  # a text in it is no UTF-8
        return address_of(document_id)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
