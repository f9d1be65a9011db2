"""Bodies of requests: what each endpoint takes, and how larger ones are read.

A body of up to SMALL_BYTES arrives in the event loop, before its request gets a thread. A larger
one, or one of unknown length, is read by the thread: only where the endpoint takes it, after
access is checked, in one of few slots, and not slower than PART_BYTES in PATIENCE_SECONDS.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from io import BytesIO
from typing import Any, TypeVar

from flask import abort, current_app, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.web import hangups, streaming

SMALL_BYTES = 64 * 1024
PART_BYTES = 64 * 1024
PATIENCE_SECONDS = 10

JSON, FORM, NDJSON = "application/json", "application/x-www-form-urlencoded", "application/x-ndjson"
MULTIPART = "multipart/form-data"
MOST_FORM_PARTS = 10_000

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class AcceptedBody:
    """The media types that an endpoint takes, and how large a body may be; a ``stream`` is read in
    parts and has no limit."""

    media_types: tuple[str, ...]
    most_bytes: int = SMALL_BYTES
    stream: str | None = None


def takes_body(body: AcceptedBody) -> Callable[[View], View]:
    """Have a view take such bodies. It reads them by ``read`` or ``parts``."""

    def mark(view: View) -> View:
        view.accepted_body = body  # type: ignore[attr-defined]
        return view

    return mark


def takes_whole_body(body: AcceptedBody) -> Callable[[View], View]:
    """Have a view take such bodies, which are read before it, where this decorator stands: below
    the check of access. Raises Overloaded."""

    def decorate(view: View) -> View:
        @wraps(view)
        def reading(*arguments: Any, **ids: Any) -> Any:
            _keep_large()
            return view(*arguments, **ids)

        return takes_body(body)(reading)  # type: ignore[return-value]

    return decorate


def is_stream() -> bool:
    """Tell whether the view reads the body in parts, so that nobody may before it."""
    accepted = _accepted("")
    return accepted.stream is not None and request.mimetype == accepted.stream


def check(default: str) -> None:
    """Reject a body that is truncated, or not of the media type that the endpoint takes, by
    ``default`` the one given; read a small one."""
    accepted = _accepted(default)
    large = accepted.most_bytes > SMALL_BYTES
    if _is_chunked() and not large:
        abort(411)
    if request.mimetype not in ("", *accepted.media_types):
        abort(415)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        abort(415)  # the portal never decompresses
    if large:
        streams = request.mimetype == accepted.stream
        request.max_content_length = sys.maxsize if streams else accepted.most_bytes
        if streams or is_large():
            return
    body = request.get_data()
    if len(body) != (request.content_length or 0):
        abort(400)  # the client disconnected midway
    if body and not request.mimetype:
        abort(415)


def is_large() -> bool:
    """Tell whether the view has to read the body."""
    return _is_chunked() or (request.content_length or 0) > SMALL_BYTES


def read() -> bytes:
    """The whole body. Raises Overloaded where the worker reads enough large ones already."""
    if not is_large():
        return request.get_data()
    most_bytes = request.max_content_length or 0
    if (request.content_length or 0) > most_bytes:
        abort(413)
    received = bytearray()
    with streaming.slot():
        for part in parts():
            received += part
            if len(received) > most_bytes:
                abort(413)
    return bytes(received)


def receive_form() -> ResponseReturnValue | None:
    """Read a large form, before anything looks at its fields, for views that take one; without a
    session, the way to the log-in. Raises Overloaded."""
    accepted = _accepted("")
    if FORM not in accepted.media_types or is_stream():
        return None
    request.max_form_memory_size = accepted.most_bytes
    request.max_form_parts = MOST_FORM_PARTS
    if not is_large() or request.method != "POST":
        return None
    if not current_user.is_authenticated:
        return current_app.login_manager.unauthorized()  # type: ignore[attr-defined]
    _keep_large()
    return None


def parts() -> Iterator[bytes]:
    """The body as it arrives. Aborts with 400 where it breaks off, with 408 where it is slow."""
    stream, connection = request.stream, request.environ.get("gunicorn.socket")
    received, expected = 0, request.content_length
    while expected is None or received < expected:
        with hangups.within(PATIENCE_SECONDS, connection) as watch:
            try:
                part = stream.read(PART_BYTES)
            except OSError:
                part = None
        if watch and watch.fired:
            abort(408)
        if part is None or (not part and expected is not None):
            abort(400)  # the client disconnected midway
        if not part:
            return
        received += len(part)
        yield part


def _keep_large() -> None:
    """Read a large body, so that its fields and the whole can be read afterwards."""
    if is_large():
        request.stream = BytesIO(read())
        request.get_data()


def _accepted(default: str) -> AcceptedBody:
    view = current_app.view_functions.get(request.endpoint or "")
    accepted: AcceptedBody = getattr(view, "accepted_body", AcceptedBody((default,)))
    return accepted


def _is_chunked() -> bool:
    return "chunked" in request.headers.get("Transfer-Encoding", "").lower()
