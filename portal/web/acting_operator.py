"""The operator that the request at hand acts as, if it does.

Nothing reads an organization's documents for an operator but the MongoDB user of a support grant,
or in a shared collection the store in its place. So whoever is found to be an operator is noted
here, and the one door to documents asks: a page of the console that forgot to check anything gets
none. What is streamed after the request is asked likewise.
"""

from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class ActingOperator:
    """An operator at work: in the console, or as the account ``person`` in one organization by the
    support ``grant``."""

    person: ObjectId | None = None
    grant: ObjectId | None = None


_acting: ContextVar[ActingOperator | None] = ContextVar("acting_operator", default=None)


def contained(wsgi_app: WsgiApp) -> WsgiApp:
    """The application, each request of which has an operator of its own, also while its content is
    sent."""

    def run(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        context = copy_context()
        content = context.run(wsgi_app, environ, start_response)
        return content if context.get(_acting) is None else _Content(context, content)

    return run


def note_operator(operator: ActingOperator) -> None:
    """Have the rest of this request act as the ``operator``."""
    _acting.set(operator)


def acting_operator() -> ActingOperator | None:
    """The operator that this request acts as; ``None`` for members, programs, jobs, commands."""
    return _acting.get()


def context_of_operator() -> Context:
    """A new context, in which only the operator is known that this request acts as."""
    context = Context()
    context.run(_acting.set, _acting.get())
    return context


class _Content:
    """The content of an answer, made in the context of its request."""

    def __init__(self, context: Context, content: Iterable[bytes]) -> None:
        self._context, self._content = context, content

    def __iter__(self) -> Iterator[bytes]:
        parts = self._context.run(iter, self._content)
        while (part := self._context.run(next, parts, None)) is not None:
            yield part

    def close(self) -> None:
        """Release what making it took."""
        close = getattr(self._content, "close", None)
        if close is not None:
            self._context.run(close)
