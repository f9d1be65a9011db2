"""The operator that the request at hand acts as, if it does.

Nothing reads an organization's documents for an operator but the MongoDB user of a support grant,
or in a shared collection the store in its place. So whoever is found to be an operator is noted
here, and the one door to documents asks: a page of the console that forgot to check anything gets
none.
"""

from contextvars import ContextVar
from dataclasses import dataclass

from bson import ObjectId


@dataclass(frozen=True, slots=True)
class ActingOperator:
    """An operator at work: in the console, or in one organization by the support ``grant``."""

    grant: ObjectId | None = None


_acting: ContextVar[ActingOperator | None] = ContextVar("acting_operator", default=None)


def begin_request() -> None:
    """Forget the operator that this thread's former request acted as."""
    _acting.set(None)


def note_operator(grant: ObjectId | None = None) -> None:
    """Have the rest of this request act as an operator, by the support ``grant`` or without."""
    _acting.set(ActingOperator(grant))


def acting_operator() -> ActingOperator | None:
    """The operator that this request acts as; ``None`` for members, programs, jobs, commands."""
    return _acting.get()
