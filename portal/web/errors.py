"""Errors of requests, and their words."""

import math
from dataclasses import dataclass

from portal import settings
from portal.errors import Conflict, Invalid, Malformed, TooManyRequests, Unavailable

RETRY_AFTER_SECONDS = 5


class DuplicateRequest(Conflict):
    """Another request with the same key does it already, or has done it."""

    code = "still_running"
    title = "It is being done already"
    message = (
        "What you sent before is still being done. Nothing was done twice. Ask again in a moment."
    )

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}


class IdempotencyKeyReused(Invalid):
    """A program's key was sent before with another content."""

    code = "idempotency_key_reused"
    title = "This key was used before"
    message = (
        "You sent this Idempotency-Key before with other content. Use a new one for each "
        "thing you want done. Nothing was changed."
    )


class WrongHost(Malformed):
    """The request named another host than the portal's."""

    code = "wrong_host"
    title = "This is not the portal’s address"
    message = "The portal is at {public_url} and answers under no other host."

    @property
    def public_url(self) -> str:
        return settings.current().public_url


@dataclass
class MalformedJson(Malformed):
    """A body that is no JSON object; ``reason`` tells why."""

    reason: str

    code = "malformed_json"
    title = "The body can’t be read"
    message = "Send one JSON object: {reason}. Nothing was changed."


@dataclass
class InvalidInput(Invalid):
    """Fields that are missing, unknown or wrong; what is wrong with each."""

    fields: dict[str, str]

    code = "invalid_input"
    title = "What was sent is not what is asked for"
    message = "Correct these fields: {names}. Nothing was changed."

    @property
    def names(self) -> str:
        return ", ".join(sorted(self.fields))


@dataclass
class TooManyAttempts(TooManyRequests):
    """A limit is reached, and for how long."""

    retry_after_seconds: int

    code = "too_many_tries"
    title = "Too many tries"
    message = "Wait {wait}, then try again. Nothing was changed."

    @property
    def wait(self) -> str:
        """How long to wait, in words; never less."""
        minutes = math.ceil(self.retry_after_seconds / 60)
        return f"{minutes} minutes" if minutes > 2 else f"{self.retry_after_seconds} seconds"

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after_seconds)}


class Overloaded(Unavailable):
    """The portal is busy and did not start what was asked."""

    code = "overloaded"
    title = "The portal is busy"
    message = "Many people ask for this right now. Try again in a few seconds."
