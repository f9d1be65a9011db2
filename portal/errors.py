"""Categories of what a service refuses, each with its HTTP status.

A service raises an error of its own room (``errors.py`` beside it) and nothing else on purpose. An
error carries all that a reader is told: code, words, the field they belong to, and where to go on.
``portal/web/error_handlers.py`` turns it into a page or JSON.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class WayOn:
    """A button of an error page: its label and the endpoint, with its values, that it leads to."""

    label: str
    endpoint: str
    values: Mapping[str, Any] = field(default_factory=dict)
    method: str = "get"


class PortalError(Exception):
    """Something a service refused. Nothing was changed.

    ``message`` and ``api_message``, what programs read where that differs, are filled with the
    error's own attributes. ``title`` is that of a page, for an error that belongs to no ``field``.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    field: ClassVar[str | None] = None
    title: ClassVar[str] = "Nothing was changed"
    message: ClassVar[str]
    api_message: ClassVar[str | None] = None

    @property
    def words(self) -> str:
        """What people read."""
        return self.message.format_map(_Attributes(self))

    @property
    def api_words(self) -> str:
        """What programs read."""
        return (self.api_message or self.message).format_map(_Attributes(self))

    @property
    def ways_on(self) -> tuple[WayOn, ...]:
        """Where a reader who is logged in can go on; none: where everybody can."""
        return ()

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers of the answer."""
        return {}


class Malformed(PortalError):
    """What was sent can't be read."""

    status = 400


class Unauthenticated(PortalError):
    """Nobody is logged in, or the credentials are wrong."""

    status = 401


class Refused(PortalError):
    """The principal may not do this."""

    status = 403


class NotFound(PortalError):
    """It doesn't exist, or not for this principal: the two are told alike."""

    status = 404
    code = "not_found"
    title = "Nothing is at this address"
    message = (
        "The organization may have another name now, may be in the trash, or you may not be a "
        "member of it."
    )


class Conflict(PortalError):
    """The state of things doesn't allow it now."""

    status = 409


class Gone(PortalError):
    """It existed, and can't be used any more."""

    status = 410


class Invalid(PortalError):
    """An input breaks a rule."""

    status = 422


class TooManyRequests(PortalError):
    """A limit is reached."""

    status = 429


class Unavailable(PortalError):
    """The portal can't do it right now; the same request may succeed later."""

    status = 503


@dataclass
class SeveralErrors(Invalid):
    """Several things that are wrong with one input, reported together."""

    errors: list[PortalError]


class _Attributes(dict[str, Any]):
    """An error's attributes, for the format of its message."""

    def __init__(self, error: PortalError) -> None:
        super().__init__()
        self._error = error

    def __missing__(self, name: str) -> Any:
        return getattr(self._error, name)


def check_all(*checks: Callable[[], Any]) -> list[Any]:
    """Call all ``checks`` and return their results.

    Raises what a check raised; SeveralErrors where more than one did.
    """
    results, errors = [], []
    for check in checks:
        try:
            results.append(check())
        except PortalError as error:
            errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else SeveralErrors(errors)
    return results
