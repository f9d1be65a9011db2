"""Invitations to organizations."""

from datetime import datetime
from enum import StrEnum

from mongoengine import DateTimeField, Document, IntField, ObjectIdField, StringField

from portal import clock
from portal.documents.memberships import Role


class InvitationState(StrEnum):
    """What became of an invitation. EXPIRED is not stored: an open one whose time is over."""

    OPEN = "open"
    ACCEPTED = "accepted"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


GRANTABLE_ROLES = (Role.VIEWER, Role.ADMIN)
"""The roles that can be given; ownership is offered, and accepted."""


class Invitation(Document):
    """An invitation of an address to an organization.

    ``generation`` grows each time that it is sent, and is signed into the link: only the newest
    one works. ``inviter`` is the account that sent it last.
    """

    organization = ObjectIdField(required=True)
    email = StringField(required=True)
    email_key = StringField(required=True)
    role = StringField(required=True, choices=GRANTABLE_ROLES)
    inviter = ObjectIdField(required=True)
    generation = IntField(required=True, default=1)
    state = StringField(
        required=True,
        choices=(InvitationState.OPEN, InvitationState.ACCEPTED, InvitationState.WITHDRAWN),
        default=InvitationState.OPEN,
    )
    created_at = DateTimeField(required=True)
    sent_at = DateTimeField(required=True)
    expires_at = DateTimeField(required=True)
    ended_at = DateTimeField()
    account = ObjectIdField()  # that accepted it

    meta = {
        "collection": "invitations",
        "auto_create_index": False,
        "strict": False,
        "indexes": [
            {
                # Decides who of two that invite one address at the same moment does.
                "fields": ["organization", "email_key"],
                "unique": True,
                "partialFilterExpression": {"state": InvitationState.OPEN},
                "name": "open_of_address",
            },
            {"fields": ["organization", "-_id"]},
            # Those that have ended, too: an account's closing takes its address out of them.
            {"fields": ["email_key", "state"]},
            {"fields": ["inviter"], "partialFilterExpression": {"state": InvitationState.OPEN}},
            {"fields": ["account"], "partialFilterExpression": {"account": {"$exists": True}}},
        ],
    }

    @property
    def standing(self) -> str:
        """Its state as it is now, EXPIRED among them."""
        return standing_of(self.state, self.expires_at)


def standing_of(state: str, expires_at: datetime) -> str:
    """What a stored state is now: an open invitation's time may be over."""
    return (
        InvitationState.EXPIRED
        if state == InvitationState.OPEN and expires_at <= clock.now()
        else state
    )
