"""Owners take part in moves: where they may ask to be moved, and how they go back."""

from datetime import UTC, date, datetime, time

from portal.database.together import Part, read
from portal.documents.moves import Move
from portal.documents.organizations import Organization
from portal.organizations.access.lookup import Access
from portal.organizations.moving import finding, starting, ways_back
from portal.organizations.moving.errors import WayBackIsDrained
from portal.placement.clusters import regions_offered
from portal.web.context import RequestContext


def offered_regions(organization: Organization) -> list[str]:
    """The regions that owners may ask to be moved to; none for one that is bound to a region, or
    that has an open move or way back."""
    return read(reading_offered_regions(organization))


def reading_offered_regions(organization: Organization) -> Part[list[str]]:
    """Reads the same."""
    open_move = yield from finding.reading_open_move(organization)
    if organization.region or open_move:
        return []
    return regions_offered(organization.placement.cluster)


def request_move(access: Access, region: str, day: date, context: RequestContext) -> Move:
    """Have an owner ask for a move to the region on a ``day`` in UTC. Raises what
    ``starting.request_move`` raises."""
    return starting.request_move(access, region, datetime.combine(day, time(), UTC), context)


def withdraw_request(access: Access, seen: str, context: RequestContext) -> Move:
    """Have an owner withdraw the request of a move, by its id. Raises Forbidden, OtherMove,
    WrongMoveState, DuplicateRequest."""
    requested = finding.open_move(access.organization, seen)
    return starting.withdraw_request(access, requested, context)


def go_back(access: Access, seen: str, context: RequestContext) -> Move:
    """Have an owner go the way back with this id. Not to a cluster that is being emptied: that is
    for whoever runs the portal. Raises Forbidden, OtherMove, NotMovable, WrongMoveState,
    DuplicateRequest."""
    access.require("organization.move")
    way_back = finding.open_move(access.organization, seen)
    if way_back.drain:
        raise WayBackIsDrained(access.organization.name, way_back.target.cluster)
    return ways_back.go_back(str(way_back.id), context)


def end_way_back(access: Access, seen: str, context: RequestContext) -> Move:
    """Have an owner end the way back with this id. Raises Forbidden, OtherMove, WrongMoveState,
    DuplicateRequest."""
    access.require("organization.move")
    way_back = finding.open_move(access.organization, seen)
    return ways_back.end_way_back(str(way_back.id), context)
