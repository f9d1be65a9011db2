"""Mails to owners about moves."""

from typing import Any

from portal.documents.mails import Mail
from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import Organization, OrganizationState
from portal.mail.links import link
from portal.mail.outbox import MailKind


def _about_decided(mail: Mail) -> dict[str, Any] | None:
    """The mail's values while the organization is there, and the decision stands."""
    move = Move.objects(id=mail.ids["move"]).first()
    return None if move is None or move.state == MoveState.REQUESTED else _values(mail, move)


def _about_lost(mail: Mail) -> dict[str, Any] | None:
    move = Move.objects(id=mail.ids["move"], outcome=Outcome.LOST).first()
    return move and _values(mail, move)


def _values(mail: Mail, move: Move) -> dict[str, Any] | None:
    organization = Organization.objects(
        id=mail.ids["organization"], state=OrganizationState.ACTIVE
    ).first()
    if organization is None:
        return None
    return {
        "name": organization.name,
        "day": move.switch_at,
        "cluster": move.target.cluster,
        "reason": move.reason,
        "link": link("organizations.placement", slug=organization.slug),
    }


MOVE_APPROVED = MailKind("move_approved", "{name} will be moved", _about_decided)
MOVE_DECLINED = MailKind("move_declined", "{name} will not be moved", _about_decided)
WAY_BACK_LOST = MailKind("way_back_lost", "{name} can’t go back to its old place", _about_lost)

KINDS = (MOVE_APPROVED, MOVE_DECLINED, WAY_BACK_LOST)
