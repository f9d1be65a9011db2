"""The outbox: a mail is put into it in the transaction of the change that it tells, and so is sent
if and only if that happened."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from portal import clock
from portal.documents.mails import AT_ONCE, Mail


@dataclass(frozen=True, slots=True)
class MailKind:
    """A kind of mail: its name, which its templates have too, and its subject.

    ``context`` reads what the mail tells, by its ids, when it is sent: what the templates and the
    subject are filled with, or ``None`` where there is nothing to tell any more. One that is
    ``awaited``, by somebody at a page who can't go on without it, goes before those that only tell
    of something.
    """

    name: str
    subject: str
    context: Callable[[Mail], dict[str, Any] | None]
    awaited: bool = False


KINDS: dict[str, MailKind] = {}
"""Every kind of mail that this version knows, as ``install`` was given them."""


def install(kinds: tuple[MailKind, ...]) -> None:
    """Make these the kinds of mails that this version knows."""
    KINDS.clear()
    KINDS.update({kind.name: kind for kind in kinds})


def enqueue(kind: MailKind, to: str, **ids: ObjectId | int | str) -> Mail:
    """Have a mail of a ``kind`` sent to the address ``to``; in the caller's transaction."""
    mail = Mail(
        kind=kind.name,
        to=to,
        ids=ids,
        created_at=clock.now(),
        due_at=AT_ONCE,
        awaited=kind.awaited or None,
    )
    return mail.save(force_insert=True)
