"""Strategies of placement that this version knows. What is placed by another one is left to the
newer version beside this one."""

from typing import Any

from portal.documents.organizations import Organization, Strategy
from portal.organizations.access.errors import UnknownStrategy

# The first versions wrote no strategy.
KNOWN: dict[str, Any] = {"placement.strategy": {"$in": [None, *Strategy]}}
"""The filter for organizations that are placed by one of them."""


def check_strategy(organization: Organization) -> None:
    """Raise UnknownStrategy where the organization is placed by another one."""
    strategy = organization.placement.strategy
    if strategy not in tuple(Strategy):
        raise UnknownStrategy(organization.name, strategy)
