"""The history of an organization's documents, as it is read: its edits, newest first, and what
became of the documents of each."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from bson import MaxKey, ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession

from portal import clock
from portal.data import extended_json
from portal.data.document_ids import address_of, decoded, is_readable
from portal.data.edits import EditKind, EditState, Refusal
from portal.data.handles import EXACT, documents_of
from portal.data.history.errors import EditNotFound
from portal.data.recording import MOST_BYTES, edits_of, ids_in, rows_between
from portal.database.kept_beside import BEFORE_IMAGES, Rows
from portal.database.paging import Page, page_from
from portal.documents.audit import Origin
from portal.documents.jobs import Job, JobState
from portal.documents.organizations import Organization
from portal.tenants.elements import field_of

EDITS_PER_PAGE = 25
OUTCOMES_PER_PAGE = 50
AS_BEFORE = "as before"
"""The count of documents that an edit of many found as it would have made them."""

_WORDS = {
    EditKind.INSERT: "Inserted",
    EditKind.CHANGE: "Changed",
    EditKind.DELETE: "Deleted",
    EditKind.ERASE: "Erased for good",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """An edit in the history: what was done, by whom, why, and what may be done about it.

    ``documents`` were changed, ``left`` were left alone. ``undo`` is the edit that undid it, or
    tried to. ``state`` is that of its job while it is open.
    """

    id: ObjectId
    kind: EditKind
    at: datetime
    origin: Origin
    title: str | None
    fields: tuple[str, ...]
    reason: str | None
    documents: int
    rows: int
    counts: Mapping[str, int]
    document: bytes | None
    expires_at: datetime
    given_up: bool
    open: bool
    job: ObjectId | None
    undo_of: ObjectId | None
    undo: ObjectId | None
    undone: bool = False
    undo_open: bool = False
    progress: int | None = None
    stopped: bool = False

    @classmethod
    def of(cls, row: RawBSONDocument) -> Self:
        """From its row."""
        return cls(
            id=row["_id"]["i"],
            kind=EditKind(row["kind"]),
            at=row["at"],
            origin=Origin._from_son(dict(row["origin"])),
            title=row.get("title"),
            fields=tuple(row.get("fields", ())),
            reason=row.get("reason"),
            documents=row["documents"],
            rows=row["rows"],
            counts=dict(row.get("counts", {})),
            document=field_of(bytes(row.raw), "document"),
            expires_at=row["expires_at"],
            given_up=bool(row.get("given_up")),
            open=row["state"] == EditState.OPEN,
            job=row.get("job"),
            undo_of=row.get("undo_of"),
            undo=row.get("undo"),
        )

    @property
    def left(self) -> int:
        """The number of documents that were left alone."""
        return self.rows - self.documents

    @property
    def can_be_undone(self) -> bool:
        """True where something of it may be put back."""
        kept = not self.given_up and self.kind != EditKind.ERASE and self.documents > 0
        return kept and not (self.undone or self.undo_open or self.running)

    @property
    def running(self) -> bool:
        """True while its job goes on."""
        return self.open and not self.stopped and self.job is not None

    @property
    def words(self) -> str:
        """The edit in words, without the id of a document."""
        return self.title or _WORDS[self.kind] + (
            f" {', '.join(self.fields)}" if self.fields else ""
        )

    @property
    def actor(self) -> str:
        """The actor in words."""
        return self.origin.email or self.origin.actor_name or "the portal"

    @property
    def shown_id(self) -> str | None:
        """The id of its only document, as Extended JSON."""
        return None if self.document is None else shown_id(self.document)

    @property
    def address(self) -> str | None:
        """The address of its only document."""
        return None if self.document is None else address_of(self.document)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A document that an edit left as it is, and why."""

    number: int
    document: bytes
    refusal: Refusal
    detail: str | None

    @property
    def shown_id(self) -> str:
        """Its id, as Extended JSON."""
        return shown_id(self.document)

    @property
    def address(self) -> str:
        """Its address."""
        return address_of(self.document)


@dataclass(frozen=True, slots=True)
class Space:
    """The space of an organization's before-images, used and at most."""

    used_bytes: int
    most_bytes: int = MOST_BYTES


def shown_id(document_id: bytes) -> str:
    """An id for people: an ObjectId's digits, else its Extended JSON; its address where text in it
    is no UTF-8."""
    if not is_readable(document_id):
        return address_of(document_id)
    value = decoded(document_id)
    return (
        str(value)
        if isinstance(value, ObjectId)
        else extended_json.render_value(document_id, relaxed=True)
    )


def list_edits(
    organization: Organization,
    *,
    before: ObjectId | None = None,
    after: ObjectId | None = None,
    document: bytes | None = None,
    account: ObjectId | None = None,
) -> Page:
    """A page of the history, newest first: of all documents, or of one; by all, or by one account.
    ``before`` and ``after`` are the ids of its neighbours in that order."""
    edits = edits_of(documents_of(organization))
    own: dict[str, Any] = {"_id.o": organization.id, "expires_at": {"$gt": clock.now()}}
    if account is not None:
        own["origin.account"] = account
    if document is not None:
        own["_id.i"] = {"$in": list(edits_with(edits, organization.id, document))}
    backwards = before is not None
    edge = before if backwards else after
    bounds: dict[str, Any] = {"$gte": _key(organization.id), "$lt": _key(organization.id, None)}
    if edge is not None:
        bounds["$gt" if backwards else "$lt"] = _key(organization.id, edge)
    found = edits.with_options(codec_options=EXACT).find({**own, "_id": bounds})
    found = found.sort("_id", 1 if backwards else -1).limit(EDITS_PER_PAGE + 1)
    rows = [{"i": row["_id"]["i"], "row": row} for row in found]
    page = page_from(rows, key="i", size=EDITS_PER_PAGE, before=before, after=after)
    entries = _with_states(edits, organization.id, [Entry.of(each["row"]) for each in page.rows])
    return replace(page, rows=entries)


def entry_of(organization: Organization, edit_id: str | ObjectId) -> Entry:
    """The edit with this id. Raises EditNotFound."""
    edits = edits_of(documents_of(organization))
    row = None
    if ObjectId.is_valid(edit_id):
        key = {"o": organization.id, "i": ObjectId(edit_id)}
        kept = {"_id": key, "expires_at": {"$gt": clock.now()}}
        row = edits.with_options(codec_options=EXACT).find_one(kept)
    if row is None:
        raise EditNotFound
    return _with_states(edits, organization.id, [Entry.of(row)])[0]


def outcomes_of(
    organization: Organization, entry: Entry, *, after: int | None = None
) -> list[Outcome]:
    """The documents that the edit left alone, from behind a number on, OUTCOMES_PER_PAGE and one
    more at most."""
    images = edits_of(documents_of(organization)).database[BEFORE_IMAGES]
    first = 0 if after is None else after + 1
    wanted = rows_between(organization.id, entry.id, first, None) | {"refusal": {"$exists": True}}
    found = images.with_options(codec_options=EXACT).find(wanted).sort("_id", 1)
    return [
        Outcome(
            row["_id"]["n"],
            field_of(bytes(row.raw), "document") or b"",
            Refusal(row["refusal"]),
            row.get("detail"),
        )
        for row in found.limit(OUTCOMES_PER_PAGE + 1)
    ]


def refusals_of(organization: Organization, entry: Entry) -> Counter[Refusal]:
    """The number of documents that the edit left alone, by the reason."""
    images = edits_of(documents_of(organization)).database[BEFORE_IMAGES]
    wanted = rows_between(organization.id, entry.id, 0, None) | {"refusal": {"$exists": True}}
    groups = images.aggregate(
        [{"$match": wanted}, {"$group": {"_id": "$refusal", "n": {"$sum": 1}}}]
    )
    return Counter({Refusal(group["_id"]): group["n"] for group in groups})


def erasures_of(organization: Organization, outcomes: Sequence[Outcome]) -> dict[bytes, Entry]:
    """The edits by which documents were erased for good, of those that are told to be."""
    erased = [each.document for each in outcomes if each.refusal == Refusal.ERASED]
    if not erased:
        return {}
    edits = edits_of(documents_of(organization)).with_options(codec_options=EXACT)
    among = {"$in": [decoded(each) for each in erased]}
    wanted = {"_id.o": organization.id, "kind": EditKind.ERASE, "document": among}
    found = (Entry.of(row) for row in edits.find(wanted))
    return {entry.document: entry for entry in found if entry.document}


def later_edits_of(
    organization: Organization, entry: Entry, outcomes: Sequence[Outcome]
) -> dict[bytes, Entry]:
    """The latest recorded edits of documents that were changed or deleted later, as far as who did
    it is recorded."""
    later = (Refusal.CHANGED_LATER, Refusal.DELETED_LATER)
    documents = [each.document for each in outcomes if each.refusal in later]
    if not documents:
        return {}
    edits = edits_of(documents_of(organization))
    made = {"refusal": {"$exists": False}, "_id.e": {"$ne": entry.id}}
    rows = (
        edits.database[BEFORE_IMAGES]
        .with_options(codec_options=EXACT)
        .find(
            {
                "_id.o": organization.id,
                "document": {"$in": [decoded(each) for each in documents]},
                "_id.p": 0,
                **made,
            },
            {"document": 1, "deleted": 1},
        )
        .sort("_id.e", 1)
    )
    wanted = set(documents)
    latest = {each: row["_id"]["e"] for row in rows for each in wanted.intersection(ids_in(row))}
    keys = [{"o": organization.id, "i": each} for each in set(latest.values())]
    found = edits.with_options(codec_options=EXACT).find({"_id": {"$in": keys}})
    by_id = {row["_id"]["i"]: Entry.of(row) for row in found}
    undone = entry.undo_of or entry.id
    return {
        document: by_id[edit]
        for document, edit in latest.items()
        if edit in by_id and edit != undone
    }


def space_of(organization: Organization) -> Space:
    """The space that the organization's before-images take."""
    edits = edits_of(documents_of(organization))
    total = edits.aggregate(
        [
            {"$match": {"_id.o": organization.id}},
            {"$group": {"_id": None, "size": {"$sum": "$size"}}},
        ]
    )
    return Space(next((row["size"] for row in total), 0))


def _key(organization: ObjectId, *edit: Any) -> dict[str, Any]:
    if not edit:
        return {"o": organization}
    return {"o": organization, "i": MaxKey() if edit[0] is None else edit[0]}


def edits_with(
    edits: Rows, organization: ObjectId, document: bytes, session: ClientSession | None = None
) -> Iterator[ObjectId]:
    """The edits that inserted, changed or deleted a document, or left it alone."""
    images, value = edits.database[BEFORE_IMAGES], decoded(document)
    own = {"_id.o": organization}
    document_is = {"document": {"$eq": value, "$exists": True}}  # or null is any without one
    for wanted in (document_is, {"inserted": {"$gt": 0}, "ids": {"$eq": value}}):
        for row in images.find({**own, **wanted}, {"_id": 1}, session=session):
            yield row["_id"]["e"]


def _with_states(edits: Rows, organization: ObjectId, entries: list[Entry]) -> list[Entry]:
    """The entries with what became of their jobs and undos."""
    undos = _undos(edits, organization, [each.undo for each in entries if each.undo])
    again = [row["undo"] for row in undos.values() if row.get("undo")]
    undos |= _undos(edits, organization, again)
    job_ids = {each.job for each in entries if each.open and each.job}
    job_ids |= {row["job"] for row in undos.values() if row.get("job")}
    jobs = {job.id: job for job in Job.objects(organization=organization, id__in=job_ids)}
    return [_with_state(entry, undos, jobs) for entry in entries]


def _with_state(
    entry: Entry, undos: Mapping[ObjectId, Mapping[str, Any]], jobs: Mapping[ObjectId, Job]
) -> Entry:
    job = jobs.get(entry.job) if entry.job else None
    entry = replace(entry, stopped=entry.open and not (job and job.open))
    undo = undos.get(entry.undo) if entry.undo else None
    if undo is None:
        return entry
    again = undos.get(undo["undo"]) if undo.get("undo") else None
    undone_again = again is not None and again["state"] == EditState.DONE
    job = jobs.get(undo["job"]) if undo.get("job") else None
    is_open = undo["state"] == EditState.OPEN and bool(job and job.state == JobState.RUNNING)
    # What was as before anyhow, or was left alone, may be put back once other edits are undone.
    counts = undo.get("counts") or {}
    whole = undo["rows"] == undo["documents"] and not counts.get(AS_BEFORE)
    done = undo["state"] == EditState.DONE and whole
    percent = None
    if is_open and job is not None and job.progress.total:
        percent = job.progress.done * 100 // job.progress.total
    return replace(entry, undone=done and not undone_again, undo_open=is_open, progress=percent)


def _undos(
    edits: Rows, organization: ObjectId, ids: list[ObjectId]
) -> dict[ObjectId, Mapping[str, Any]]:
    keys = [{"o": organization, "i": each} for each in ids]
    shown = dict.fromkeys(("state", "rows", "documents", "counts", "undo", "job"), 1)
    return {row["_id"]["i"]: row for row in edits.find({"_id": {"$in": keys}}, shown)}
