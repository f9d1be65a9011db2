"""Indexes of an organization's collection: listed, built, dropped.

A build runs in a thread of its own, BUILD_SECONDS at most. Its record says how it stands; that of a
failed one stays, with its cause, until the index is dropped or built again.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pymongo
import structlog
from pymongo.collection import Collection
from pymongo.errors import OperationFailure, PyMongoError

from portal import clock
from portal.audit.trail import record
from portal.data.access import mask_of
from portal.data.errors import (
    IndexNotFound,
    InvalidIndex,
    NeedsOwnPlacement,
    TooManyBuilds,
    TooManyIndexes,
    reading,
)
from portal.database.connection import client
from portal.database.portal_role import internal_database
from portal.database.transactions import transactional
from portal.documents.organizations import Organization, Strategy
from portal.organizations.access.lookup import Access, begin_change
from portal.organizations.storage import tenant_of
from portal.settings import current
from portal.tenants.queries import check_filter
from portal.web import rate_limits
from portal.web.context import RequestContext

COLLECTION = "index_builds"
MOST_INDEXES = 20
BUILD_SECONDS = 600
KEPT = timedelta(days=30)
AWAITED_SECONDS = 2.5
CREATED, DROPPED = "index_created", "index_dropped"
READY, BUILDING, FAILED = "ready", "building", "failed"
_KINDS = (1, -1, "text", "2dsphere", "hashed")
_MAX_KEYS = 32
_LONGEST_NAME = 100
_DUPLICATE_KEY, _INDEX_NOT_FOUND = 11000, 27
_builds = threading.BoundedSemaphore(1)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """An index to build: its keys in their order, and what PyMongo calls its options."""

    keys: Mapping[str, Any]
    unique: bool = False
    sparse: bool = False
    partial_filter: Mapping[str, Any] | None = None
    expire_after_seconds: int | None = None
    name: str | None = None

    @property
    def full_name(self) -> str:
        """The given name, else the one of the server's tools."""
        return self.name or "_".join(f"{name}_{kind}" for name, kind in self.keys.items())


@dataclass(frozen=True, slots=True)
class ListedIndex:
    """An index, ready, building or failed with a ``cause``."""

    name: str
    keys: dict[str, Any]
    state: str
    unique: bool = False
    sparse: bool = False
    partial_filter: dict[str, Any] | None = None
    expire_after_seconds: int | None = None
    cause: str | None = None
    at: datetime | None = None


def builds() -> Collection[dict[str, Any]]:
    """The records of builds, in the portal's own database beside the tenant database."""
    return client()[internal_database(current().tenant_db)][COLLECTION]


@cache
def _prepare() -> None:
    """Create the index that deletes records after KEPT, once in a process."""
    builds().create_index("at", expireAfterSeconds=int(KEPT.total_seconds()))


def list_indexes(organization: Organization) -> list[ListedIndex]:
    """The indexes there are, and the builds that run or failed."""
    with reading():
        existing = [_listed(dict(index)) for index in tenant_of(organization).list_indexes()]
    ready = {index.name for index in existing}
    pending = builds().find({"organization": organization.id}).sort("at", 1)
    return existing + [_pending(build) for build in pending if build["name"] not in ready]


def create_index(access: Access, spec: IndexSpec, context: RequestContext) -> ListedIndex:
    """Build the index, or begin to: where it takes longer than AWAITED_SECONDS, its state says so.
    One that exists is ready at once. Recorded in the audit trail, without values.

    Raises InvalidIndex, FieldMasked, NeedsOwnPlacement, TooManyIndexes, TooManyBuilds where the
    worker builds one already, TooManyAttempts, NotFound, Forbidden.
    """
    _check(spec)
    mask = mask_of(access)
    mask.check_keys(spec.keys)
    mask.check_filter(spec.partial_filter or {})
    if access.organization.placement.strategy == Strategy.SHARED:
        raise NeedsOwnPlacement("an index")
    rate_limits.count_attempt(rate_limits.MEMBER_CHANGES, str(access.organization.id))
    indexes = list_indexes(access.organization)
    same = next((index for index in indexes if index.name == spec.full_name), None)
    if same and same.state == BUILDING:
        return same
    if len(indexes) - bool(same) >= MOST_INDEXES:
        raise TooManyIndexes(MOST_INDEXES)
    if not _builds.acquire(blocking=False):
        raise TooManyBuilds
    try:
        _record_begun(access, spec, context)
        done = threading.Event()
        threading.Thread(
            target=_build, args=(access.organization, spec, done), name="index-build", daemon=True
        ).start()
    except BaseException:
        _builds.release()
        raise
    done.wait(AWAITED_SECONDS)
    found = list_indexes(access.organization)
    return next(index for index in found if index.name == spec.full_name)


def drop_index(access: Access, name: str, context: RequestContext) -> None:
    """Drop the index, or forget its failed build. Raises IndexNotFound, InvalidIndex for that of
    ``_id``, NotFound, Forbidden."""
    if name == "_id_":
        raise InvalidIndex("The index of _id stays.")
    listed = next((i for i in list_indexes(access.organization) if i.name == name), None)
    if listed is None:
        raise IndexNotFound

    @transactional
    def record_dropped() -> None:
        organization = begin_change(
            access, context, DROPPED, access.organization.id, permission="indexes.manage"
        )
        record(
            organization,
            "index.dropped",
            context.origin,
            name=name,
            fields=", ".join(listed.keys),
        )

    record_dropped()
    try:
        tenant_of(access.organization).drop_index(name)
    except OperationFailure as error:
        if error.code != _INDEX_NOT_FOUND:
            raise
    builds().delete_one({"organization": access.organization.id, "name": name})


def _check(spec: IndexSpec) -> None:
    if not 1 <= len(spec.keys) <= _MAX_KEYS:
        raise InvalidIndex("An index has 1 to 32 fields.")
    for name, kind in spec.keys.items():
        if not name or name.startswith("$") or "\0" in name or len(name) > _LONGEST_NAME:
            raise InvalidIndex("An index has names of fields, each of 100 characters at most.")
        if kind not in _KINDS or isinstance(kind, bool | float):
            raise InvalidIndex("A field is indexed by 1, -1, text, 2dsphere or hashed.")
    if spec.partial_filter is not None:
        with reading():
            check_filter(spec.partial_filter)
    if len(spec.full_name) > _LONGEST_NAME or "\0" in spec.full_name or spec.full_name == "*":
        raise InvalidIndex("The name of an index has 100 characters at most: send a shorter one.")
    if list(spec.keys) == ["_id"]:
        raise InvalidIndex("There is an index of _id already.")


@transactional
def _record_begun(access: Access, spec: IndexSpec, context: RequestContext) -> None:
    organization = begin_change(
        access, context, CREATED, access.organization.id, permission="indexes.manage"
    )
    record(
        organization,
        "index.created",
        context.origin,
        name=spec.full_name,
        fields=", ".join(spec.keys),
    )


def _build(organization: Organization, spec: IndexSpec, done: threading.Event) -> None:
    known = {"organization": organization.id, "name": spec.full_name}
    started = {"keys": list(spec.keys.items()), "unique": spec.unique, "at": clock.now()}
    try:
        _prepare()
        builds().replace_one(known, {**known, **started, "state": BUILDING}, upsert=True)
        with pymongo.timeout(BUILD_SECONDS):
            _create(organization, spec)
        builds().delete_one(known)
    except Exception as error:
        cause = _cause_of(error)
        # The server's words on a duplicate key have its values.
        log.warning(
            "index.build_failed",
            organization=str(organization.id),
            kind=type(error).__name__,
            cause=cause,
        )
        try:
            builds().update_one(known, {"$set": {"state": FAILED, "cause": cause}})
        except PyMongoError as unavailable:  # it reads as failed once its time is over
            log.warning("index.build_not_recorded", error=str(unavailable)[:300])
    finally:
        _builds.release()
        done.set()


def _create(organization: Organization, spec: IndexSpec) -> None:
    options: dict[str, Any] = {"name": spec.full_name}
    options |= {"unique": True} if spec.unique else {}
    options |= {"sparse": True} if spec.sparse else {}
    if spec.partial_filter is not None:
        options["partialFilterExpression"] = spec.partial_filter
    if spec.expire_after_seconds is not None:
        options["expireAfterSeconds"] = spec.expire_after_seconds
    tenant_of(organization).create_index(list(spec.keys.items()), **options)


def _cause_of(error: Exception) -> str:
    """The cause of a failed build, without values of documents."""
    if isinstance(error, PyMongoError) and error.timeout:
        return f"It took longer than {BUILD_SECONDS // 60} minutes."
    if isinstance(error, OperationFailure):
        details = error.details or {}
        if error.code == _DUPLICATE_KEY:
            named = ", ".join(details.get("keyPattern") or {})
            return f"Several documents have the same {named}; a missing field counts as null."
        return f"MongoDB refuses it: {details.get('codeName') or 'code'} ({error.code})."
    return "MongoDB could not be reached."


def _listed(index: dict[str, Any]) -> ListedIndex:
    return ListedIndex(
        name=index["name"],
        keys=dict(index["key"]),
        state=READY,
        unique=bool(index.get("unique")) or index["name"] == "_id_",
        sparse=bool(index.get("sparse")),
        partial_filter=index.get("partialFilterExpression"),
        expire_after_seconds=index.get("expireAfterSeconds"),
    )


def _pending(build: Mapping[str, Any]) -> ListedIndex:
    over = build["at"] + timedelta(seconds=BUILD_SECONDS + 60) < clock.now()
    state, cause = build["state"], build.get("cause")
    if state == BUILDING and over:
        state, cause = FAILED, "The portal was stopped meanwhile."
    return ListedIndex(
        name=build["name"],
        keys=dict(build["keys"]),
        state=state,
        unique=build["unique"],
        cause=cause,
        at=build["at"],
    )
