"""Claims on slugs."""

from enum import StrEnum

from mongoengine import DateTimeField, Document, ObjectIdField, StringField


class SlugState(StrEnum):
    """The state of a slug in the organization that holds it."""

    CURRENT = "current"
    TARGET = "target"
    OLD = "old"


class Slug(Document):
    """A claim on a slug. Its ``_id`` is the slug, so the unique index decides every race."""

    id = StringField(primary_key=True)
    organization = ObjectIdField(required=True)
    state = StringField(required=True, choices=tuple(SlugState))
    held_until = DateTimeField()

    meta = {
        "collection": "slugs",
        "auto_create_index": False,
        "strict": False,
        "indexes": ["organization"],
    }
