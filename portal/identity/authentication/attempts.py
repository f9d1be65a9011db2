"""Throttling of failed attempts: the first few are free, then each has to wait longer, and the
account's owner is warned by mail.

Counted by subject, an address whether or not an account has it, so an answer never shows which. An
attempt is counted before its password is verified, in one update: concurrent attempts get no more
checks than sequential ones.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import structlog
from bson import ObjectId
from mongoengine.queryset.visitor import Q
from pymongo import ReturnDocument

from portal import clock, settings
from portal.database.transactions import transactional
from portal.documents.accounts import Account
from portal.documents.attempts import LogInAttempts
from portal.documents.mails import Mail
from portal.errors import PortalError
from portal.hashing import hash_secret
from portal.mail import outbox
from portal.mail.links import link
from portal.mail.outbox import MailKind
from portal.web import rate_limits
from portal.web.context import RequestContext
from portal.web.errors import Overloaded, TooManyAttempts

log = structlog.get_logger()

FREE_TRIES = 5
LONGEST_WAIT_MINUTES = 15
_WARNED_EVERY = timedelta(days=1)
_KEPT = timedelta(days=1)


def _about_passwords(mail: Mail) -> dict[str, Any] | None:
    account = Account.objects(id=mail.ids["account"]).only("email").first()
    if account is None:
        return None
    return {
        "email": account.email,
        "times": FREE_TRIES,
        "longest": LONGEST_WAIT_MINUTES,
        "at": mail.created_at,
        "address": mail.ids["address"],
        "link": link("authentication.log_in"),
    }


def _about_codes(mail: Mail) -> dict[str, Any] | None:
    context = _about_passwords(mail)
    return context and {**context, "link": link("account.change_password")}


WRONG_PASSWORDS = MailKind("wrong_passwords", "Wrong passwords for your account", _about_passwords)
WRONG_CODES = MailKind("wrong_codes", "Wrong codes for your account", _about_codes)

KINDS = (WRONG_PASSWORDS, WRONG_CODES)


@contextmanager
def guarded_attempt(
    subject: str,
    account: Account | None,
    context: RequestContext,
    *,
    limit: str,
    failure: type[PortalError],
    warning: MailKind,
) -> Iterator[None]:
    """Guard the check of a password or code, which raises ``failure`` where it is wrong.

    After some consecutive failures of one ``subject`` each attempt has to wait, twice as long each
    time, and the account's owner is warned, at most once a day. Raises TooManyAttempts before the
    check where the attempt is too early or the rate ``limit`` is reached; then, and where the check
    raises Overloaded, the attempt is not counted.
    """
    failures = register_attempt(subject)
    try:
        rate_limits.count_attempt(limit, subject)
        yield
    except (TooManyAttempts, Overloaded):
        cancel_attempt(subject)
        raise
    except failure:
        if failures >= FREE_TRIES:
            _warn_owner(subject, account, context, warning)
        raise
    reset_failures(subject)


def subject_of(typed: str) -> str:
    """The subject of a log-in by a typed address, or by what is none. No other kind of subject can
    equal it, whatever is typed."""
    return f"address {typed}"


def limit_network(context: RequestContext) -> None:
    """Count an attempt of the request's network, whatever its subject; call it before a hash.
    Raises TooManyAttempts."""
    rate_limits.count_attempt_of_network(rate_limits.LOGIN_PER_NETWORK, context.ip_address)


def register_attempt(subject: str) -> int:
    """Count an attempt, as a failure until ``reset_failures``; the number of consecutive failures.
    Raises TooManyAttempts where it is too early, without counting it."""
    if not settings.current().rate_limits:
        return 0
    now = clock.now()
    before = LogInAttempts._get_collection().find_one_and_update(
        {"_id": hash_secret(subject)},
        [{"$replaceWith": {"$cond": [{"$gt": ["$next_at", now]}, "$$ROOT", _counted(now)]}}],
        upsert=True,
        return_document=ReturnDocument.BEFORE,
    )
    if before is None:
        return 1
    left = ((before.get("next_at") or now) - now).total_seconds()
    if left > 0:
        raise TooManyAttempts(retry_after_seconds=math.ceil(left))
    return before["wrong"] + 1


def cancel_attempt(subject: str) -> None:
    """Undo the last ``register_attempt``, whose password was not verified."""
    changes = {"wrong": {"$max": [0, {"$subtract": ["$wrong", 1]}]}, "next_at": None}
    LogInAttempts.objects(id=hash_secret(subject)).update_one(__raw__=[{"$set": changes}])


def reset_failures(subject: str) -> None:
    """Start the count again after a right password."""
    if settings.current().rate_limits:
        LogInAttempts.objects(id=hash_secret(subject)).update_one(set__wrong=0, unset__next_at=True)


def _warn_owner(
    subject: str, account: Account | None, context: RequestContext, kind: MailKind
) -> None:
    """Mail the owner a warning of this ``kind``, at most once a day. Without an account the same
    documents are written, for a mail that is dropped when it is due: otherwise the response time
    would tell."""
    now = clock.now()
    due = Q(told_at=None) | Q(told_at__lt=now - _WARNED_EVERY)
    to = account.email if account else f"nobody@{settings.current().mail_domain}"
    ids = {"account": account.id if account else ObjectId(), "address": context.ip_address or ""}

    @transactional
    def enqueue_warning() -> None:
        if LogInAttempts.objects(due, id=hash_secret(subject)).update_one(set__told_at=now):
            outbox.enqueue(kind, to, **ids)

    log.warning("account.guessed_at", address=context.ip_address)
    enqueue_warning()


def _counted(now: datetime) -> dict[str, Any]:
    """The record with one more attempt, as an update pipeline's expression."""
    more = {"$add": [{"$ifNull": ["$wrong", 0]}, 1]}
    growing = {"$pow": [2, {"$subtract": [more, FREE_TRIES]}]}
    wait = {"$toLong": {"$min": [LONGEST_WAIT_MINUTES, growing]}}
    after_wait = {"$dateAdd": {"startDate": now, "unit": "minute", "amount": wait}}
    next_at = {"$cond": [{"$lt": [more, FREE_TRIES]}, None, after_wait]}
    counted = {"wrong": more, "next_at": next_at, "expires_at": now + _KEPT}
    return {"$mergeObjects": ["$$ROOT", counted]}
