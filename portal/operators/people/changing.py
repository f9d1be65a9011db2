"""Operators' changes of people's accounts. None of them lets an operator in: nobody sets a password
for somebody, or logs in as them."""

from bson import ObjectId

from portal.audit.trail import installation, record
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account, OperatorRole
from portal.identity.accounts import blocking
from portal.identity.second_factors import resetting
from portal.identity.second_factors.errors import NoSecondFactor
from portal.identity.sessions import sessions
from portal.operators.access import Operator
from portal.operators.people.errors import (
    OperatorsAccount,
    OwnAccount,
    PersonWithoutFactor,
    ReasonNeeded,
)
from portal.operators.people.reading import find_person
from portal.operators.roles import check_another_admin
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

LONGEST_REASON = 500
ENDED = "person_sessions_ended"
RESET, KEPT = "person_reset_requested", "person_factors_kept"
BLOCKED, UNBLOCKED = "person_blocked", "person_unblocked"


def person_to_change(operator: Operator, person_id: str) -> Account:
    """The account with this id, which the operator may act on: not their own, and an operator's
    only as operator-admin, so that no operator gets a higher role by way of another's account.

    Raises PersonNotFound, OwnAccount, OperatorsAccount.
    """
    account = find_person(person_id)
    if account.id == operator.id:
        raise OwnAccount
    if account.operator_role and not operator.can("operators.manage"):
        raise OperatorsAccount(account.operator_role)
    return account


@transactional
def end_sessions(account_id: ObjectId, context: RequestContext) -> int:
    """End all sessions and tokens of the account, and the trust in its browsers; how many there
    were. Raises DuplicateRequest."""
    claim_key(context, account_id, ENDED)
    return sessions.revoke_by_operator(account_id, context)


@transactional
def request_reset(account_id: ObjectId, context: RequestContext) -> Account:
    """Have the account's second factors reset in 24 hours, unless the person, whom a mail tells,
    or an operator stops it. Raises PersonWithoutFactor, ResetAlreadyRequested, DuplicateRequest."""
    claim_key(context, account_id, RESET)
    try:
        return resetting.request_reset(account_id, context)
    except NoSecondFactor as error:
        raise PersonWithoutFactor(_email_of(account_id)) from error


@transactional
def stop_reset(account_id: ObjectId, context: RequestContext) -> Account:
    """Keep the second factors that were to be reset. Raises NoReset, DuplicateRequest."""
    claim_key(context, account_id, KEPT)
    return resetting.stop_reset(account_id, context)


def block(account_id: ObjectId, reason: str, context: RequestContext) -> Account:
    """Block the account: its sessions and tokens end, and nobody logs in. The ``reason`` is for
    operators. Raises ReasonNeeded, AlreadyBlocked, LastOperatorAdmin, DuplicateRequest."""
    reason = " ".join(reason.split())
    if not reason or len(reason) > LONGEST_REASON:
        raise ReasonNeeded

    @transactional
    def block() -> Account:
        claim_key(context, account_id, BLOCKED)
        account = blocking.block(account_id, reason, context)
        if account.operator_role == OperatorRole.ADMIN:
            check_another_admin(account_id)
        _record(account, "person.blocked", context)
        return account

    return block()


@transactional
def unblock(account_id: ObjectId, context: RequestContext) -> Account:
    """Let the account log in again. Raises AccountNotBlocked, DuplicateRequest."""
    claim_key(context, account_id, UNBLOCKED)
    account = blocking.unblock(account_id, context)
    _record(account, "person.unblocked", context)
    return account


@within_transaction
def _record(account: Account, action: str, context: RequestContext) -> None:
    """Record in the installation's trail who may log in at all: it outlives the account, and
    writing its head decides between two operator-admins who block each other."""
    record(installation(), action, context.origin, target=account.id, target_email=account.email)


def _email_of(account_id: ObjectId) -> str:
    account = Account.objects(id=account_id).only("email").first()
    return account.email if account else ""
