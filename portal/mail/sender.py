"""Sends what is in the outbox.

A mail is taken like a lifecycle operation: by a lease, by the server's clock. So of a mail two
copies are sent only where a sender dies between the server's taking it and the record of that;
both have one Message-ID then, by which mail programs show one.
"""

import smtplib
from datetime import timedelta

import structlog
from flask import Flask, render_template
from flask_mailman import EmailMultiAlternatives

from portal import clock, settings
from portal.database import connection
from portal.database.background import start_loop
from portal.database.leases import LeasedQueue, summary
from portal.documents.mails import Mail, Outcome
from portal.mail.outbox import KINDS
from portal.mail.transport import delivered

log = structlog.get_logger()

# Longer than a conversation with a slow server takes.
LEASE_SECONDS = 180
LONGEST_PAUSE_SECONDS = 3600
GIVEN_UP_AFTER = timedelta(days=3)
MOST_AT_ONCE = 100
_LONGEST_LOOK_PAUSE_SECONDS = 2
_QUEUE = LeasedQueue(
    Mail,
    due_field="due_at",
    attempt_field="attempt",
    error_field="last_error",
    lease_seconds=LEASE_SECONDS,
)


def send_due_mails(app: Flask) -> int:
    """Send each mail that is due, once, and return how many were taken, MOST_AT_ONCE at most."""
    taken = 0
    with app.app_context():
        while taken < MOST_AT_ONCE and (mail := _acquire()):
            taken += 1
            _send(mail)
    return taken


def start(app: Flask) -> None:
    """Start the sender thread of this worker; call it after the fork."""
    start_loop("sender", lambda: send_due_mails(app), pause_seconds=_LONGEST_LOOK_PAUSE_SECONDS)


def _acquire() -> Mail | None:
    """Take one mail that is due, of a kind that this version knows; one that somebody waits for
    before all others, however many a busy organization has put there."""
    return _QUEUE.acquire({"kind": {"$in": list(KINDS)}}, sort={"awaited": -1, "due_at": 1})


def _send(mail: Mail) -> None:
    try:
        message = _compose(mail)
        if message is None:
            _end(mail, Outcome.NOT_NEEDED)
            return
        with delivered(message):
            _end(mail, Outcome.SENT)
    except Exception as error:
        if connection.is_unavailable(error):
            raise  # its lease runs out
        _reschedule(mail, error)


def _compose(mail: Mail) -> EmailMultiAlternatives | None:
    kind = KINDS[mail.kind]
    context = kind.context(mail)
    if context is None:
        return None
    context = {"portal": settings.current().public_url, **context}
    message = EmailMultiAlternatives(
        kind.subject.format(**context),
        render_template(f"mails/{mail.kind}.txt", **context),
        to=[mail.to],
        headers={"Message-ID": f"<{mail.id}@{settings.current().mail_domain}>"},
    )
    message.attach_alternative(render_template(f"mails/{mail.kind}.html", **context), "text/html")
    return message


def _reschedule(mail: Mail, error: Exception) -> None:
    """Have it tried again after a pause that grows, unless nothing will come of that."""
    told = summary(error)
    if _is_for_good(error):
        log.warning("mail.refused", mail=str(mail.id), kind=mail.kind, error=told)
        _end(mail, Outcome.REFUSED, told)
    elif clock.now() - mail.created_at > GIVEN_UP_AFTER:
        log.error("mail.given_up", mail=str(mail.id), kind=mail.kind, error=told)
        _end(mail, Outcome.GIVEN_UP, told)
    else:
        level = log.warning if isinstance(error, OSError) else log.exception
        level("mail.put_off", mail=str(mail.id), kind=mail.kind, error=told)
        pause = min(5 * 2**mail.attempt, LONGEST_PAUSE_SECONDS)
        _change(mail, _QUEUE.delay(pause, error))


def _end(mail: Mail, outcome: str, error: str | None = None) -> None:
    change: dict[str, object] = {"outcome": outcome, "ended_at": "$$NOW", "due_at": "$$REMOVE"}
    if error:
        change["last_error"] = {"$literal": error}
    _change(mail, change)


def _change(mail: Mail, change: dict[str, object]) -> None:
    _QUEUE.held(mail.id, mail.attempt).update_one(__raw__=[{"$set": change}])


def _is_for_good(error: Exception) -> bool:
    """Whether the server says of this mail, not of us, that it will never take it (5xx)."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(500 <= code < 600 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPDataError) and 500 <= error.smtp_code < 600
