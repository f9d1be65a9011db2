"""The names of plans and regions."""

import re

from portal.placement.errors import InvalidPlan, InvalidRegion

IDENTIFIER = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
"""The name of a plan, a region or a cluster."""


def parse_plan(typed: str) -> str:
    """The plan's name. Raises InvalidPlan."""
    if not IDENTIFIER.fullmatch(typed):
        raise InvalidPlan(typed)
    return typed


def parse_region(typed: str) -> str:
    """The region's name. Raises InvalidRegion."""
    if not IDENTIFIER.fullmatch(typed):
        raise InvalidRegion(typed)
    return typed
