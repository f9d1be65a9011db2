"""Memberships, offers of ownership, and invitations."""

from datetime import datetime
from enum import StrEnum

from bson import ObjectId
from mongoengine import fields

from portal import clock
from portal.documents import MasterDocument, MasterPart, index_where_set


class Role(StrEnum):
    """The role of a member in an organization."""

    OWNER = "owner"
    ADMIN = "admin"
    VIEWER = "viewer"


class OwnershipOffer(MasterPart):
    """A pending offer of ownership by the owner ``giver`` to a member. Without ``giver_stays`` the
    member replaces the giver on accepting."""

    id = fields.ObjectIdField(required=True, default=ObjectId)
    giver = fields.ObjectIdField(required=True)
    giver_stays = fields.BooleanField(required=True)
    at = fields.DateTimeField(required=True)


class Membership(MasterDocument):
    """An account's role in an organization, and a pending offer of ownership to it."""

    organization = fields.ObjectIdField(required=True)
    account = fields.ObjectIdField(required=True)
    role = fields.StringField(required=True, choices=tuple(Role))
    since: datetime = fields.DateTimeField(required=True)
    offer = fields.EmbeddedDocumentField(OwnershipOffer)

    meta = {
        "collection": "memberships",
        "indexes": [{"fields": ["organization", "account"], "unique": True}, "account"],
    }


class InvitationState(StrEnum):
    """The state of an invitation. EXPIRED is not stored: it is an open one past ``expires_at``."""

    OPEN = "open"
    EXPIRED = "expired"
    ACCEPTED = "accepted"
    WITHDRAWN = "withdrawn"


GRANTABLE_ROLES = (Role.VIEWER, Role.ADMIN)
"""The roles that can be assigned; ownership has to be offered and accepted."""


class Invitation(MasterDocument):
    """An invitation of an address to an organization.

    Sending it increments ``generation``, which is signed into the link: only the newest link
    works. ``inviter`` is the account that sent it last.
    """

    organization = fields.ObjectIdField(required=True)
    email = fields.StringField(required=True)
    email_key = fields.StringField(required=True)
    role = fields.StringField(required=True, choices=GRANTABLE_ROLES)
    inviter = fields.ObjectIdField(required=True)
    generation = fields.IntField(required=True, default=1)
    state = fields.StringField(
        required=True,
        choices=(InvitationState.OPEN, InvitationState.ACCEPTED, InvitationState.WITHDRAWN),
        default=InvitationState.OPEN,
    )
    created_at = fields.DateTimeField(required=True)
    sent_at = fields.DateTimeField(required=True)
    expires_at = fields.DateTimeField(required=True)
    ended_at = fields.DateTimeField()
    account = fields.ObjectIdField()  # accepted it

    meta = {
        "collection": "invitations",
        "indexes": [
            {
                # Decides between simultaneous invitations of one address.
                "fields": ["organization", "email_key"],
                "unique": True,
                "partialFilterExpression": {"state": InvitationState.OPEN},
                "name": "open_of_address",
            },
            {"fields": ["organization", "-_id"]},
            # Ended ones too: closing an account removes its address from them.
            {"fields": ["email_key", "state"]},
            {"fields": ["inviter"], "partialFilterExpression": {"state": InvitationState.OPEN}},
            index_where_set("account"),
        ],
    }

    @property
    def standing(self) -> str:
        """Its current state, which may be EXPIRED."""
        return standing_of(self.state, self.expires_at)


def standing_of(state: str, expires_at: datetime) -> str:
    """The current state for a stored one, which a newer version may have named."""
    expired = state == InvitationState.OPEN and expires_at <= clock.now()
    return InvitationState.EXPIRED if expired else state
