"""Errors of API keys as credentials, and their words."""

from portal.errors import NotFound, Refused


class NotForProvisioning(Refused):
    code = "provisioning_only"
    title = "This key may not do this"
    message = (
        "A provisioning key is for POST /org/create and nothing else. Send an organization’s "
        "key, or the token of a person. Nothing was changed."
    )


class ApiKeyNotFound(NotFound):
    message = "The organization has no such key. It may have been revoked."
