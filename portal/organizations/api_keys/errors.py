"""Errors of an organization's API keys, and their words."""

from collections.abc import Iterable
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
    """A role or permissions that an API key can't have; ``reason`` says what to do."""

    reason: str

    @classmethod
    def role_or_permissions(cls) -> "InvalidGrant":
        return cls("Choose a role or permissions, not both")

    @classmethod
    def role_not_in(cls, roles: Iterable[str]) -> "InvalidGrant":
        return cls(f"Choose one of these roles: {', '.join(roles)}")

    @classmethod
    def nothing(cls) -> "InvalidGrant":
        return cls("Choose what the key may do")

    @classmethod
    def permissions_not_in(cls, permissions: Iterable[str]) -> "InvalidGrant":
        return cls(f"Choose from these: {', '.join(sorted(permissions))}")

    code = "invalid_permissions"
    field = "permissions"
    message = "{reason}"


@dataclass
class InvalidExpiry(Invalid):
    """A last day that an API key can't have; ``reason`` says what to do."""

    reason: str

    @classmethod
    def past(cls) -> "InvalidExpiry":
        return cls("Choose a last day that is not over")

    @classmethod
    def too_late(cls) -> "InvalidExpiry":
        return cls("Choose a last day within ten years")

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
    """An organization has reached its limit of API keys."""

    most: int

    code = "too_many_keys"
    title = "There are too many keys"
    message = (
        "The organization has {most} keys, and no more are possible. Revoke one that nobody "
        "uses. Nothing was changed."
    )
