"""Validators of tenants' documents, which scripts set."""

from collections.abc import Mapping
from typing import Any

from bson import encode

from portal.tenant_scripts.errors import (
    InvalidValidator,
    UnknownEnforcement,
    ValidatorTooLarge,
)
from portal.tenants import Tenant
from portal.tenants.errors import QueryRefused
from portal.tenants.queries import check_filter

MOST_BYTES = 64 * 1024
LEVELS = ("strict", "moderate", "off")
ACTIONS = ("error", "warn")


def set_validator(
    tenant: Tenant,
    validator: Mapping[str, Any],
    *,
    level: str = "moderate",
    action: str = "error",
) -> None:
    """Have MongoDB check what is written to an organization's documents; an empty ``validator``
    ends that. Idempotent, and follows renames as every operation of a tenant.

    By the default ``level``, documents that don't match it already may be changed further. Raises
    InvalidValidator for one that runs code or has more than MOST_BYTES.
    """
    if level not in LEVELS or action not in ACTIONS:
        raise UnknownEnforcement(LEVELS, ACTIONS)
    try:
        check_filter(validator)
    except QueryRefused as error:
        raise InvalidValidator(str(error)) from error
    if len(encode(validator)) > MOST_BYTES:
        raise ValidatorTooLarge(MOST_BYTES)
    # The library offers no collMod to applications, whose MongoDB users may not.
    tenant._execution.change(
        "collMod", validator=validator, validationLevel=level, validationAction=action
    )
