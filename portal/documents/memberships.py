"""Memberships, and offers of ownership."""

from datetime import datetime
from enum import StrEnum

from bson import ObjectId
from mongoengine import (
    BooleanField,
    DateTimeField,
    Document,
    EmbeddedDocument,
    EmbeddedDocumentField,
    ObjectIdField,
    StringField,
)


class Role(StrEnum):
    """The role of a member in an organization."""

    OWNER = "owner"
    ADMIN = "admin"
    VIEWER = "viewer"


class OwnershipOffer(EmbeddedDocument):
    """A pending offer of ownership by the owner ``giver`` to a member. Without ``giver_stays`` the
    member replaces the giver on accepting."""

    id = ObjectIdField(required=True, default=ObjectId)
    giver = ObjectIdField(required=True)
    giver_stays = BooleanField(required=True)
    at = DateTimeField(required=True)

    meta = {"strict": False}


class Membership(Document):
    """An account's role in an organization, and a pending offer of ownership to it."""

    organization = ObjectIdField(required=True)
    account = ObjectIdField(required=True)
    role = StringField(required=True, choices=tuple(Role))
    since: datetime = DateTimeField(required=True)
    offer = EmbeddedDocumentField(OwnershipOffer)

    meta = {
        "collection": "memberships",
        "auto_create_index": False,
        "strict": False,
        "indexes": [
            {"fields": ["organization", "account"], "unique": True},
            "account",
        ],
    }
