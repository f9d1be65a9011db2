"""Errors of an organization's API keys, and their words."""

from dataclasses import dataclass

from portal.display_names import InvalidName
from portal.documents.api_keys import API_KEY_ROLES
from portal.errors import Conflict, Invalid
from portal.permissions import FOR_API_KEYS

# Reasons of InvalidGrant.
BOTH_GRANTED = "Choose a role or permissions, not both"
NOTHING_GRANTED = "Choose what the key may do"
UNKNOWN_ROLE = f"Choose one of these roles: {', '.join(API_KEY_ROLES)}"
UNKNOWN_PERMISSION = f"Choose from these: {', '.join(sorted(FOR_API_KEYS))}"
# Reasons of InvalidExpiry.
PAST_DAY = "Choose a last day that is not over"
DISTANT_DAY = "Choose a last day within ten years"


class InvalidApiKeyName(InvalidName):
    """A name of an API key that breaks a rule."""

    code = "invalid_name"
    field = "name"
    message = "{reason}"


@dataclass
class InvalidGrant(Invalid):
    """A role or permissions that an API key can't have; ``reason`` says what to do."""

    reason: str

    code = "invalid_permissions"
    field = "permissions"
    message = "{reason}"


@dataclass
class InvalidExpiry(Invalid):
    """A last day that an API key can't have; ``reason`` says what to do."""

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
    """An organization has reached its limit of API keys."""

    most: int

    code = "too_many_keys"
    title = "There are too many keys"
    message = (
        "The organization has {most} keys, and no more are possible. Revoke one that nobody "
        "uses. Nothing was changed."
    )
