"""Reasons of suspensions and holds, as somebody typed them."""

from portal.display_names import visible_part
from portal.documents.restrictions import Cause
from portal.errors import Invalid, check_all
from portal.organizations.lifecycle.restricting import Reason
from portal.organizations.restrictions.errors import (
    InvalidContact,
    InvalidHoldReason,
    InvalidMemberMessage,
    InvalidSuspensionNote,
)

LONGEST_TEXT, LONGEST_CONTACT, LONGEST_HOLD_REASON = 1000, 200, 500


def parse_reason(cause: str, contact: str, message: str | None, note: str | None) -> Reason:
    """The reason of a suspension. Raises InvalidContact, InvalidMemberMessage,
    InvalidSuspensionNote, or SeveralErrors of them."""
    texts = check_all(
        lambda: parse_contact(contact),
        lambda: parse_message(message),
        lambda: _text(note, LONGEST_TEXT, InvalidSuspensionNote),
    )
    return Reason(Cause(cause), texts[0] or "", texts[1], texts[2])


def parse_contact(typed: str) -> str:
    """The contact of members, in one line. Raises InvalidContact."""
    return _text(typed, LONGEST_CONTACT, InvalidContact, required=True) or ""


def parse_message(typed: str | None) -> str | None:
    """The message to members, in one line. Raises InvalidMemberMessage."""
    return _text(typed, LONGEST_TEXT, InvalidMemberMessage)


def parse_hold_reason(reason: str | None) -> str:
    """The reason of a hold. Raises InvalidHoldReason."""
    return _text(reason, LONGEST_HOLD_REASON, InvalidHoldReason, required=True) or ""


def _text(
    typed: str | None, longest: int, error: type[Invalid], *, required: bool = False
) -> str | None:
    """The typed text in one line."""
    text = " ".join(visible_part(typed or "", " ").split())
    if len(text) > longest or (required and not text):
        raise error
    return text or None
