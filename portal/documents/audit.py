"""Events of the audit trail, and the head of their chain."""

from typing import Any, NoReturn

from mongoengine import (
    DateTimeField,
    DictField,
    Document,
    EmbeddedDocument,
    IntField,
    ObjectIdField,
    QuerySet,
    StringField,
)


class Origin(EmbeddedDocument):
    """Who did something, and from where; what is stored of a ``RequestContext``."""

    account = ObjectIdField()
    email = StringField()
    # What acts where it is no account: an organization's key by its id, a command.
    actor_kind = StringField()
    actor = ObjectIdField()
    actor_name = StringField()
    session = ObjectIdField()
    address = StringField()
    request_id = StringField()

    meta = {"strict": False}


class Head(EmbeddedDocument):
    """The newest event of a chain. It stands in the document that the chain is about.

    Every event writes it together with the change it records, which is also what keeps rules
    over several documents true under snapshot isolation.
    """

    seq = IntField(required=True, default=0)
    hash = StringField(required=True, default="")
    at = DateTimeField()

    meta = {"strict": False}


class EventsAreFinal(Exception):
    """Something tried to change or remove an audit event."""


class _FinalEvents(QuerySet):
    """Finds events and inserts them, and nothing else. ``update_one``, ``upsert_one`` and the
    methods of a document come by these."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise EventsAreFinal

    update = modify = delete = _refuse


class AuditEvent(Document):
    """One event, final once it is written. ``chain`` is the id of the organization, else the
    account, it concerns.

    ``actor`` is an account unless ``actor_kind`` says otherwise; ``target`` the account,
    invitation, key or session that it was done to, if that was not the chain's own subject.
    ``personal`` holds what may have to be erased (e-mail of actor and target, address), each as
    value, salt and digest; only the digest goes into the hash, so that erasing leaves the chain
    whole.
    """

    chain = ObjectIdField(required=True)
    seq = IntField(required=True)
    at = DateTimeField(required=True)
    action = StringField(required=True)
    actor = ObjectIdField()
    actor_kind = StringField()
    actor_name = StringField()
    target = ObjectIdField()
    session = ObjectIdField()
    request_id = StringField()
    details = DictField()
    personal = DictField()
    hash = StringField(required=True)

    meta = {
        "collection": "audit_events",
        "auto_create_index": False,
        "strict": False,
        "queryset_class": _FinalEvents,
        "indexes": [
            {"fields": ["chain", "-seq"], "unique": True},
            # Whatever is asked for by equality stands before the order that it is shown in: so a
            # page takes as long however many events there are (portal/audit/filters.py).
            ["chain", "action", "-seq"],
            ["chain", "personal.email.value", "actor_name", "-seq"],
            ["chain", "action", "personal.email.value", "actor_name", "-seq"],
            ["chain", "at"],
            # What names a person, to give it to them, in the order of ids, and to erase it.
            ["chain", "id"],
            ["actor", "id"],
            {
                "fields": ["target", "id"],
                "partialFilterExpression": {"target": {"$exists": True}},
            },
        ],
    }

    def save(self, *args: Any, **options: Any) -> "AuditEvent":
        """Write a new event. Raises EventsAreFinal for one that is written."""
        if not self._created:
            raise EventsAreFinal
        return super().save(*args, **{**options, "force_insert": True})
