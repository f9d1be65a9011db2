"""Categories of errors, each with its HTTP status.

A service deliberately raises only errors of its own room (``errors.py`` beside it). An error
carries everything shown to the reader: code, words, the field at fault, and where to continue.
``portal/web/error_handlers.py`` renders it as a page or JSON.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from portal.bidi import isolated


@dataclass(frozen=True, slots=True)
class Action:
    """A button of an error page: its label, and the endpoint it leads to with its values."""

    label: str
    endpoint: str
    values: Mapping[str, Any] = field(default_factory=dict)
    method: str = "get"


class PortalError(Exception):
    """A service's refusal, with nothing changed.

    ``message``, and ``api_message`` for programs where that differs, are formatted with the error's
    attributes. ``title`` is the page's, for an error without ``field``.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    field: ClassVar[str | None] = None
    title: ClassVar[str] = "Nothing was changed"
    message: ClassVar[str]
    api_message: ClassVar[str | None] = None

    @property
    def words(self) -> str:
        """The message for people."""
        return self.message.format_map(_IsolatedAttributes(self))

    @property
    def api_words(self) -> str:
        """The message for programs."""
        return (self.api_message or self.message).format_map(_Attributes(self))

    @property
    def actions(self) -> tuple[Action, ...]:
        """The buttons for a logged-in reader; empty for the default ones."""
        return ()

    @property
    def suggestions(self) -> Mapping[str, str]:
        """The values that a form puts into fields that were left empty."""
        return {}

    @property
    def details(self) -> Mapping[str, str]:
        """Further values for programs, by name."""
        return {}

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers of the response."""
        return {}


class Malformed(PortalError):
    """The request can't be parsed."""

    status = 400


class Unauthenticated(PortalError):
    """Nobody is logged in, or the credentials are wrong."""

    status = 401


class Refused(PortalError):
    """The principal may not do this."""

    status = 403


class LimitReached(PortalError):
    """A limit of what may be kept is reached: it takes another one, or less that is kept."""

    status = 402


class NotFound(PortalError):
    """It doesn't exist, or not for this principal: the responses are the same."""

    status = 404
    code = "not_found"
    title = "Nothing is at this address"
    message = (
        "The organization may have another name now, may be in the trash, or you may not be a "
        "member of it."
    )


class Conflict(PortalError):
    """The current state doesn't allow it."""

    status = 409


class Gone(PortalError):
    """It existed, but can no longer be used."""

    status = 410


class Invalid(PortalError):
    """An input breaks a rule."""

    status = 422


class Suspended(PortalError):
    """A refusal by a suspension, which whoever runs the portal has set."""

    status = 423


class TooManyRequests(PortalError):
    """A rate limit is exceeded."""

    status = 429


class Unavailable(PortalError):
    """The portal can't do it right now; the same request may succeed later."""

    status = 503


@dataclass
class SeveralErrors(Invalid):
    """Several errors of one input, reported together."""

    errors: list[PortalError]


class _Attributes(dict[str, Any]):
    """An error's attributes, for formatting its message."""

    def __init__(self, error: PortalError) -> None:
        super().__init__()
        self._error = error

    def __missing__(self, name: str) -> Any:
        return getattr(self._error, name)


class _IsolatedAttributes(_Attributes):
    def __missing__(self, name: str) -> Any:
        value = super().__missing__(name)
        return isolated(value) if isinstance(value, str) else value


def check_all(*checks: Callable[[], Any]) -> list[Any]:
    """Call all ``checks`` and return their results.

    Raises the error of a failed check; SeveralErrors where more than one fails.
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
