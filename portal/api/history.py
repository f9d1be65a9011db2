"""The history of an organization's documents for programs."""

from dataclasses import replace
from typing import Any

from bson import ObjectId
from flask import request

from portal.api import document_schemas as schemas
from portal.api import replay
from portal.api.document_requests import OF_READING, access_to_documents, key_for, with_link
from portal.api.guard import OF_ACCESS, ApiBlueprint, access_by_name, logged_in
from portal.api.replay import OF_CHANGES, REPLAYED, Answer, takes_key
from portal.api.replay import REFUSALS as REFUSED_KEYS
from portal.data.access import program_access
from portal.data.document_ids import parse_document_id
from portal.data.errors import InvalidDocumentId
from portal.data.history import entries
from portal.data.history.entries import Entry
from portal.data.history.errors import AlreadyUndone, EditNotFound, EditNotKept, EditRunning
from portal.data.history.settings import CHANGED, record_programs
from portal.data.history.undoing import undo_edit
from portal.data.history.words import REFUSALS
from portal.documents.organizations import Organization
from portal.web.requests import request_context

history = ApiBlueprint("org_history", __name__, url_prefix="/org", description="History")
history.after_request(with_link)

_OF_ONE = (*OF_READING, EditNotFound)


@history.get("/<name:name>/history", refusals=(*OF_READING, InvalidDocumentId))
@logged_in
@history.arguments(schemas.HistoryQuery, location="query")
@history.response(200, schemas.HistoryAnswer)
def list_edits(query: dict[str, Any], name: str) -> dict[str, Any]:
    """List the edits of documents

    Newest first, of the last 30 days: who did what, when and why, never values. Those of programs
    where the organization has them recorded. Send `next` as `after` of the next call.
    """
    organization = access_to_documents(name, "documents.read").organization
    document, after = query.get("document"), query.get("after")
    page = entries.list_edits(
        organization,
        after=ObjectId(after) if after else None,
        document=parse_document_id(document) if document else None,
    )
    return {"edits": [_told(entry) for entry in page.rows], "next": page.after and str(page.after)}


@history.get("/<name:name>/history/<edit_id>", refusals=_OF_ONE)
@logged_in
@history.arguments(schemas.LeftAloneQuery, location="query")
@history.response(200, schemas.EditAnswer)
def get_edit(query: dict[str, Any], name: str, edit_id: str) -> dict[str, Any]:
    """Read an edit

    With the documents that it left as they were, each by its address with the reason, 50 at a time.
    """
    organization = access_to_documents(name, "documents.read").organization
    entry = entries.entry_of(organization, edit_id)
    left = entries.outcomes_of(organization, entry, after=query.get("after"))
    more = len(left) > entries.OUTCOMES_PER_PAGE
    left = left[: entries.OUTCOMES_PER_PAGE]
    told = [
        {
            "address": each.address,
            "code": each.refusal,
            "reason": REFUSALS[each.refusal].format(detail=each.detail),
        }
        for each in left
    ]
    return {"edit": _told(entry), "left_alone": told, "next": left[-1].number if more else None}


@history.post(
    "/<name:name>/history/<edit_id>/undo",
    refusals=(*_OF_ONE, *REFUSED_KEYS, EditNotKept, EditRunning, AlreadyUndone),
)
@takes_key
@logged_in
@history.arguments(schemas.UndoBody)
@history.response(200, schemas.UndoAnswer)
@history.alt_response(202, schema=schemas.UndoAnswer, description="A job goes on with it")
def undo(
    body: dict[str, Any], name: str, edit_id: str
) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Undo an edit

    Each document is put back, to the byte, if it is as the edit left it; one that was changed later
    keeps that, and what can't be put back is refused: both are told by the undo, which is an edit
    too. One of many documents goes on as a job: read it until it is no more `running`.
    """
    access = access_to_documents(name, "documents.write")
    key = key_for(access.organization, f"history/{edit_id}/undo", request.get_data())
    context = replace(request_context(), idempotency_key=key)
    undone = undo_edit(program_access(access, context), edit_id, reason=body.get("reason"))
    entry = entries.entry_of(access.organization, undone.id)
    headers = {REPLAYED: "true"} if undone.repeated else {}
    return {"edit": _told(entry)}, 202 if entry.running else 200, headers


@history.get("/<name:name>/history/settings", refusals=OF_ACCESS)
@logged_in
@history.response(200, schemas.HistorySettings)
def get_settings(name: str) -> dict[str, Any]:
    """Read what the history keeps

    Edits by people, commands and imports always; those of programs where it says so.
    """
    return _settings(access_by_name(name, "documents.record").organization)


@history.put("/<name:name>/history/settings", refusals=OF_CHANGES)
@takes_key
@logged_in
@history.arguments(schemas.HistorySettingsBody)
@history.response(200, schemas.HistorySettings)
def change_settings(body: dict[str, bool], name: str) -> dict[str, Any]:
    """Choose what the history keeps

    With `records_programs` each write by the data API can be undone for 30 days, from the next
    request on. What is kept stays kept.
    """
    access = access_by_name(name, "documents.record")
    recorded = body["records_programs"]
    return _settings(record_programs(access, request_context(), recorded=recorded))


def _settings(organization: Organization) -> dict[str, Any]:
    return {"records_programs": bool(organization.records_programs)}


def _replay(organization: Organization) -> Answer:
    return _settings(organization), 200, {}


replay.install(history, {CHANGED: (schemas.HistorySettings, _replay)})


def _told(entry: Entry) -> dict[str, Any]:
    return {
        "id": str(entry.id),
        "kind": entry.kind,
        "at": entry.at,
        "by": entry.actor,
        "reason": entry.reason,
        "title": entry.words,
        "fields": list(entry.fields),
        "address": entry.address,
        "documents": entry.documents,
        "left_alone": entry.left,
        "running": entry.running,
        "undone": entry.undone,
        "can_be_undone": entry.can_be_undone,
        "undo_until": entry.expires_at,
        "undo_of": entry.undo_of and str(entry.undo_of),
        "undo": entry.undo and str(entry.undo),
    }
