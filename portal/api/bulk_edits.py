"""Changes of fields in many documents for programs: previewed, then made by a job."""

from typing import Any

import bson
from flask import Response

from portal.api import document_schemas as schemas
from portal.api.document_requests import (
    OF_READING,
    OF_WRITING,
    access_to_documents,
    body_query,
    document_access_to,
    key_for,
    takes_json,
    with_link,
)
from portal.api.document_responses import answer
from portal.api.guard import ApiBlueprint, logged_in
from portal.api.replay import PARAMETER
from portal.data import extended_json
from portal.data.access import program_access
from portal.data.document_ids import address_of
from portal.data.history.changing import BulkEdit, Preview, preview_change, start_change_once
from portal.data.history.errors import InvalidChange, MoreMatch
from portal.data.history.field_changes import FieldChanges, RemoveField, RenameField, SetField
from portal.data.queries import CODEC
from portal.jobs.errors import JobExists
from portal.web import bodies
from portal.web.requests import request_context

bulk_edits = ApiBlueprint("bulk_edits", __name__, url_prefix="/org", description="Bulk edits")
bulk_edits.after_request(with_link)

_CHANGE = "/<name:name>/documents/change"


@bulk_edits.post(f"{_CHANGE}/preview", refusals=(*OF_READING, InvalidChange))
@takes_json(schemas.FieldChangesBody)
@logged_in
@bulk_edits.response(200, schemas.ChangePreview)
def preview(name: str) -> Response:
    """See what a change of many documents would do

    How many match, how many of the `tried` would break a rule, and three of them before and after:
    as the text of canonical Extended JSON, `null` where a field is missing. Nothing is changed.
    Whoever asks may read documents, too.
    """
    seen = document_access_to(name, "documents.write", tells_values=True)
    body = body_query(schemas.FieldChangesBody)
    return answer(_told(preview_change(seen, body["filter"], _changes(body))))


@bulk_edits.post(_CHANGE, refusals=(*OF_WRITING, InvalidChange, MoreMatch, JobExists))
@takes_json(schemas.ChangeManyBody, PARAMETER)
@logged_in
@bulk_edits.response(202, schemas.ChangeStarted)
def change(name: str) -> Response:
    """Change fields in all documents that match a filter

    As one edit in the history, which can be undone as a whole. A job makes it: read the edit until
    it is no more `running`. Refused if more documents match than `expected`; what can't be changed
    is left alone, and told by the edit.
    """
    access = access_to_documents(name, "documents.write")
    body = body_query(schemas.ChangeManyBody)
    key = key_for(access.organization, "documents/change", bodies.read())
    edit = BulkEdit(body["filter"], _changes(body), body["expected"])
    edit_id, repeated = start_change_once(
        program_access(access, request_context()), edit, key, reason=body.get("reason")
    )
    return answer({"edit": str(edit_id)}, 202, repeated=repeated)


def _changes(body: dict[str, Any]) -> FieldChanges:
    """The changes that the body names. Raises InvalidChange."""
    given = body.get("set", {}).items()
    return FieldChanges(
        (
            *(
                SetField(field, bson.encode({"": value}, codec_options=CODEC))
                for field, value in given
            ),
            *(RemoveField(field) for field in body.get("unset", ())),
            *(RenameField(field, new) for field, new in body.get("rename", {}).items()),
        )
    )


def _told(found: Preview) -> dict[str, Any]:
    examples = [
        {
            "address": address_of(pair.id),
            "left_alone": pair.refusal,
            "differences": [
                {
                    "field": ".".join(map(str, each.path)),
                    "before": each.before and extended_json.render_value(each.before),
                    "after": each.after and extended_json.render_value(each.after),
                }
                for each in pair.differences
            ],
        }
        for pair in found.pairs
    ]
    breaking = found.breaking
    return {
        "count": found.count,
        "examples": examples,
        "breaking": breaking and breaking.documents,
        "tried": breaking and breaking.tried,
    }
