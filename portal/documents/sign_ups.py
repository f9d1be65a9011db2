"""Sign-ups whose e-mail address is not verified yet."""

from datetime import timedelta

from mongoengine import fields

from portal.documents import MasterDocument

KEPT = timedelta(hours=24)


class PendingSignUp(MasterDocument):
    """The input of a sign-up. ``request_key`` is the idempotency key of its request, if any, and
    ``mac`` stands for the content, so that it is stored once. ``id`` is in its link: random, so
    that no two sign-ups share it. ``slug`` is the one that was typed, if any.

    ``account`` is the account of the address, created by this or another sign-up. While it exists
    the link is invalid. Rolling back the creation of the organization deletes the account, and so
    makes the link valid again, whichever process does it.

    Finished or not, it is kept for a day, so that a repeated request is recognized."""

    id = fields.StringField(primary_key=True)
    account = fields.ObjectIdField()
    request_key = fields.StringField()
    mac = fields.StringField()
    name = fields.StringField(required=True)
    slug = fields.StringField()
    viewers_read_documents = fields.BooleanField()
    email = fields.StringField(required=True)
    email_key = fields.StringField(required=True)
    password_hash = fields.StringField(required=True)
    asked_at = fields.DateTimeField(required=True)

    meta = {
        "collection": "pending_sign_ups",
        "indexes": [
            "email_key",
            {
                "fields": ["request_key"],
                "unique": True,
                "partialFilterExpression": {"request_key": {"$exists": True}},
            },
            {"fields": ["asked_at"], "expireAfterSeconds": int(KEPT.total_seconds())},
        ],
    }
