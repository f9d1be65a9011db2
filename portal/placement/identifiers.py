"""The names of plans and regions."""

from portal.placement.errors import InvalidPlan, InvalidRegion
from portal.settings.checks import IDENTIFIER


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
