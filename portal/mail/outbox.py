"""The outbox: a mail is queued in the transaction of the change that it reports, and so is sent if
and only if that is committed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from portal import clock
from portal.database.transactions import within_transaction
from portal.documents.mails import AT_ONCE, Mail


@dataclass(frozen=True, slots=True)
class MailKind:
    """A kind of mail: its name, which is also that of its templates, and its subject.

    ``context`` loads the variables of templates and subject by the mail's ids when it is sent, or
    returns ``None`` where the mail is no longer needed. ``awaited`` mails, without which somebody
    can't continue, are sent before mere notifications.
    """

    name: str
    subject: str
    context: Callable[[Mail], dict[str, Any] | None]
    awaited: bool = False


KINDS: dict[str, MailKind] = {}
"""The kinds of mails that this version knows, as set by ``install``."""


def install(kinds: tuple[MailKind, ...]) -> None:
    """Set the kinds of mails that this version knows."""
    KINDS.clear()
    KINDS.update({kind.name: kind for kind in kinds})


@within_transaction
def enqueue(kind: MailKind, to: str, **ids: ObjectId | int | str) -> Mail:
    """Queue a mail of a ``kind`` to the address ``to``."""
    mail = Mail(
        kind=kind.name,
        to=to,
        ids=ids,
        created_at=clock.now(),
        due_at=AT_ONCE,
        awaited=kind.awaited or None,
    )
    return mail.save(force_insert=True)
