"""Wrong passwords in a row: the first few are free, then each further try has to wait, longer and
longer, and the account's owner is told by mail.

Counted is what is tried, an account's address or none's, so an answer tells nothing of which. A
try is counted before its password is looked at, in one update: of tries at the same moment no
more are let through than of tries after each other.
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
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.login_attempts import LogInAttempts
from portal.errors import PortalError
from portal.hashing import hash_secret
from portal.mail import outbox
from portal.mail.outbox import MailKind
from portal.web import rate_limits
from portal.web.context import RequestContext
from portal.web.errors import Overloaded, TooManyAttempts

log = structlog.get_logger()

FREE_TRIES = 5
LONGEST_WAIT_MINUTES = 15
TOLD_AT_MOST_EVERY = timedelta(days=1)
_KEPT = timedelta(days=1)


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

    Failures in a row for one ``subject`` have to wait longer and longer, and the account's owner is
    warned, once a day at most. Raises TooManyAttempts before the check where it comes too early, or
    where the rate ``limit`` is reached; then, as where the check is not made since the portal is
    overloaded, it is not counted as a failure.
    """
    failures = register_attempt(subject)
    try:
        rate_limits.count_try(limit, subject)
        yield
    except (TooManyAttempts, Overloaded):
        cancel_attempt(subject)
        raise
    except failure:
        if failures >= FREE_TRIES:
            warn_owner(subject, account, context, warning)
        raise
    reset_failures(subject)


def of_address(typed: str) -> str:
    """What is tried where a log-in names an address, or what is none. No two kinds of tries share
    a counter, whatever somebody types."""
    return f"address {typed}"


def register_attempt(tried: str) -> int:
    """Count an attempt, as a failure until ``reset_failures`` says otherwise; how many failures
    in a row that makes.

    Raises TooManyAttempts where it comes too early, which is not counted.
    """
    if not settings.current().rate_limits:
        return 0
    now = clock.now()
    before = LogInAttempts._get_collection().find_one_and_update(
        {"_id": hash_secret(tried)},
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


def cancel_attempt(tried: str) -> None:
    """Undo the last ``register_attempt``, whose password nobody looked at."""
    changes = {"wrong": {"$max": [0, {"$subtract": ["$wrong", 1]}]}, "next_at": None}
    LogInAttempts.objects(id=hash_secret(tried)).update_one(__raw__=[{"$set": changes}])


def reset_failures(tried: str) -> None:
    """The password was right: begin to count anew."""
    if settings.current().rate_limits:
        LogInAttempts.objects(id=hash_secret(tried)).update_one(set__wrong=0, unset__next_at=True)


def warn_owner(
    tried: str, account: Account | None, context: RequestContext, kind: MailKind
) -> None:
    """Have the owner told by a mail of this ``kind``, once a day at most.

    Where nobody has the address the same is written, for a mail that is not needed when it is to
    be sent: otherwise the time that it takes would tell.
    """
    now = clock.now()
    not_told = Q(told_at=None) | Q(told_at__lt=now - TOLD_AT_MOST_EVERY)
    to = account.email if account else f"nobody@{settings.current().mail_domain}"
    ids = {"account": account.id if account else ObjectId(), "address": context.ip_address or ""}

    log.warning("account.guessed_at", address=context.ip_address)

    def body() -> None:
        if LogInAttempts.objects(not_told, id=hash_secret(tried)).update_one(set__told_at=now):
            outbox.enqueue(kind, to, **ids)

    transaction(body)


def _counted(now: datetime) -> dict[str, Any]:
    """The record with one more try in it, for the pipeline of an update."""
    more = {"$add": [{"$ifNull": ["$wrong", 0]}, 1]}
    growing = {"$pow": [2, {"$subtract": [more, FREE_TRIES]}]}
    wait = {"$toLong": {"$min": [LONGEST_WAIT_MINUTES, growing]}}
    after_wait = {"$dateAdd": {"startDate": now, "unit": "minute", "amount": wait}}
    next_at = {"$cond": [{"$lt": [more, FREE_TRIES]}, None, after_wait]}
    counted = {"wrong": more, "next_at": next_at, "expires_at": now + _KEPT}
    return {"$mergeObjects": ["$$ROOT", counted]}
