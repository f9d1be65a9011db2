"""Forms with a file, read as they arrive: the file is never held in memory, nor on a disk."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from flask import abort, request
from flask_wtf.csrf import validate_csrf
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import (
    Data,
    Epilogue,
    Event,
    Field,
    File,
    MultipartDecoder,
    NeedData,
)
from wtforms import ValidationError

from portal.web import bodies
from portal.web.bodies import PART_BYTES, SMALL_BYTES
from portal.web.errors import StaleFileForm

MULTIPART = "multipart/form-data"
_MOST_PARTS = 20


@dataclass(frozen=True, slots=True)
class FileForm:
    """The fields before the file, its name as it was sent, and its content, which is read once;
    empty where no file was chosen."""

    fields: Mapping[str, str]
    name: str
    content: Iterator[bytes]


def read_file_form() -> FileForm:
    """The request's form. Raises StaleFileForm where its CSRF token isn't among the fields before
    the file, or isn't valid; aborts with 400 where it is no such form."""
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary:
        abort(400)
    # What it keeps of the part before, the beginning of a boundary perhaps, comes on top.
    most_kept = PART_BYTES + SMALL_BYTES
    decoder = MultipartDecoder(boundary.encode(), most_kept, max_parts=_MOST_PARTS)
    form = _form_of(_events(decoder, bodies.parts()))
    try:
        validate_csrf(form.fields.get("csrf_token"))
    except ValidationError as error:
        raise StaleFileForm from error
    return form


def _form_of(events: Iterator[Event]) -> FileForm:
    fields: dict[str, str] = {}
    for event in events:
        if isinstance(event, Field):
            fields[event.name] = _text(events)
        elif isinstance(event, File):
            return FileForm(fields, event.filename or "", _content(events))
    return FileForm(fields, "", iter(()))


def _text(events: Iterator[Event]) -> str:
    text = bytearray()
    for part in _content(events):
        text += part
        if len(text) > SMALL_BYTES:
            abort(413)
    return text.decode(errors="replace")


def _content(events: Iterator[Event]) -> Iterator[bytes]:
    for event in events:
        if not isinstance(event, Data):
            abort(400)
        if event.data:
            yield event.data
        if not event.more_data:
            return
    abort(400)  # it ended in the middle


def _events(decoder: MultipartDecoder, parts: Iterable[bytes]) -> Iterator[Event]:
    try:
        for part in parts:
            decoder.receive_data(part)
            while not isinstance(event := decoder.next_event(), NeedData):
                yield event
                if isinstance(event, Epilogue):
                    return
        decoder.receive_data(None)
    except (ValueError, RequestEntityTooLarge):
        abort(400)
