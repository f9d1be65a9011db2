"""Sign-ups whose e-mail address is not verified yet."""

from datetime import timedelta

from mongoengine import DateTimeField, Document, ObjectIdField, StringField

KEPT = timedelta(hours=24)


class PendingSignUp(Document):
    """What somebody typed who wants to sign up. ``request_key`` stands for the key of the request
    that brought it, if it had one, and ``mac`` for its content, so that it is kept once. ``id`` is
    what its link is for: random, so that no other sign-up ever has it.

    ``account`` is the one that the address got, by this sign-up or by another for it. For as long
    as there is that account the link is over. Where the organization can't be created the account
    goes with it, whichever process turns that back, and then the link works again by itself.

    Finished or not, it is kept for its day: so long a request that is sent again is known."""

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
