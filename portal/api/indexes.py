"""An organization's indexes for programs."""

from dataclasses import asdict
from typing import Any

from portal.api import document_schemas as schemas
from portal.api import replay
from portal.api.document_requests import (
    OF_READING,
    access_to_documents,
    body_query,
    takes_json,
    with_link,
)
from portal.api.guard import ApiBlueprint, logged_in
from portal.api.replay import PARAMETER, Answer, takes_key
from portal.data import indexes as services
from portal.data.errors import (
    IndexNotFound,
    InvalidIndex,
    TooManyBuilds,
    TooManyIndexes,
)
from portal.documents.organizations import Organization
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

    With those that are being built, and those that could not be: their `cause` says why.
    """
    access = access_to_documents(name, "indexes.manage")
    return {"indexes": [asdict(each) for each in services.list_indexes(access.organization)]}


@indexes.post(
    "/<name:name>/indexes", refusals=(*_OF_CHANGES, TooManyIndexes, TooManyBuilds, IndexNotFound)
)
@takes_json(schemas.NewIndexBody, PARAMETER)
@logged_in
@indexes.response(201, schemas.IndexAnswer)
@indexes.alt_response(202, schema=schemas.IndexAnswer, description="It is being built, or failed")
def create_index(name: str) -> Answer:
    """Build an index

    In the background where it takes longer than 2.5 seconds: its `state` says `building` then.
    After 10 minutes it fails. One that could not be built stays in the list until it is dropped
    or built again. For lists sorted by a field, end the keys with `_id`.
    """
    access = access_to_documents(name, "indexes.manage")
    body = body_query(schemas.NewIndexBody)
    index = services.create_index(access, services.IndexSpec(**body), request_context())
    return {"index": asdict(index)}, 201 if index.state == services.READY else 202, {}


@indexes.delete("/<name:name>/indexes/<index_name>", refusals=(*_OF_CHANGES, IndexNotFound))
@takes_key
@logged_in
@indexes.response(200, schemas.IndexDroppedAnswer)
def drop_index(name: str, index_name: str) -> dict[str, Any]:
    """Drop an index

    Or forget that it could not be built. That of `_id` stays.
    """
    access = access_to_documents(name, "indexes.manage")
    services.drop_index(access, index_name, request_context())
    return {}


def _replay_created(organization: Organization) -> Answer:
    wanted = services.IndexSpec(**body_query(schemas.NewIndexBody)).full_name
    for index in services.list_indexes(organization):
        if index.name == wanted:
            return {"index": asdict(index)}, 201, {}
    raise IndexNotFound  # dropped since


replay.install(
    indexes,
    {
        services.CREATED: (schemas.IndexAnswer, _replay_created),
        services.DROPPED: (schemas.IndexDroppedAnswer, replay.success),
    },
)
