"""Claims on slugs."""

from enum import StrEnum

from mongoengine import fields

from portal.documents import MasterDocument


class SlugState(StrEnum):
    """The state of a slug in the organization that holds it."""

    CURRENT = "current"
    TARGET = "target"
    OLD = "old"


class Slug(MasterDocument):
    """A claim on a slug. Its ``_id`` is the slug, so the unique index decides every race."""

    id = fields.StringField(primary_key=True)
    organization = fields.ObjectIdField(required=True)
    state = fields.StringField(required=True, choices=tuple(SlugState))
    held_until = fields.DateTimeField()

    meta = {"collection": "slugs", "indexes": ["organization"]}
