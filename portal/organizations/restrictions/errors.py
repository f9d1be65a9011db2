"""Errors of legal holds, and their words."""

from dataclasses import dataclass

from portal.errors import Conflict, NotFound


class HoldNotFound(NotFound):
    """No legal hold of the organization has this id."""

    code = "hold_not_found"
    title = "No such legal hold"
    message = "This organization has no legal hold with this id. Reload its list."


@dataclass
class HoldTooLate(Conflict):
    """The organization is gone, or being purged: there is nothing left to hold."""

    name: str

    code = "hold_too_late"
    title = "It is too late for a hold"
    message = "{name} is purged, or being purged: nothing is left to hold. Nothing was changed."
