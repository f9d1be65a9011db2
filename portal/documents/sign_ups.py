"""Sign-ups whose e-mail address is not verified yet."""

from datetime import timedelta

from mongoengine import DateTimeField, Document, ObjectIdField, StringField

KEPT = timedelta(hours=24)


class PendingSignUp(Document):
    """The input of a sign-up. ``request_key`` is the idempotency key of its request, if any, and
    ``mac`` stands for the content, so that it is stored once. ``id`` is in its link: random, so
    that no two sign-ups share it.

    ``account`` is the account of the address, created by this or another sign-up. While it exists
    the link is invalid. Rolling back the creation of the organization deletes the account, and so
    makes the link valid again, whichever process does it.

    Finished or not, it is kept for a day, so that a repeated request is recognized."""

    id = StringField(primary_key=True)
    account = ObjectIdField()
    request_key = StringField()
    mac = StringField()
    name = StringField(required=True)
    email = StringField(required=True)
    email_key = StringField(required=True)
    password_hash = StringField(required=True)
    asked_at = DateTimeField(required=True)

    meta = {
        "collection": "pending_sign_ups",
        "auto_create_index": False,
        "strict": False,
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
