"""Memberships, and offers of ownership."""

from datetime import datetime
from enum import StrEnum

from bson import ObjectId
from mongoengine import fields

from portal.documents import MasterDocument, MasterPart


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
