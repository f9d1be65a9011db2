"""Claims on slugs."""

from mongoengine import (
    DateTimeField,
    Document,
    ObjectIdField,
    StringField,
)

CURRENT, TARGET, OLD = "current", "target", "old"


class Slug(Document):
    """A claim on a slug, by which every race for a name is decided: its ``_id``."""

    id = StringField(primary_key=True)
    organization = ObjectIdField(required=True)
    state = StringField(required=True, choices=(CURRENT, TARGET, OLD))
    held_until = DateTimeField()

    meta = {
        "collection": "slugs",
        "auto_create_index": False,
        "strict": False,
        "indexes": ["organization"],
    }
