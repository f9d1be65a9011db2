"""An organization's indexes for programs."""

import json
from dataclasses import asdict
from typing import Any

import bson

from portal.api import document_schemas as schemas
from portal.api import replay
from portal.api.document_requests import (
    OF_READING,
    access_to_documents,
    body_query,
    document_access_to,
    ended_with_client,
    takes_json,
    with_link,
)
from portal.api.guard import ApiBlueprint, logged_in
from portal.api.replay import PARAMETER, Answer, takes_key
from portal.data import extended_json
from portal.data.access import mask_of, program_access
from portal.data.errors import IndexNotFound, InvalidIndex, TooManyIndexes, WouldExpire
from portal.data.indexes import builds as index_builds
from portal.data.indexes import conflicts as index_conflicts
from portal.data.indexes import listing as services
from portal.documents.organizations import Organization
from portal.organizations.access.lookup import Access
from portal.web.errors import Overloaded
from portal.web.requests import request_context

indexes = ApiBlueprint("indexes", __name__, url_prefix="/org", description="Indexes")
indexes.after_request(with_link)

_OF_CHANGES = (*OF_READING, *replay.REFUSALS, InvalidIndex, Overloaded)


@indexes.get("/<name:name>/indexes", refusals=OF_READING)
@logged_in
@indexes.response(200, schemas.IndexesAnswer)
def list_indexes(name: str) -> dict[str, Any]:
    """List the indexes of an organization

    With their sizes and use, those that are being built, and those that could not be: their
    `cause` says why, `conflicts` name documents that stood in the way.
    """
    access = access_to_documents(name, "indexes.manage")
    listed = index_builds.list_indexes(access.organization)
    found = services.with_figures(access.organization, listed)
    return {"indexes": [_shown(services.without_masked(each, mask_of(access))) for each in found]}


@indexes.post(
    "/<name:name>/indexes", refusals=(*_OF_CHANGES, TooManyIndexes, IndexNotFound, WouldExpire)
)
@takes_json(schemas.NewIndexBody, PARAMETER)
@logged_in
@indexes.response(201, schemas.IndexAnswer)
@indexes.alt_response(202, schema=schemas.IndexAnswer, description="It is being built, or failed")
def create_index(name: str) -> Answer:
    """Build an index

    In the background where it takes longer than 2.5 seconds: its `state` says `building` then.
    After 10 minutes it fails. One that could not be built stays in the list until it is dropped
    or built again. For lists sorted by a field, end the keys with `_id`. One with
    `expire_after_seconds` by which documents would be deleted at once wants `deletes: true`; who
    sends another one may read documents, too.
    """
    access = access_to_documents(name, "indexes.manage")
    spec, deletes = _asked()
    if not deletes and spec.expire_after_seconds is not None:
        access.require("documents.read")  # it tells how many there are
        _check_expiring(access, spec)
    index = index_builds.create_index(access, spec, request_context())
    return {"index": _shown(index)}, 201 if index.state == services.READY else 202, {}


@indexes.post("/<name:name>/indexes/check", refusals=(*OF_READING, InvalidIndex))
@takes_json(schemas.NewIndexBody)
@logged_in
@indexes.response(200, schemas.IndexCheckAnswer)
def check_index(name: str) -> dict[str, Any]:
    """Check an index before it is built

    Which documents stand in the way of a unique one; how many would be deleted at once by one with
    `expire_after_seconds`. It changes nothing. Whoever asks may read documents, too.
    """
    seen = document_access_to(name, "indexes.manage", tells_values=True)
    spec, _ = _asked()
    services.check_spec(seen, spec)
    with ended_with_client() as comment:
        conflicts = index_conflicts.conflicts_of(seen, spec, comment=comment)
        expiring = index_conflicts.expiring_by(seen, spec, comment)
    return {
        "conflicting": None if conflicts is None else conflicts.documents,
        "conflicts": [] if conflicts is None else [asdict(each) for each in conflicts.largest],
        "deleted_at_once": expiring and expiring.at_once.count,
        "without_date": expiring and expiring.without_date.count,
    }


@indexes.patch("/<name:name>/indexes/<index_name>", refusals=(*_OF_CHANGES, IndexNotFound))
@takes_json(schemas.ChangedIndexBody, PARAMETER)
@logged_in
@indexes.response(200, schemas.IndexHiddenAnswer)
def hide_index(name: str, index_name: str) -> dict[str, Any]:
    """Hide an index, or show it again

    A hidden one is used for no query, so that you see what dropping it would do. It is kept
    current, so showing it again takes no time.
    """
    access = access_to_documents(name, "indexes.manage")
    hidden = body_query(schemas.ChangedIndexBody)["hidden"]
    services.hide_index(access, index_name, request_context(), hidden=hidden)
    return {}


@indexes.delete("/<name:name>/indexes/<index_name>", refusals=(*_OF_CHANGES, IndexNotFound))
@takes_key
@logged_in
@indexes.response(200, schemas.IndexDroppedAnswer)
def drop_index(name: str, index_name: str) -> dict[str, Any]:
    """Drop an index

    Or stop its build, or forget that it could not be built. That of `_id` stays.
    """
    access = access_to_documents(name, "indexes.manage")
    index_builds.drop_index(access, index_name, request_context())
    return {}


def _asked() -> tuple[services.IndexSpec, bool]:
    """The index in the body, and whether it may delete documents at once."""
    body = body_query(schemas.NewIndexBody)
    deletes = body.pop("deletes", False)
    return services.IndexSpec(**body), deletes


def _check_expiring(access: Access, spec: services.IndexSpec) -> None:
    """Raise WouldExpire where the index isn't there yet, and would delete documents at once."""
    seen = program_access(access, request_context())
    services.check_spec(seen, spec)
    if not index_builds.is_built(access.organization, spec):
        with ended_with_client() as comment:
            expiring = index_conflicts.expiring_by(seen, spec, comment)
        index_conflicts.check_expiring(spec, expiring)


def _shown(index: services.ListedIndex) -> dict[str, Any]:
    operations, since = (index.use.operations, index.use.since) if index.use else (None, None)
    partial = index.partial_filter
    if partial is not None:
        partial = json.loads(extended_json.render(bson.encode(partial), relaxed=True))
    return {
        **asdict(index),
        "partial_filter": partial,
        "operations": operations,
        "used_since": since,
    }


def _replay_created(organization: Organization) -> Answer:
    wanted = _asked()[0].full_name
    for index in index_builds.list_indexes(organization):
        if index.name == wanted:
            return {"index": _shown(index)}, 201, {}
    raise IndexNotFound  # dropped since


replay.install(
    indexes,
    {
        services.CREATED: (schemas.IndexAnswer, _replay_created),
        services.HIDDEN: (schemas.IndexHiddenAnswer, replay.success),
        services.DROPPED: (schemas.IndexDroppedAnswer, replay.success),
    },
)
