"""Errors of an organization's API keys, and their words."""

from dataclasses import dataclass

from portal.display_names import InvalidName
from portal.errors import Conflict, Invalid


class InvalidApiKeyName(InvalidName):
    """A name of an API key that breaks a rule."""

    code = "invalid_name"
    field = "name"
    message = "{reason}"


@dataclass
class InvalidGrant(Invalid):
    """What an API key may not be given; ``reason`` tells the reader what to do."""

    reason: str

    code = "invalid_permissions"
    field = "permissions"
    message = "{reason}"


@dataclass
class InvalidExpiry(Invalid):
    """A last day that an API key can't have; ``reason`` tells the reader what to do."""

    reason: str

    code = "invalid_expiry"
    field = "expires_on"
    message = "{reason}"


@dataclass
class ApiKeyExpired(Conflict):
    """The last day of an API key is over."""

    name: str

    code = "key_expired"
    title = "This key has expired"
    message = "The last day of “{name}” is over. Make another key. Nothing was changed."


@dataclass
class TooManyApiKeys(Conflict):
    """An organization has as many API keys as it may have."""

    most: int

    code = "too_many_keys"
    title = "There are too many keys"
    message = (
        "The organization has {most} keys, and no more are possible. Revoke one that nobody "
        "uses. Nothing was changed."
    )
