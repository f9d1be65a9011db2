"""Errors of API keys as credentials, and their words."""

from portal.errors import NotFound, Refused


class NotForProvisioning(Refused):
    """A provisioning key, where only others may."""

    code = "provisioning_only"
    title = "This key may not do this"
    message = (
        "A provisioning key is for POST /org/create, PATCH /org/…/plan and PATCH /org/…/external, "
        "and nothing else. Send an organization’s key, or the token of a person. Nothing was "
        "changed."
    )


class ProvisioningRequired(Refused):
    """Another principal, where only a provisioning key may."""

    code = "provisioning_required"
    title = "Only a provisioning key may do this"
    message = (
        "Plans, regions, external ids and metadata are set by whoever runs the portal: send a "
        "provisioning key, or ask them. Nothing was changed."
    )


class NotForOperatorKeys(Refused):
    """An operators' key, outside of what operators do."""

    code = "operator_key_only"
    title = "This key may not do this"
    message = (
        "An operators’ key is for what is under /admin. Send an organization’s key, or the token "
        "of a person. Nothing was changed."
    )


class ApiKeyNotFound(NotFound):
    message = "The organization has no such key. It may have been revoked."
