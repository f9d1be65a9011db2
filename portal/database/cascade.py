"""Deletes what belongs to an account or organization together with it."""

from bson import ObjectId
from mongoengine import Document

from portal.database.transactions import within_transaction
from portal.documents.belongings import BELONGS_TO


@within_transaction
def delete_belongings(owner: type[Document], owner_id: ObjectId) -> None:
    """Delete every document that belongs to the ``owner`` with this id."""
    for belongs in BELONGS_TO:
        if belongs.owner is owner:
            belongs.document.objects(__raw__={belongs.field: owner_id}).delete()
