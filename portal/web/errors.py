"""Errors of requests, with their words."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from portal import settings
from portal.errors import Conflict, Invalid, Malformed, TooManyRequests, Unavailable

RETRY_AFTER_SECONDS = 5


class DuplicateRequest(Conflict):
    """Another request with the same idempotency key is running or done."""

    code = "still_running"
    title = "It is being done already"
    message = (
        "What you sent before is still being done. Nothing was done twice. Ask again in a moment."
    )

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}


class IdempotencyKeyReused(Invalid):
    """A program sent an idempotency key again with other content."""

    code = "idempotency_key_reused"
    title = "This key was used before"
    message = (
        "You sent this Idempotency-Key before with other content. Use a new one for each "
        "operation. Nothing was changed."
    )


class _NamesPortal:
    @property
    def public_url(self) -> str:
        return settings.current().public_url


class WrongHost(_NamesPortal, Malformed):
    code = "wrong_host"
    title = "This is not the portal’s address"
    message = "The portal is at {public_url} and answers under no other host."


class NoCookie(_NamesPortal, Malformed):
    """A form came without any cookie of the portal: cookies are blocked, or those that are for
    HTTPS alone were dropped since the portal was opened by HTTP."""

    code = "no_cookie"
    title = "This form came without a cookie"
    message = (
        "Your browser sent no cookie with this form, so nothing was changed: send it again, and if "
        "that does not help, allow cookies and open the portal at {public_url}."
    )


@dataclass
class MalformedJson(Malformed):
    """A body that is no JSON object; ``reason`` says why."""

    reason: str

    code = "malformed_json"
    title = "The body can’t be read"
    message = "Send one JSON object: {reason}. Nothing was changed."


@dataclass
class NotUtf8(MalformedJson):
    """A body whose bytes or text are no UTF-8."""

    reason: str = "it is not valid UTF-8"


@dataclass
class NestedTooDeep(MalformedJson):
    """A body that is nested deeper than can be parsed."""

    reason: str = "it is nested too deep"


@dataclass
class NotJson(MalformedJson):
    """A body that is no JSON."""

    reason: str = "it is not valid JSON"


@dataclass
class NotAnObject(MalformedJson):
    """A body of JSON that is no object."""

    reason: str = "it is something else"


@dataclass
class KeyTwice(MalformedJson):
    """A body with an object that has a key twice."""

    reason: str = "a key is there twice"


@dataclass
class InvalidInput(Invalid):
    """Missing, unknown or wrong ``fields``, with what is wrong with each."""

    fields: dict[str, str]

    code = "invalid_input"
    title = "What was sent is not what is asked for"
    message = "Correct these fields: {names}. Nothing was changed."

    @classmethod
    def malformed_idempotency_key(cls, field: str) -> Self:
        return cls({field: "Send 1 to 255 visible ASCII characters, once."})

    @property
    def names(self) -> str:
        return ", ".join(sorted(self.fields))


class UnknownParameters(InvalidInput):
    """Query parameters that the endpoint doesn't have."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(dict.fromkeys(names, "Unknown query parameter."))


class RepeatedParameters(InvalidInput):
    """Query parameters that were sent more than once."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(dict.fromkeys(names, "Send one value."))


@dataclass
class TooManyAttempts(TooManyRequests):
    """A rate limit is exceeded, and for how long."""

    retry_after_seconds: int

    code = "too_many_tries"
    title = "Too many tries"
    message = "Wait {wait}, then try again. Nothing was changed."

    @property
    def wait(self) -> str:
        """The time to wait in words, rounded up."""
        minutes = math.ceil(self.retry_after_seconds / 60)
        return f"{minutes} minutes" if minutes > 2 else f"{self.retry_after_seconds} seconds"

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after_seconds)}


class Overloaded(Unavailable):
    """The portal is at capacity and did not start the request."""

    code = "overloaded"
    title = "The portal is busy"
    message = "Many people ask for this right now. Try again in a few seconds."


class StaleFileForm(Malformed):
    """A form with a file whose CSRF token isn't the session's: it can't be shown filled in."""

    code = "stale_form"
    title = "This form is no longer valid"
    message = (
        "It was opened long ago, or before you logged in or out. Reload its page and choose the "
        "file again. Nothing was uploaded."
    )
