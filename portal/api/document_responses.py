"""Answers about documents: Extended JSON, one answer or a stream."""

import json
from collections.abc import Iterator
from typing import Any

import structlog
from flask import Response

from portal.api.document_requests import ended_with_client
from portal.api.replay import REPLAYED
from portal.data import extended_json
from portal.data.access import DocumentAccess
from portal.data.document_ids import address_of
from portal.data.importing import END
from portal.data.queries import Query
from portal.data.reading import Page, export
from portal.tenants.elements import framed_id, id_of
from portal.web import bodies, streaming

log = structlog.get_logger()


class RawJson(str):
    """A text that is JSON already."""


def answer(
    fields: dict[str, Any],
    status: int = 200,
    *,
    repeated: bool = False,
    headers: dict[str, str] | None = None,
) -> Response:
    """A successful answer with these fields; ``repeated`` where it was given before."""
    parts = [
        f'"{name}": {value if isinstance(value, RawJson) else json.dumps(value)}'
        for name, value in {"status": "success", **fields}.items()
    ]
    response = Response(f"{{{', '.join(parts)}}}\n", status, headers, mimetype=bodies.JSON)
    if repeated:
        response.headers[REPLAYED] = "true"
    return response


def page_answer(page: Page, *, relaxed: bool) -> Response:
    """A page of documents."""
    texts, inexact = [], []
    for document in page.documents:
        text, exact = _rendered(document, relaxed=relaxed)
        texts.append(text)
        if not exact:
            inexact.append(address_of(id_of(document)))
    return answer({"documents": _array(texts), "next": page.next, "inexact": inexact})


def results_answer(results: list[bytes], *, relaxed: bool) -> Response:
    """The results of an aggregation, which need have no ``_id``."""
    return answer({"results": _array([_rendered(each, relaxed=relaxed)[0] for each in results])})


def ids_and_addresses(ids: list[bytes]) -> dict[str, Any]:
    """The ``_id``s of documents, and their addresses."""
    return {
        "ids": _array([extended_json.render_value(each) for each in ids]),
        "addresses": [address_of(each) for each in ids],
    }


def exported(access: DocumentAccess, query: Query, *, relaxed: bool) -> Response:
    """All documents as a stream, one a line. Reads its first part now, so that refusals are
    answered as usual; one that fails later breaks off, and so does its query if the client hangs
    up. Raises Overloaded."""
    lines = _lines(access, query, relaxed=relaxed)
    next(lines)  # once started, it releases its slot however the response ends
    return Response(lines, mimetype=bodies.NDJSON)


def _lines(access: DocumentAccess, query: Query, *, relaxed: bool) -> Iterator[str]:
    with streaming.slot(), ended_with_client() as comment:
        count = inexact = 0
        parts = export(access, query, comment)
        part = next(parts)
        yield ""
        try:
            while part:
                lines = []
                for document in part:
                    text, exact = _rendered(document, relaxed=relaxed)
                    lines.append(text)
                    inexact += not exact
                count += len(part)
                yield "\n".join(lines) + "\n"
                part = next(parts, [])
            yield json.dumps({END: {"documents": count, "inexact": inexact}}) + "\n"
        except Exception as error:
            # The response ends without its last line and chunk, so the client notices.
            log.warning("documents.export_broken", error=str(error)[:300], documents=count)
            raise
        log.info("documents.exported", documents=count)


def _rendered(document: bytes, *, relaxed: bool) -> tuple[str, bool]:
    """The text of a document, and whether it reads back as the same bytes but for relaxed numbers.
    One that isn't valid UTF-8 inside has its ``_id`` alone, if it has one that is."""
    try:
        text = extended_json.render(document, relaxed=relaxed)
    except ValueError:
        return _id_alone(document), False
    exact = extended_json.is_exact(document, extended_json.render(document) if relaxed else text)
    return text, exact


def _id_alone(document: bytes) -> str:
    try:
        return extended_json.render(framed_id(id_of(document)))
    except ValueError:
        return "{}"


def _array(texts: list[str]) -> RawJson:
    return RawJson(f"[{', '.join(texts)}]")
