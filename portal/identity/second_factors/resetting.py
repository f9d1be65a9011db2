"""Resetting second factors after a waiting time, in which the person can stop it.

Whoever persuades an operator that somebody's devices are lost gets nothing for a day, and the
person is told at once: by mail, and on every page.
"""

from datetime import timedelta

from bson import ObjectId

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account
from portal.identity.second_factors import enrollment
from portal.identity.second_factors.errors import NoReset, NoSecondFactor, ResetAlreadyRequested
from portal.identity.second_factors.mails import FACTORS_RESET_REQUESTED, KEEP_FACTORS
from portal.mail import links, outbox
from portal.mail.errors import InvalidLink
from portal.web.context import AuditActor, RequestContext
from portal.web.idempotency import claim_key

KEEPING = "factors_kept"
RESET_AFTER = timedelta(hours=24)
MAX_AT_ONCE = 1000
_NONE_PENDING = {"unset__factors_reset_at": True, "unset__factors_reset": True}


@within_transaction
def request_reset(account_id: ObjectId, context: RequestContext) -> Account:
    """Have the account's second factors reset in 24 hours, unless somebody stops it: the person is
    told now, by a mail with a link that does. Raises NoSecondFactor, ResetAlreadyRequested."""
    request, due = ObjectId(), clock.now() + RESET_AFTER
    account = Account.objects(id=account_id, closed_at=None, has_second_factor=True).first()
    if account is None:
        raise NoSecondFactor
    if account.factors_reset_at:
        raise ResetAlreadyRequested
    # One at a time: the head of the chain is written in the same transaction.
    Account.objects(id=account_id).update_one(set__factors_reset_at=due, set__factors_reset=request)
    record(account, "account.factors_reset_requested", context.origin)
    outbox.enqueue(FACTORS_RESET_REQUESTED, account.email, account=account.id, request=request)
    account.factors_reset_at = due
    return account


@within_transaction
def stop_reset(account_id: ObjectId, context: RequestContext) -> Account:
    """Keep the second factors that were to be reset. Raises NoReset."""
    pending = Account.objects(id=account_id, closed_at=None, factors_reset__exists=True)
    account = pending.modify(new=True, **_NONE_PENDING)
    if account is None:
        raise NoReset
    record(account, "account.factors_kept", context.origin)
    return account


def account_to_keep(token: str) -> Account:
    """The account whose reset the mailed link with this ``token`` stops. Raises InvalidLink, also
    once it was stopped or carried out."""
    content = links.read_token(KEEP_FACTORS, token)
    account = Account.objects(
        id=content["account"], factors_reset=ObjectId(content["request"])
    ).first()
    if account is None:
        raise InvalidLink(KEEP_FACTORS.ask_again)
    return account


def keep_by_link(token: str, context: RequestContext) -> Account:
    """Keep the second factors, by the link that was mailed to the person. Raises InvalidLink."""
    account = account_to_keep(token)
    own = context.acting_as(AuditActor(account.id, account.email, context.session))
    try:
        return keep(account.id, own)
    except NoReset as error:  # stopped by a concurrent request
        raise InvalidLink(KEEP_FACTORS.ask_again) from error


@transactional
def keep(account_id: ObjectId, context: RequestContext) -> Account:
    """Keep the second factors, as ``stop_reset`` does, in a transaction of its own. Raises
    NoReset, DuplicateRequest."""
    account = stop_reset(account_id, context)
    claim_key(context, account_id, KEEPING)
    return account


def carry_out_due() -> int:
    """Reset the second factors of each account whose waiting time is over; how many there were,
    MAX_AT_ONCE at most. Of several portals one does each."""
    due = Account.objects(factors_reset_at__lte=clock.now()).only("id").limit(MAX_AT_ONCE)
    return sum(_carry_out(account.id) for account in due)


@transactional
def _carry_out(account_id: ObjectId) -> bool:
    due = Account.objects(id=account_id, factors_reset_at__lte=clock.now())
    account = due.modify(new=True, **_NONE_PENDING)
    if account is None:  # stopped, or carried out by another portal
        return False
    try:
        enrollment.reset_factors(account_id, RequestContext())
    except NoSecondFactor:  # the person removed the last one meanwhile
        return False
    return True
