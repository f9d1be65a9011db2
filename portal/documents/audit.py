"""Events of the audit trail, and the head of their chain."""

from typing import Any, NoReturn

from mongoengine import QuerySet, fields

from portal.documents import MasterDocument, MasterPart, index_where_set


class Origin(MasterPart):
    """The actor of a change and their client: the stored part of a ``RequestContext``."""

    account = fields.ObjectIdField()
    email = fields.StringField()
    # An actor that is no account: an API key with its id, a command.
    actor_kind = fields.StringField()
    actor = fields.ObjectIdField()
    actor_name = fields.StringField()
    session = fields.ObjectIdField()
    address = fields.StringField()
    request_id = fields.StringField()


class Head(MasterPart):
    """The newest event of a chain, embedded in the chain's subject.

    Every event writes it in the transaction of the change that it records. This write conflict
    also keeps rules over several documents true under snapshot isolation.
    """

    seq = fields.IntField(required=True, default=0)
    hash = fields.StringField(required=True, default="")
    at = fields.DateTimeField()


class EventsAreImmutable(Exception):
    """An attempt to change or remove an audit event."""


class _FinalEvents(QuerySet):
    """Allows only finding and inserting events. ``update_one``, ``upsert_one`` and the methods of a
    document go through these."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise EventsAreImmutable

    update = modify = delete = _refuse


def _of_operators(*fields: str) -> dict[str, Any]:
    """An index of operators' events alone: it costs the others nothing."""
    return {"fields": list(fields), "partialFilterExpression": {"actor_kind": "operator"}}


class AuditEvent(MasterDocument):
    """One event, immutable once written. ``chain`` is the id of its subject: an organization, an
    account or the installation.

    ``actor`` is an account unless ``actor_kind`` says otherwise; ``target`` is the account,
    invitation, API key or session acted upon, unless that is the subject itself. ``personal``
    holds what may have to be erased (e-mail of actor and target, IP address), each as value, salt
    and digest; only the digest goes into the hash, so that erasing leaves the chain intact.
    """

    chain = fields.ObjectIdField(required=True)
    seq = fields.IntField(required=True)
    at = fields.DateTimeField(required=True)
    action = fields.StringField(required=True)
    actor = fields.ObjectIdField()
    actor_kind = fields.StringField()
    actor_name = fields.StringField()
    target = fields.ObjectIdField()
    session = fields.ObjectIdField()
    request_id = fields.StringField()
    details = fields.DictField()
    personal = fields.DictField()
    hash = fields.StringField(required=True)

    meta = {
        "collection": "audit_events",
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
            index_where_set("target", "id"),
            # The acts of operators, over all trails.
            _of_operators("actor_kind", "-id"),
            _of_operators("actor", "-id"),
            _of_operators("action", "-id"),
            _of_operators("actor", "action", "-id"),
            _of_operators("chain", "-id"),
        ],
    }

    def save(self, *args: Any, **options: Any) -> "AuditEvent":
        """Insert a new event. Raises EventsAreImmutable for a stored one."""
        if not self._created:
            raise EventsAreImmutable
        return super().save(*args, **{**options, "force_insert": True})
