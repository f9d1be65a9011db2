"""Erasing a document for good: itself, what its edits keep of it, and the content of all files that
may have it. What stays is that it was erased, by whom, when and why, under its id.

A row of an edit that kept the document stays without it, so a later undo says that it was erased.
Where the organization is between two clusters, what is beside the documents is erased at both; and
once more where a move began or switched meanwhile, which may have carried along what was not yet.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import bson
from bson import Binary, ObjectId
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from portal.audit.deletions import Deletion, deleting
from portal.data.access import DocumentAccess
from portal.data.edits import EditKind
from portal.data.exact import by_id, delete_exactly
from portal.data.handles import documents_of
from portal.data.history.entries import edits_with, shown_id
from portal.data.history.errors import EditNotFound, OthersRunning
from portal.data.recording import (
    DIGEST_BYTES,
    assign_job,
    close_edit,
    documents_in,
    edits_of,
    open_edit,
    prepare_recording,
)
from portal.data.works import access_of, while_reachable
from portal.database.clusters import is_lost
from portal.database.kept_beside import (
    BEFORE_IMAGES,
    EDITS,
    FILE_CHUNKS,
    FILES,
    rows_in,
    rows_of,
)
from portal.database.write_records import CHANGED
from portal.documents.jobs import Job
from portal.documents.moves import Move
from portal.documents.organizations import Organization
from portal.jobs.errors import JobExists
from portal.jobs.managing import start_job
from portal.jobs.running import JobKind, Run
from portal.tenants._sync.sessions import transacted

_TRANSACTION: dict[str, Any] = {
    "read_concern": ReadConcern("local"),
    "write_concern": WriteConcern("majority"),
}
_AT_ONCE = 200


def erase_document(
    access: DocumentAccess, document_id: bytes, *, reason: str | None = None
) -> tuple[ObjectId, Job]:
    """Delete the document at once, and have a job erase what is kept of it; the edit and the job.
    Raises OthersRunning while a job works on the organization's documents, UnderHold."""
    organization = access.organization
    others = Job.objects(organization=organization.id, open=True, kind__ne=KIND.name).first()
    if others is not None:
        raise OthersRunning(others.title)
    prepare_recording(organization)

    def delete(handle: Any) -> ObjectId:
        delete_exactly(handle, [document_id])
        # An undo of one of these may be about to put it back: it changes the same row.
        edits = rows_in(handle.session.client, EDITS)
        having = set(edits_with(edits, organization.id, document_id, handle.session))
        keys = [{"o": organization.id, "i": each} for each in having]
        edits.update_many(
            {"_id": {"$in": keys}}, {"$inc": {"rev": 1}, **CHANGED}, session=handle.session
        )
        edit = open_edit(
            handle, access, EditKind.ERASE, title=f"Erased {shown_id(document_id)} for good",
            reason=reason, document=document_id,
        )  # fmt: skip
        return edit.id

    with deleting(organization.id, Deletion.ERASURE, access.context.origin):
        edit_id: ObjectId = documents_of(organization).with_transaction(delete)
    try:
        job = start_job(
            KIND,
            f"{organization.id}/{edit_id}",
            f"Erasing {shown_id(document_id)} for good",
            access.context,
            organization=organization.id,
            parameters={"edit": edit_id},
        )
    except JobExists as error:
        job = error.job
    assign_job(organization, edit_id, job.id)
    return edit_id, job


def exists(access: DocumentAccess, document_id: bytes) -> bool:
    """Tell whether there is a document with this id."""
    found = documents_of(access.organization).find_one(by_id(document_id), {"_id": 1})
    return found is not None


def _work(run: Run) -> dict[str, Any]:
    edit_id, organization = run.job.parameters["edit"], access_of(run.job).organization
    with while_reachable():
        assign_job(organization, edit_id, run.job.id)
        edits = edits_of(documents_of(organization))
        row = edits.find_one({"_id": {"o": organization.id, "i": edit_id}})
        if row is None:
            raise EditNotFound
        erased, files, known = 0, Counter[str](), None
        while (there := _whereabouts_of(organization)) != known:
            for cluster in there.clusters:
                run.check()
                internal = rows_of(cluster, EDITS).database
                erased += _erase_images(internal, organization.id, row["document"], run.check)
                files[cluster] = _delete_files(internal, organization.id, run.check)
                _forget_plans(internal, organization.id)
            close_edit(organization, edit_id)
            known, organization = there, access_of(run.job).organization
    return {"images": erased, "files": files.total()}


KIND = JobKind("erasure", goes_on="goes on by itself", work=_work)
"""The kind of jobs that erase documents for good."""


@dataclass(frozen=True, slots=True)
class _Whereabouts:
    """The place of an organization's documents, and the clusters that have something of it: two
    while it moves, or may go back. Where it lives comes first: a move copies from there."""

    place: dict[str, Any]
    clusters: tuple[str, ...]


def _whereabouts_of(organization: Organization) -> _Whereabouts:
    place = organization.placement.to_mongo().to_dict()
    clusters = {organization.placement.cluster: None}
    for move in Move.objects(organization=organization.id, open=True):
        clusters |= dict.fromkeys((move.source.cluster, move.target.cluster))
    there = tuple(cluster for cluster in clusters if not is_lost(cluster))
    return _Whereabouts(place, there)


def _erase_images(
    internal: Database, organization: ObjectId, value: Any, check: Callable[[], None]
) -> int:
    """Erase what edits keep of the document; how many rows."""
    images, own = internal[BEFORE_IMAGES], {"_id.o": organization}
    named = {**own, "document": {"$eq": value, "$exists": True}}
    kept = named | {name: {"$exists": False} for name in ("erased", "refusal", "deleted")}
    erased = 0
    while row := images.find_one(kept, {"_id": 1}):
        check()
        with deleting(organization, Deletion.ERASURE):
            erased += _in_transaction(internal, row["_id"], _erase_image)
    inserted = {**own, "inserted": {"$gt": 0}, "ids": {"$eq": value}}
    shared = (
        (named | {"deleted": {"$gt": 0}}, _erase_deletion),
        (inserted, _erase_insertion),
    )
    for which, erase in shared:
        for row in images.find(which, {"_id": 1}):
            check()
            with deleting(organization, Deletion.ERASURE):
                erased += _in_transaction(internal, row["_id"], partial(erase, value))
    return erased


def _in_transaction(
    internal: Database,
    row_id: dict[str, Any],
    erase: Callable[[Database, Any, ClientSession], int],
) -> int:
    """Erase in a row, and change its edit, which an undo of that changes too: so of the two one
    sees what the other did."""

    def write(session: ClientSession) -> int:
        internal[EDITS].update_one(
            {"_id": {"o": row_id["o"], "i": row_id["e"]}},
            {"$inc": {"rev": 1}, **CHANGED},
            session=session,
        )
        return erase(internal, row_id, session)

    with internal.client.start_session() as session:
        done: int = transacted(session, write, **_TRANSACTION)
        return done


def _erase_image(internal: Database, row_id: Any, session: ClientSession) -> int:
    gone = {"$set": {"erased": True, "parts": 0, "after": None}, "$unset": {"before": ""}}
    gone |= {"$inc": {"rev": 1}, **CHANGED}
    return internal[BEFORE_IMAGES].update_one({"_id": row_id}, gone, session=session).modified_count


def _erase_insertion(value: Any, internal: Database, row_id: Any, session: ClientSession) -> int:
    """Erase the digest of an insertion among others."""
    row = _found_in(internal, row_id, "ids", value, session)
    if row is None:
        return 0
    start = row["at"] * DIGEST_BYTES
    digests = bytearray(row["after"])
    digests[start : start + DIGEST_BYTES] = bytes(DIGEST_BYTES)
    return _erase_place(internal, row, "after", bytes(digests), session)


def _erase_deletion(value: Any, internal: Database, row_id: Any, session: ClientSession) -> int:
    """Erase a document that was deleted among others; an empty one stays in its place."""
    row = _found_in(internal, row_id, "document", value, session)
    if row is None:
        return 0
    documents = list(documents_in(row.get("before", b"")))
    documents[row["at"] : row["at"] + 1] = [_EMPTY] if documents else []
    return _erase_place(internal, row, "before", b"".join(documents), session)


_EMPTY = bson.encode({})


def _found_in(
    internal: Database, row_id: Any, ids: str, value: Any, session: ClientSession
) -> Mapping[str, Any] | None:
    """The row with the place ``at`` which the id has among its ``ids``, as the server compares."""
    at = {"$indexOfArray": [f"${ids}", {"$literal": value}]}
    found = internal[BEFORE_IMAGES].aggregate(
        [{"$match": {"_id": row_id}}, {"$project": {"at": at, "after": 1, "before": 1}}],
        session=session,
    )
    row = next(iter(found), None)
    return None if row is None or row["at"] < 0 else row


def _erase_place(
    internal: Database, row: Mapping[str, Any], name: str, content: bytes, session: ClientSession
) -> int:
    changed = {"$set": {name: Binary(content)}, "$addToSet": {"erased": row["at"]}}
    changed |= {"$inc": {"rev": 1}, **CHANGED}
    images = internal[BEFORE_IMAGES]
    return images.update_one({"_id": row["_id"]}, changed, session=session).modified_count


def _forget_plans(internal: Database, organization: ObjectId) -> None:
    """Forget what edits of many went by, which may have values of the document: of those that came
    to no end, and that an earlier version left at the end."""
    own = {"_id.o": organization, "plan": {"$exists": True}}
    with deleting(organization, Deletion.ERASURE):
        internal[EDITS].update_many(own, {"$unset": {"plan": ""}, "$inc": {"rev": 1}, **CHANGED})


def _delete_files(internal: Database, organization: ObjectId, check: Callable[[], None]) -> int:
    """Delete the content of all files of imports and exports, and what is told of it; how many
    files. Any may have the document, and an upload that goes on begins anew."""
    own, later = {"_id.o": organization}, {"$inc": {"rev": 1}, **CHANGED}
    ends = {"$currentDate": {"content_until": True, "changed": True}, "$inc": {"rev": 1}}
    with deleting(organization, Deletion.ERASURE):
        ended = internal[FILES].update_many(own, ends)
    chunks = internal[FILE_CHUNKS]
    while ids := [row["_id"] for row in chunks.find(own, {"_id": 1}).limit(_AT_ONCE)]:
        with deleting(organization, Deletion.ERASURE):
            chunks.delete_many({"_id": {"$in": ids}})
        check()
    for name, field, nothing in _EXAMPLES:
        where = {**own, field.rpartition(".")[0]: {"$type": "object"}, field: {"$exists": True}}
        with deleting(organization, Deletion.ERASURE):
            internal[name].update_many(where, {"$set": {field: nothing}, **later})
    return ended.modified_count


# Cells and lines of files, and filters, that rows tell: where, and what stands there instead.
_EXAMPLES: tuple[tuple[str, str, Any], ...] = (
    (EDITS, "position.faults", None),
    (FILES, "details.check.reached.faults", None),
    (FILES, "details.examined", None),
    (FILES, "details.detected.candidates", []),
    (FILES, "details.detected.headers", []),
    (FILES, "details.detected.likely_heading", []),
    (FILES, "details.detected.first_lines", []),
    (FILES, "details.draft", None),
    # Headings, which may be values, and the words of yes and no.
    (FILES, "details.detected.options.columns", []),
    (FILES, "details.options.columns", []),
    (FILES, "details.plan.options.columns", []),
    (FILES, "details.query", Binary(bson.encode({"filter": {}, "sort": {}}))),
    (FILES, "details.words", "documents"),
)
