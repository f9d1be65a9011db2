"""Errors of legal holds, and their words."""

from dataclasses import dataclass

from portal.errors import Conflict, Invalid, NotFound


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


@dataclass
class HeldOnly(Conflict):
    """The hold was set, unlike after other errors, but the organization isn't read-only as well."""

    name: str
    reason: str

    code = "held_only"
    title = "The hold is set, and nothing more"
    message = "{name} is held, but did not become read-only (“{reason}”). Suspend it by itself."


class InvalidContact(Invalid):
    """Members wouldn't know whom to write to."""

    code = "invalid_contact"
    field = "contact"
    message = "Say whom members write to, in 200 characters at most"


class InvalidMemberMessage(Invalid):
    """A message to members that is too long."""

    code = "invalid_member_message"
    field = "message"
    message = "Tell members in 1,000 characters at most"


class InvalidSuspensionNote(Invalid):
    """A note that is too long."""

    code = "invalid_suspension_note"
    field = "note"
    message = "Note 1,000 characters at most"


class InvalidHoldReason(Invalid):
    """A hold without a reason, or with one that is too long."""

    code = "invalid_reason"
    field = "reason"
    message = "Say why, in 500 characters at most"
