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
    """Who did something, and from where: the stored part of a ``RequestContext``."""

    account = ObjectIdField()
    email = StringField()
    # An actor that is no account: an API key with its id, a command.
    actor_kind = StringField()
    actor = ObjectIdField()
    actor_name = StringField()
    session = ObjectIdField()
    address = StringField()
    request_id = StringField()

    meta = {"strict": False}


class Head(EmbeddedDocument):
    """The newest event of a chain, embedded in the chain's subject.

    Every event writes it in the transaction of the change that it records. This write conflict
    also keeps rules over several documents true under snapshot isolation.
    """

    seq = IntField(required=True, default=0)
    hash = StringField(required=True, default="")
    at = DateTimeField()

    meta = {"strict": False}


class EventsAreImmutable(Exception):
    """An attempt to change or remove an audit event."""


class _FinalEvents(QuerySet):
    """Allows only finding and inserting events. ``update_one``, ``upsert_one`` and the methods of a
    document go through these."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise EventsAreImmutable

    update = modify = delete = _refuse


class AuditEvent(Document):
    """One event, immutable once written. ``chain`` is the id of its subject: an organization or an
    account.

    ``actor`` is an account unless ``actor_kind`` says otherwise; ``target`` is the account,
    invitation, API key or session acted upon, unless that is the subject itself. ``personal``
    holds what may have to be erased (e-mail of actor and target, IP address), each as value, salt
    and digest; only the digest goes into the hash, so that erasing leaves the chain intact.
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
            # Equality before sort order: so a page takes the same time however many events there
            # are (portal/audit/filters.py).
            ["chain", "action", "-seq"],
            ["chain", "personal.email.value", "actor_name", "-seq"],
            ["chain", "action", "personal.email.value", "actor_name", "-seq"],
            ["chain", "at"],
            # Events that name a person: to export them, by id, and to erase the person.
            ["chain", "id"],
            ["actor", "id"],
            {
                "fields": ["target", "id"],
                "partialFilterExpression": {"target": {"$exists": True}},
            },
        ],
    }

    def save(self, *args: Any, **options: Any) -> "AuditEvent":
        """Insert a new event. Raises EventsAreImmutable for a stored one."""
        if not self._created:
            raise EventsAreImmutable
        return super().save(*args, **{**options, "force_insert": True})
