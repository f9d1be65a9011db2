"""Sends the mails in the outbox.

The sender acquires a mail by a lease, like a lifecycle operation. So two copies of a mail are sent
only where a sender dies between the mail server's acceptance and its record; both have the same
Message-ID, so that mail programs show one.
"""

import re
import smtplib
import threading
from datetime import timedelta

import structlog
from flask import Flask, render_template
from flask_mailman import EmailMultiAlternatives
from pymongo.errors import PyMongoError

from portal import clock, settings
from portal.bidi import isolated
from portal.database import connection
from portal.database.background import start_loop
from portal.database.leases import LeasedQueue, summary
from portal.documents.mails import Mail, Outcome
from portal.mail import outbox
from portal.mail.outbox import KINDS
from portal.mail.transport import deliver

log = structlog.get_logger()

# Longer than sending takes with a slow server.
LEASE_SECONDS = 180
LONGEST_PAUSE_SECONDS = 3600
GIVEN_UP_AFTER = timedelta(days=3)
MAX_AT_ONCE = 100
# So many tries failed, whoever they were to, and nothing left in between.
ALARMING_TRIES = 3
_LONGEST_LOOK_PAUSE_SECONDS = 2
_ENHANCED_STATUS = re.compile(r"\s*(\d\.\d{1,3})\.\d{1,3}\b")
_OF_MAILS = ("5.1", "5.2", "5.6")  # an address, its mailbox, the content
_OF_SENDERS = ("5.1.7", "5.1.8")
# A process that stops gives up what its sender has in hand.
_in_hand: list[Mail] = []
_stopping = threading.Event()
_QUEUE = LeasedQueue(
    Mail,
    due_field="due_at",
    attempt_field="attempt",
    error_field="last_error",
    lease_seconds=LEASE_SECONDS,
)


def send_due_mails(app: Flask) -> int:
    """Try to send each due mail once, up to MAX_AT_ONCE; return how many."""
    tried = 0
    with app.app_context():
        while tried < MAX_AT_ONCE and not _stopping.is_set() and (mail := _acquire()):
            tried += 1
            _in_hand.append(mail)
            try:
                _send(mail)
            finally:
                _in_hand.remove(mail)
    return tried


def start(app: Flask) -> None:
    """Start the sender thread of this worker; call it after the fork."""
    start_loop("sender", lambda: send_due_mails(app), pause_seconds=_LONGEST_LOOK_PAUSE_SECONDS)


def stop() -> None:
    """Take no more mails, and make the one that is being sent due again at once: call it when the
    process ends, so that others need not wait for its lease to run out."""
    _stopping.set()
    for mail in _in_hand.copy():
        try:
            _update(mail, {"due_at": "$$NOW"})
        except PyMongoError as error:  # its lease runs out
            log.warning("mail.not_released", mail=str(mail.id), error=connection.explain(error))


def _acquire() -> Mail | None:
    """Lease a due mail of a known kind: awaited ones first, however many others there are."""
    return _QUEUE.acquire({"kind": {"$in": list(KINDS)}}, sort={"awaited": -1, "due_at": 1})


def _send(mail: Mail) -> None:
    try:
        message = _compose(mail)
        if message is None:
            _finish(mail, Outcome.NOT_NEEDED)
            return
        with deliver(message):
            _finish(mail, Outcome.SENT)
    except Exception as error:
        if connection.is_unavailable(error):
            raise  # retried once the lease has run out
        _reschedule(mail, error)


def _compose(mail: Mail) -> EmailMultiAlternatives | None:
    kind = KINDS[mail.kind]
    context = kind.context(mail)
    if context is None:
        return None
    context = {"portal": settings.current().public_url, **context}
    context = {k: isolated(v) if isinstance(v, str) else v for k, v in context.items()}
    message = EmailMultiAlternatives(
        kind.subject.format(**context),
        render_template(f"mails/{mail.kind}.txt", **context),
        to=[mail.to],
        headers={
            "Message-ID": f"<{mail.id}@{settings.current().mail_domain}>",
            # No program answers it (RFC 3834); Exchange looks at a header of its own.
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "OOF, AutoReply",
        },
    )
    message.attach_alternative(render_template(f"mails/{mail.kind}.html", **context), "text/html")
    return message


def _reschedule(mail: Mail, error: Exception) -> None:
    """Schedule a retry with exponential backoff, unless the failure is permanent."""
    reason = summary(error)
    if _is_permanent(error):
        log.warning("mail.refused", mail=str(mail.id), kind=mail.kind, error=reason)
        _finish(mail, Outcome.REFUSED, reason)
    elif clock.now() - mail.created_at > GIVEN_UP_AFTER:
        log.error("mail.given_up", mail=str(mail.id), kind=mail.kind, error=reason)
        _finish(mail, Outcome.GIVEN_UP, reason)
    else:
        level = log.warning if isinstance(error, OSError) else log.exception
        level("mail.put_off", mail=str(mail.id), kind=mail.kind, error=reason)
        pause = min(5 * 2**mail.attempt, LONGEST_PAUSE_SECONDS)
        _update(mail, _QUEUE.delay(pause, error))
    if outbox.failed_tries_since_last_sent() >= ALARMING_TRIES:
        log.error("mail.none_leaves", error=reason)


def _finish(mail: Mail, outcome: Outcome, error: str | None = None) -> None:
    change: dict[str, object] = {"outcome": outcome, "ended_at": "$$NOW", "due_at": "$$REMOVE"}
    if error:
        change["last_error"] = {"$literal": error}
    _update(mail, change)


def _update(mail: Mail, change: dict[str, object]) -> None:
    _QUEUE.held(mail.id, mail.attempt).update_one(__raw__=[{"$set": change}])


def _is_permanent(error: Exception) -> bool:
    """Tell whether the server permanently rejects this mail (5xx), rather than the portal."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(_rejects_mail(code, reply) for code, reply in error.recipients.values())
    if isinstance(error, smtplib.SMTPDataError):
        return _rejects_mail(error.smtp_code, error.smtp_error)
    return False


def _rejects_mail(code: int, reply: bytes | str) -> bool:
    """Tell whether a reply is about the recipient or the mail, by its enhanced status (RFC 3463).
    One about the server, the way there, a quota, or what the portal may do is put right by somebody
    within days, and so is one about the sender: the mail waits for that."""
    if not 500 <= code < 600:
        return False
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else reply
    status = _ENHANCED_STATUS.match(text)
    return status is None or (status[1] in _OF_MAILS and status[0].strip() not in _OF_SENDERS)
