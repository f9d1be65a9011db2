"""Closing an account: the person is erased, what they did stays under a pseudonym."""

from collections.abc import Callable
from datetime import timedelta

import structlog
from bson import ObjectId
from mongoengine.errors import MongoEngineException
from mongoengine.queryset.visitor import Q
from pymongo.errors import PyMongoError

from portal import clock
from portal.audit.deletions import Deletion, deleting
from portal.audit.errors import UnderHold
from portal.audit.trail import erase_person, record
from portal.database.cascade import delete_belongings
from portal.database.transactions import transactional
from portal.documents.accounts import Account
from portal.documents.organizations import Restriction
from portal.documents.sign_ups import PendingSignUp
from portal.errors import check_all
from portal.identity.accounts import wiring
from portal.identity.accounts.changing import revoke_recovery_link
from portal.identity.accounts.errors import UNNAMED, AddressNotConfirmed, SoleOwner
from portal.identity.accounts.mails import ACCOUNT_CLOSED
from portal.identity.accounts.owning import solely_owned
from portal.identity.authentication.credentials import email_key_of, verify_current_password
from portal.identity.authentication.errors import WrongPassword
from portal.mail import outbox
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

CLOSING = "close_account"
HELD_FOR = timedelta(hours=1)
"""The time after which what a hold keeps of a closed account is looked at again."""

log = structlog.get_logger()


def close_account(
    account_id: ObjectId, typed_email: str, password: str, context: RequestContext
) -> Account:
    """Close the account: it leaves its organizations, its sessions and tokens are revoked, its
    address is free again, and nothing that names the person stays in it or in the audit trail; but
    in that of an organization under a legal hold until that is released.

    Raises AddressNotConfirmed, WrongPassword (or SeveralErrors of them); SoleOwner where an
    organization, in the trash or not, would be without an owner who can log in; OperationInProgress
    where one is in an operation that the person requested; TooManyAttempts, Overloaded. Then
    nothing was changed.
    """
    account = Account.objects.get(id=account_id)
    check_all(
        lambda: _check_typed(typed_email, account),
        lambda: verify_current_password(account, password, context),
    )
    closed = _close(account, context)
    try:
        _erase(closed)
    except (PyMongoError, MongoEngineException) as error:
        # The account is closed: the runner erases the rest.
        log.warning("account.erased_later", account=str(closed.id), error=str(error)[:300])
    return closed


@transactional
def _close(account: Account, context: RequestContext) -> Account:
    claim_key(context, account.id, CLOSING)
    if orphaned := solely_owned_organizations(account.id):
        raise SoleOwner(orphaned)
    named_by = [id_ for step in wiring.current().on_closing for id_ in step(account, context)]
    closed = _tombstone(account, [account.id, *named_by])
    revoke_recovery_link(account)
    PendingSignUp.objects(email_key=account.email_key).delete()
    delete_belongings(Account, account.id)
    record(closed, "account.closed", context.origin)
    outbox.enqueue(ACCOUNT_CLOSED, account.email)
    return closed


def solely_owned_organizations(account_id: ObjectId) -> list[str]:
    """The names of the organizations, in the trash or not, that nobody else who can log in owns;
    UNNAMED behind them for those that are hidden."""
    sole = solely_owned(account_id)
    seen = [one.name for one in sole if one.restricted != Restriction.HIDDEN]
    return [*seen, *([UNNAMED] if len(seen) < len(sole) else ())]


def erase_closed() -> int:
    """Erase from the audit trail the persons of closed accounts where ``close_account`` died, ran
    out of time before, or met a hold; how many there were."""
    due = Q(erase_at=None) | Q(erase_at__lte=clock.now())
    unerased = list(Account.objects(due, to_erase__exists=True))
    for closed in unerased:
        _erase(closed)
    return len(unerased)


def _erase(closed: Account) -> None:
    """Erase the person, or come back later for what a hold keeps."""
    if erase_person(closed.id, closed.to_erase, _erase_unless_held):
        Account.objects(id=closed.id).update_one(unset__to_erase=True, unset__erase_at=True)
    else:
        Account.objects(id=closed.id).update_one(set__erase_at=clock.now() + HELD_FOR)


def _erase_unless_held(chain: ObjectId, erase: Callable[[], object]) -> bool:
    try:
        with deleting(chain, Deletion.ACCOUNT):
            erase()
    except UnderHold:
        return False
    return True


def _check_typed(email: str, account: Account) -> None:
    if email_key_of(email) != account.email_key:
        raise AddressNotConfirmed(account.email)


def _tombstone(account: Account, to_erase: list[ObjectId]) -> Account:
    unchanged = Account.objects(
        id=account.id, email_key=account.email_key, password_hash=account.password_hash
    )
    personal = ("email", "email_by_domain", "verified_at", "password_hash",
                "password_changed_at", "name", "time_zone", "theme", "blocked_at",
                "blocked_reason", "factors_reset_at", "factors_reset")  # fmt: skip
    closed = unchanged.modify(
        new=True,
        set__closed_at=clock.now(),
        # No address, so that the account's is free; unique, as the index requires.
        set__email_key=f"closed:{account.id}",
        set__has_second_factor=False,
        set__to_erase=to_erase,
        inc__membership_changes=1,
        inc__address_generation=1,
        **{f"unset__{field}": True for field in personal},
    )
    if closed is None:  # changed since its password was verified
        raise WrongPassword
    return closed
