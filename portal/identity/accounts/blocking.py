"""Blocking accounts: nobody logs in to a blocked one, and what it was logged in with has ended."""

from bson import ObjectId

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import within_transaction
from portal.documents.accounts import Account
from portal.identity.accounts.errors import AccountNotBlocked, AlreadyBlocked
from portal.identity.accounts.mails import ACCOUNT_BLOCKED, ACCOUNT_UNBLOCKED
from portal.identity.sessions import browsers, sessions
from portal.mail import outbox
from portal.web.context import RequestContext


@within_transaction
def block(account_id: ObjectId, reason: str, context: RequestContext) -> Account:
    """Block the account: all of its sessions and tokens end, and no log-in opens another. Its
    memberships stay, as do organizations' API keys that it made. The person is told by mail, the
    ``reason`` is for operators. Raises AlreadyBlocked."""
    open_ones = Account.objects(id=account_id, closed_at=None, blocked_at=None)
    changes = {"set__blocked_at": clock.now(), "set__blocked_reason": reason}
    account = open_ones.modify(new=True, **changes)
    if account is None:
        raise AlreadyBlocked
    # A log-in at the same moment writes the head of the same chain: one of both runs again.
    record(account, "account.blocked", context.origin)
    sessions.revoke_all(account.id)
    browsers.revoke_all_trust(account.id)
    outbox.enqueue(ACCOUNT_BLOCKED, account.email, account=account.id)
    return account


@within_transaction
def unblock(account_id: ObjectId, context: RequestContext) -> Account:
    """Let the account log in again. Raises AccountNotBlocked."""
    blocked = Account.objects(id=account_id, closed_at=None, blocked_at__ne=None)
    account = blocked.modify(new=True, unset__blocked_at=True, unset__blocked_reason=True)
    if account is None:
        raise AccountNotBlocked
    record(account, "account.unblocked", context.origin)
    outbox.enqueue(ACCOUNT_UNBLOCKED, account.email, account=account.id)
    return account
