"""Indexes of an organization's collection: listed, hidden, dropped; built by ``index_builds``."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pymongo.errors import OperationFailure

from portal import clock
from portal.audit.trail import record
from portal.data.access import DocumentAccess
from portal.data.errors import IndexNotFound, InvalidIndex, NeedsOwnPlacement
from portal.data.indexes.partial import check_partial
from portal.data.masks.masks import MASKED, Mask
from portal.data.server_errors import reading
from portal.database.clusters import database_of
from portal.database.transactions import transactional
from portal.documents.organizations import Organization, Strategy
from portal.errors import PortalError
from portal.organizations.access.lookup import Access, begin_change
from portal.organizations.storage import stored_by, tenant_of
from portal.tenants.collections import CollectionError, Figures, send
from portal.tenants.queries import check_filter
from portal.web.context import RequestContext
from portal.web.counting import counted

MOST_INDEXES = 20
CREATED, DROPPED, HIDDEN = "index_created", "index_dropped", "index_hidden"
READY, BUILDING, FAILED = "ready", "building", "failed"
_KINDS = (1, -1, "text", "2dsphere", "hashed")
_MAX_KEYS = 32
_LONGEST_NAME = 100
_LONGEST_EXPIRY = 2**31 - 1
_INDEX_NOT_FOUND, _UNAUTHORIZED = 27, 13
ID_INDEX = "_id_"
LANGUAGE_FIELD = "text_index_language"
"""The field by which a document chooses the language of its texts."""
# What an index that is told has, and of which types.
_TOLD: dict[str, Any] = {
    "name": str,
    "key": dict,
    "unique": bool | int | float,
    "sparse": bool | int | float,
    "hidden": bool,
    "partialFilterExpression": dict,
    "expireAfterSeconds": int | float,
    "weights": dict,
    "default_language": str,
    "language_override": str,
}
# What makes no other index: versions, where it was, how it was built; some drivers put their own.
_OF_VERSIONS = frozenset(
    {"v", "ns", "background", "dropDups", "safe", "w", "j", "textIndexVersion",
     "2dsphereIndexVersion"}
)  # fmt: skip
# MongoDB's analyzers of text.
LANGUAGES = (
    "none", "danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian",
    "norwegian", "portuguese", "romanian", "russian", "spanish", "swedish", "turkish",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """An index to build: its keys in their order, and what PyMongo calls its options."""

    keys: Mapping[str, Any]
    unique: bool = False
    sparse: bool = False
    partial_filter: Mapping[str, Any] | None = None
    expire_after_seconds: int | None = None
    name: str | None = None
    default_language: str | None = None
    hidden: bool = False

    @property
    def full_name(self) -> str:
        """The given name, else the one of the server's tools."""
        return self.name or "_".join(f"{name}_{kind}" for name, kind in self.keys.items())

    @property
    def options(self) -> dict[str, Any]:
        """The options as ``createIndexes`` takes them."""
        found: dict[str, Any] = {"name": self.full_name}
        found |= {"unique": True} if self.unique else {}
        found |= {"sparse": True} if self.sparse else {}
        if self.partial_filter is not None:
            found["partialFilterExpression"] = self.partial_filter
        if self.expire_after_seconds is not None:
            found["expireAfterSeconds"] = self.expire_after_seconds
        found |= {"hidden": True} if self.hidden else {}
        if "text" in self.keys.values():
            # A field of this name in a document would choose its language, and one that MongoDB
            # doesn't know would refuse the document: so not "language", which is the default.
            found["language_override"] = LANGUAGE_FIELD
            found["default_language"] = self.default_language or "none"
        return found


@dataclass(frozen=True, slots=True)
class Use:
    """The number of operations that used an index since a moment: a restart of the server, or the
    index's birth."""

    operations: int
    since: datetime

    @property
    def days(self) -> float:
        """The days since then."""
        return (clock.now() - self.since).total_seconds() / 86400


@dataclass(frozen=True, slots=True)
class ListedIndex:
    """An index, ready, building or failed with a ``cause``, and documents that stood in its way by
    their addresses. ``job`` is that of its build, which is at a ``step`` of which it has done
    ``percent``."""

    name: str
    keys: dict[str, Any]
    state: str
    unique: bool = False
    sparse: bool = False
    partial_filter: dict[str, Any] | None = None
    expire_after_seconds: int | None = None
    default_language: str | None = None
    hidden: bool = False
    size_bytes: int | None = None
    use: Use | None = None
    cause: str | None = None
    conflicts: tuple[str, ...] = ()
    percent: int | None = None
    step: str | None = None
    at: datetime | None = None
    job: str | None = None

    @property
    def expires_in(self) -> str:
        """The time after which documents expire, in words."""
        seconds = self.expire_after_seconds or 0
        for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
            if seconds % size == 0 and seconds:
                return counted(seconds // size, unit)
        return "the date itself"

    @property
    def spec(self) -> IndexSpec:
        """The index as it was asked for, or could be again."""
        return IndexSpec(
            self.keys,
            self.unique,
            self.sparse,
            self.partial_filter,
            self.expire_after_seconds,
            self.name,
            self.default_language,
            self.hidden,
        )


def ready_indexes(organization: Organization) -> list[ListedIndex]:
    """The indexes that are there, without those that are being built."""
    with reading():
        handle = tenant_of(organization)
        options: dict[str, Any] = {"includeBuildUUIDs": True}
        if organization.placement.strategy == Strategy.SHARED:
            options = {}
        # The library's list has those that are being built among the others.
        rows = handle._execution.read_between("listIndexes", **options)["cursor"]["firstBatch"]
    return [_listed(dict(row)) for row in rows if "buildUUID" not in row]


def with_figures(
    organization: Organization, indexes: list[ListedIndex], figures: Figures | None = None
) -> list[ListedIndex]:
    """The indexes with their sizes, from the ``figures`` where somebody has them, and with their
    use where the portal may read that."""
    figures = figures or stored_by(organization).figures
    sizes = {index.name: index.size_bytes for index in figures.indexes} if figures else {}
    uses = _uses(organization)
    return [
        replace(index, size_bytes=sizes.get(index.name), use=uses.get(index.name))
        for index in indexes
    ]


def without_masked(index: ListedIndex, mask: Mask) -> ListedIndex:
    """The index without the values that it compares masked fields with, and without the documents
    in its way, where their masked values are equal."""
    if any(mask.reaches(path) for path in index.keys):
        index = replace(index, conflicts=())
    try:
        mask.check_filter(index.partial_filter or {})
    except PortalError:
        return replace(index, partial_filter={"$comment": MASKED})
    return index


def check_spec(access: DocumentAccess, spec: IndexSpec) -> None:
    """Raise InvalidIndex for an index that can't be, FieldMasked for one that reads what the caller
    may not see, NeedsOwnPlacement in a shared collection."""
    if access.organization.placement.strategy == Strategy.SHARED:
        raise NeedsOwnPlacement("an index")
    _check(spec)
    access.mask.check_keys(spec.keys)
    if spec.partial_filter is not None:
        with reading():
            check_filter(spec.partial_filter)
        access.mask.check_filter(spec.partial_filter)
        check_partial(spec.partial_filter)


def language_field_of(stored: Mapping[str, Any]) -> str | None:
    """The field by which documents chose the language of their texts elsewhere, where another one
    does here; ``None`` for an index without texts."""
    field = stored.get("language_override", "language")
    return field if "weights" in stored and field != LANGUAGE_FIELD else None


def index_from(stored: Mapping[str, Any]) -> ListedIndex:
    """The index that ``listIndexes`` told elsewhere, such as for a dump. Raises InvalidIndex where
    it would be another one here."""
    stored = {name: value for name, value in stored.items() if value is not None}
    if not all(isinstance(stored[name], kind) for name, kind in _TOLD.items() if name in stored):
        raise InvalidIndex("It is told in another way than MongoDB does.")
    if "name" not in stored or "key" not in stored:
        raise InvalidIndex("It has no name, or no fields.")
    other = next((name for name in stored if name not in _TOLD and name not in _OF_VERSIONS), None)
    if other is not None:
        raise InvalidIndex(f"Its option {other} is none of those that are built here.")
    wild = next((name for name in stored["key"] if name.startswith("$") or "$**" in name), None)
    if wild is not None:
        raise InvalidIndex(f"It is of whatever fields there are ({wild}), which isn’t built here.")
    if any(weight != 1 for weight in stored.get("weights", {}).values()):
        raise InvalidIndex("Its texts have weights, which aren’t built here.")
    keys = {name: _order(kind) for name, kind in stored["key"].items()}
    index = _listed({**stored, "key": keys})
    _check(index.spec)
    return index


def _order(kind: Any) -> Any:
    """The order of a field: for servers before 3.4, up, unless it was a name or below 0."""
    if isinstance(kind, str):
        return kind or 1
    return -1 if isinstance(kind, int | float) and kind < 0 else 1


def hide_index(access: Access, name: str, context: RequestContext, *, hidden: bool) -> None:
    """Have the server use the index no longer, or again. Hidden, it is kept current, and a unique
    one goes on refusing. Where it is so already nothing is recorded. Raises IndexNotFound,
    InvalidIndex for that of ``_id``, NotFound, Forbidden."""
    listed = _ready(access, name)

    @transactional
    def record_hidden() -> None:
        organization = begin_change(
            access, context, HIDDEN, access.organization.id, permission="indexes.manage"
        )
        if listed.hidden != hidden:
            action = "index.hidden" if hidden else "index.unhidden"
            record(organization, action, context.origin, name=name)

    record_hidden()
    tenant_of(access.organization)._execution.change(
        "collMod", index={"name": name, "hidden": hidden}
    )


def drop_ready(access: Access, name: str, context: RequestContext) -> None:
    """Drop the index. Raises IndexNotFound, InvalidIndex, NotFound, Forbidden."""
    listed = _ready(access, name)

    @transactional
    def record_dropped() -> None:
        organization = begin_change(
            access, context, DROPPED, access.organization.id, permission="indexes.manage"
        )
        fields = ", ".join(listed.keys)
        record(organization, "index.dropped", context.origin, name=name, fields=fields)

    record_dropped()
    drop_if_there(access.organization, name)


def drop_if_there(organization: Organization, name: str) -> None:
    """Make sure that there is no index of this name, nor a build of one."""
    try:
        tenant_of(organization).drop_index(name)
    except OperationFailure as error:
        if error.code != _INDEX_NOT_FOUND:
            raise


def _ready(access: Access, name: str) -> ListedIndex:
    if access.organization.placement.strategy == Strategy.SHARED:
        raise NeedsOwnPlacement("an index")
    if name == ID_INDEX:
        raise InvalidIndex("The index of _id stays: every collection has it.")
    listed = next((i for i in ready_indexes(access.organization) if i.name == name), None)
    if listed is None:
        raise IndexNotFound
    return listed


def _uses(organization: Organization) -> dict[str, Use]:
    placement = organization.placement
    if placement.strategy == Strategy.SHARED:
        return {}
    command = {"aggregate": placement.collection, "pipeline": [{"$indexStats": {}}], "cursor": {}}
    try:
        reply = send(database_of(placement), command, placement.uuid)
    except CollectionError:  # it was renamed meanwhile
        return {}
    except OperationFailure as error:
        if error.code != _UNAUTHORIZED:
            raise
        return {}
    return {
        row["name"]: Use(row["accesses"]["ops"], row["accesses"]["since"])
        for row in reply["cursor"]["firstBatch"]
    }


def _check(spec: IndexSpec) -> None:
    if not 1 <= len(spec.keys) <= _MAX_KEYS:
        raise InvalidIndex("An index has 1 to 32 fields.")
    for name, kind in spec.keys.items():
        if not name or name.startswith("$") or "\0" in name or len(name) > _LONGEST_NAME:
            raise InvalidIndex("An index has names of fields, each of 100 characters at most.")
        if kind not in _KINDS or isinstance(kind, bool | float):
            raise InvalidIndex("A field is indexed by 1, -1, text, 2dsphere or hashed.")
    if len(spec.full_name) > _LONGEST_NAME or "\0" in spec.full_name or spec.full_name == "*":
        raise InvalidIndex("The name of an index has 100 characters at most: send a shorter one.")
    if list(spec.keys) == ["_id"] and spec.keys["_id"] in (1, -1):
        raise InvalidIndex("There is an index of _id already.")
    _check_expiry(spec)
    if spec.default_language is not None and spec.default_language not in LANGUAGES:
        raise InvalidIndex(f"The language of texts is one of {', '.join(LANGUAGES)}.")


def _check_expiry(spec: IndexSpec) -> None:
    if spec.expire_after_seconds is None:
        return
    if len(spec.keys) > 1 or next(iter(spec.keys.values())) not in (1, -1) or "_id" in spec.keys:
        raise InvalidIndex("Documents expire by one field with dates, which isn’t _id.")
    if not 0 <= spec.expire_after_seconds <= _LONGEST_EXPIRY:
        raise InvalidIndex("Documents expire after 0 to 2,147,483,647 seconds.")


def _listed(index: Mapping[str, Any]) -> ListedIndex:
    keys = dict(index["key"])
    if "weights" in index:  # the server tells fields of text apart from the others
        texts = dict.fromkeys(sorted(index["weights"]), "text")
        before = {name: kind for name, kind in keys.items() if not name.startswith("_fts")}
        keys = {**before, **texts}
    return ListedIndex(
        name=index["name"],
        keys=keys,
        state=READY,
        unique=bool(index.get("unique", False)) or index["name"] == ID_INDEX,
        sparse=bool(index.get("sparse", False)),
        partial_filter=index.get("partialFilterExpression"),
        expire_after_seconds=_whole(index.get("expireAfterSeconds")),
        default_language=index.get("default_language") if "weights" in index else None,
        hidden=bool(index.get("hidden", False)),
    )


def _whole(seconds: float | None) -> int | None:
    """The seconds; the longest time where an old server was told no number."""
    if seconds is None:
        return None
    return int(seconds) if seconds <= _LONGEST_EXPIRY else _LONGEST_EXPIRY
