"""Refusals as the OpenAPI document has them, made from the errors themselves."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from portal.api.schemas import ErrorAnswer
from portal.database.errors import (
    ClusterLost,
    ClusterUnavailable,
    DatabaseNotPrepared,
    DatabaseUnavailable,
    MigrationFailed,
    MigrationRunning,
    UnknownCluster,
)
from portal.errors import PortalError
from portal.identity.sessions.errors import NotAuthenticated
from portal.web.error_messages import API_MESSAGES, ERROR_MESSAGES
from portal.web.errors import InvalidInput, WrongHost

Refusal = type[PortalError] | int
"""An error of a service, or the status of an HTTP error in ERROR_MESSAGES."""

OF_EVERY_REQUEST: tuple[Refusal, ...] = (
    WrongHost,
    NotAuthenticated,
    InvalidInput,
    DatabaseUnavailable,
    DatabaseNotPrepared,
    MigrationRunning,
    MigrationFailed,
    ClusterUnavailable,
    ClusterLost,
    UnknownCluster,
)
OF_BODIES: tuple[Refusal, ...] = (400, 411, 413, 415)

_NEW_NAME = {"organization_name": "new_organization_name"}
_DOCUMENTS = {"documents": "with_documents"}
FIELDS = {
    "org.rename_organization": _NEW_NAME,
    "org.rename_organization_by_body": _NEW_NAME,
    "org_support.give_support_access": _DOCUMENTS,
    "org_support.grant_support_access": _DOCUMENTS,
    "admin_support.ask_for_support_access": _DOCUMENTS,
}
"""JSON names of fields that forms name otherwise, by endpoint."""

_PLACEHOLDER = re.compile(r"{[^}]*}")


class Refusals:
    """The refusals of a part of the API; ``examples`` are those that its responses refer to."""

    def __init__(self) -> None:
        self.examples: dict[str, Any] = {}

    def responses(self, endpoint: str, refusals: Iterable[Refusal]) -> dict[int, Any]:
        """The responses of ``endpoint`` by status, with an example of every code."""
        field_names = FIELDS.get(endpoint, {})
        responses: dict[int, dict[str, Any]] = {}
        for refusal in refusals:
            status, code, words, field = _parts(refusal)
            name = code if isinstance(refusal, int) else refusal.__name__
            if field and field in field_names:
                field = field_names[field]
                name = f"{name}.{field}"
            found = responses.setdefault(status, {})
            if code not in found:
                found[code] = {"$ref": f"#/components/examples/{name}"}
                error = {"code": code, "message": words, "fields": {field: words} if field else {}}
                self.examples[name] = {"value": {"status": "error", "error": error}}
        return {status: _response(status, examples) for status, examples in responses.items()}


def _parts(refusal: Refusal) -> tuple[int, str, str, str | None]:
    """Status, code, words with their placeholders elided, and field."""
    if isinstance(refusal, int):
        code, _, words = ERROR_MESSAGES[refusal]
        return refusal, code, API_MESSAGES.get(refusal, words), None
    words = refusal.api_message or refusal.message
    return refusal.status, refusal.code, _PLACEHOLDER.sub("…", words), refusal.field


def _response(status: int, examples: dict[str, Any]) -> dict[str, Any]:
    codes = ", ".join(f"`{code}`" for code in examples)
    return {
        "description": f"{HTTPStatus(status).phrase}: {codes}",
        "content": {"application/json": {"schema": ErrorAnswer, "examples": examples}},
    }
