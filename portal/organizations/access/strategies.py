"""Strategies of placement that this version knows. What is placed by another one is left to the
newer version beside this one."""

from portal.documents.organizations import Organization, Strategy
from portal.organizations.access.errors import UnknownStrategy


def check_strategy(organization: Organization) -> None:
    """Raise UnknownStrategy where the organization is placed by another one."""
    strategy = organization.placement.strategy
    if strategy not in tuple(Strategy):
        raise UnknownStrategy(organization.name, strategy)
