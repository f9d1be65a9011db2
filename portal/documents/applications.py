"""Applications: the software that the organizations use, as MongoDB users of the installation."""

from enum import StrEnum

from mongoengine import EmbeddedDocument, fields

from portal.documents import MasterDocument


class UserState(StrEnum):
    """The state of an application's current MongoDB user, as far as known."""

    PENDING = "pending"
    BY_HAND = "by hand"
    PROVEN = "proven"


class LastReport(EmbeddedDocument):
    """The latest report of an application's processes that was seen: those themselves expire."""

    user = fields.StringField(required=True)
    at = fields.DateTimeField(required=True)
    clusters = fields.ListField(fields.StringField())


class Application(MasterDocument):
    """An application. Its MongoDB user and role, both called ``user``, are in ``admin``.

    Recorded before the user is made, so that none is left over unknown. ``former_user`` lives on
    until the rotation is finished. Passwords are stored nowhere but in MongoDB.
    """

    name = fields.StringField(primary_key=True)
    user = fields.StringField(required=True)
    user_state = fields.StringField(required=True, choices=[state.value for state in UserState])
    user_since = fields.DateTimeField(required=True)
    former_user = fields.StringField()
    # Those beside the first on which its current user was made.
    clusters = fields.ListField(fields.StringField(), default=None)
    # Clusters on which its current and its former user may be: recorded before the user is made
    # there, until it is dropped there. Earlier versions recorded none.
    homes = fields.ListField(fields.StringField(), default=None)
    former_homes = fields.ListField(fields.StringField(), default=None)
    # Since when its former user, and all of them, are to be dropped, and may not be everywhere.
    finishing_since = fields.DateTimeField()
    ending_since = fields.DateTimeField()
    last_report = fields.EmbeddedDocumentField(LastReport)
    created_at = fields.DateTimeField(required=True)

    meta = {"collection": "applications"}

    @property
    def users(self) -> list[str]:
        """The names of all of its MongoDB users."""
        return [self.user, *([self.former_user] if self.former_user else [])]
