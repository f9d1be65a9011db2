"""The outbox: a mail is queued in the transaction of the change that it reports, and so is sent if
and only if that is committed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from humanize import naturaldelta
from mongoengine import QuerySet

from portal import clock
from portal.database.together import Part, Read, Stages, read
from portal.database.transactions import within_transaction
from portal.documents.mails import AT_ONCE, Mail, Outcome

PROMPTLY = timedelta(minutes=5)
_WAITING = [("awaited", -1), ("due_at", 1)]


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


@dataclass(frozen=True, slots=True)
class Backlog:
    """Mails that could not leave yet: how many, since when, and the latest reason."""

    number: int
    since: datetime
    last_error: str

    def __str__(self) -> str:
        mails = "1 mail waits" if self.number == 1 else f"{self.number} mails wait"
        age = naturaldelta(clock.now() - self.since)
        return f"{mails} to leave, for {age} at most. Last reason: {self.last_error}"


def backlog() -> Backlog | None:
    """The mails that failed to leave and are tried again, or that nobody tried for PROMPTLY."""
    return read(reading_backlog())


def reading_backlog() -> Part[Backlog | None]:
    """Reads those: the oldest along with what else is read."""
    late = [{"last_error": {"$exists": True}}, {"created_at": {"$lt": clock.now() - PROMPTLY}}]
    of_these = {"due_at": {"$exists": True}, "$or": late}
    oldest: Stages = [{"$sort": {"created_at": 1}}, {"$limit": 1}, {"$project": {"created_at": 1}}]
    [rows] = yield [Read(Mail, [{"$match": of_these}, *oldest], hint=dict(_WAITING))]
    if not rows:
        return None
    [found] = rows
    waiting = _waiting().filter(__raw__=of_these)
    latest = waiting.filter(last_error__exists=True).order_by("-due_at").first()
    reason = latest.last_error if latest else "No portal has tried to send them."
    return Backlog(waiting.count(), found["created_at"], reason)


def failing_mails() -> Iterator[Mail]:
    """The mails that failed to leave and are tried again, oldest first."""
    yield from _waiting().filter(last_error__exists=True).order_by("created_at")


def failed_tries_since_last_sent() -> int:
    """The number of times that a mail queued since the last one left could not leave."""
    last = Mail.objects(outcome=Outcome.SENT).order_by("-ended_at").first()
    failed: dict[str, Any] = {"last_error": {"$exists": True}}
    if last:
        # Ids begin with the second, and have an index.
        failed["_id"] = {"$gt": ObjectId.from_datetime(last.ended_at)}
        failed["created_at"] = {"$gt": last.ended_at}
    counted = [
        {"$match": failed},
        {"$group": {"_id": None, "tries": {"$sum": "$attempt"}}},
    ]
    return sum(row["tries"] for row in Mail._get_collection().aggregate(counted))


def _waiting() -> QuerySet:
    # By the index of what is due: all others of 30 days need not be read.
    return Mail.objects(due_at__exists=True).hint(_WAITING)


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
    return mail.insert()
