"""Creating accounts, and verifying their addresses, by a link that is mailed there."""

from dataclasses import dataclass, field
from datetime import datetime

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from portal import clock, settings
from portal.audit.trail import record
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account
from portal.email_addresses import EmailAddress
from portal.identity.accounts import wiring
from portal.identity.accounts.changing import new_password, revoke_recovery_link
from portal.identity.accounts.errors import AddressVerified, EmailTaken, SignUpClosed
from portal.identity.accounts.mails import VERIFY, VERIFY_ADDRESS
from portal.identity.authentication import passwords
from portal.identity.authentication.attempts import limit_network
from portal.identity.second_factors import enrollment
from portal.identity.sessions import sessions
from portal.identity.sessions.principals import AccountPrincipal
from portal.mail import links, outbox
from portal.mail.errors import InvalidLink
from portal.settings import SignUp
from portal.web import rate_limits
from portal.web.context import AuditActor, RequestContext
from portal.web.idempotency import claim_key

VERIFICATION = "verify_address"


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to create; with ``verified_at`` where its address is verified."""

    id: ObjectId
    address: EmailAddress
    password_hash: str = field(repr=False)
    verified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CreatedAccount:
    """A created account, the principal of its browser, if there is one, and the request as its
    actor's: the account, or the provisioning key that created it."""

    account: Account
    principal: AccountPrincipal | None
    context: RequestContext


def check_sign_up(*, invited: bool = False) -> None:
    """Raise SignUpClosed unless the settings allow new accounts: of everybody, or of the
    ``invited``, whom a member or a provisioning key lets in."""
    allowed = settings.current().signup
    if allowed == SignUp.OFF or (allowed == SignUp.INVITED and not invited):
        raise SignUpClosed(by_invitation=allowed == SignUp.INVITED)


@within_transaction
def create_account(
    new: NewAccount, context: RequestContext, user_agent: str | None = None
) -> CreatedAccount:
    """Write the account, and a session for the browser ``user_agent``, if there is one; mail a link
    to an address that is not verified. Raises EmailTaken."""
    account = Account(
        id=new.id,
        email=new.address.shown,
        email_key=new.address.key,
        email_by_domain=new.address.by_domain,
        password_hash=new.password_hash,
        created_at=clock.now(),
        verified_at=new.verified_at,
    )
    try:
        account.insert()
    except NotUniqueError as error:
        raise EmailTaken(account.email) from error
    principal = None
    if user_agent is not None:
        principal = sessions.open_session(account, context, user_agent)
        context = context.acting_as(principal.audit_actor)
    elif not context.actor.id:
        context = context.acting_as(AuditActor(account.id, account.email))
    if new.verified_at:
        record(account, "account.address_verified", context.origin)
    else:
        outbox.enqueue(VERIFY_ADDRESS, account.email, account=account.id)
    return CreatedAccount(account, principal, context)


def resend_verification(account_id: ObjectId, context: RequestContext) -> None:
    """Mail another link that verifies the address. Raises AddressVerified, TooManyAttempts."""
    rate_limits.count_attempt(rate_limits.ADDRESS_MAILS, str(account_id))
    _resend(account_id, context)


@transactional
def _resend(account_id: ObjectId, context: RequestContext) -> None:
    account = Account.objects(id=account_id, verified_at=None, closed_at=None).first()
    if account is None:
        raise AddressVerified
    outbox.enqueue(VERIFY_ADDRESS, account.email, account=account.id)
    record(account, "account.verification_sent", context.origin)


def account_to_verify(token: str) -> Account:
    """The account whose address the link with this ``token`` verifies. Raises InvalidLink, also
    where it is already verified."""
    content = links.read_token(VERIFY, token)
    account = Account.objects(
        id=content["account"], email_key=content["address"], verified_at=None
    ).first()
    if account is None:
        raise InvalidLink(VERIFY.ask_again)
    return account


def verify_address(
    token: str, password: str, context: RequestContext, user_agent: str
) -> AccountPrincipal:
    """Verify the address by the link that was mailed to it, as ``verify_by_link`` does, and open a
    session for the browser. Raises InvalidLink, WeakPassword, TooManyAttempts, Overloaded."""
    account = account_to_verify(token)
    limit_network(context)
    password_hash = _hash_of_chosen(account, password)

    @transactional
    def verify() -> AccountPrincipal:
        claim_key(context, account.id, VERIFICATION)
        verified = record_first_verification(account, password_hash, context)
        if verified is None:  # by a concurrent request
            raise InvalidLink(VERIFY.ask_again)
        return sessions.log_in(verified, context, user_agent)

    return verify()


def verify_by_link(account: Account, password: str, context: RequestContext) -> Account:
    """Verify the account's address, whose mailed link the person followed; the account afterwards.

    The first time, somebody else may have typed that address and used the account. So all sessions
    and tokens are revoked, second factors, recovery codes and known browsers deleted, and
    ``password`` becomes the account's. Raises WeakPassword where it is neither the account's
    already nor may be chosen, Overloaded; InvalidLink where the account has another address
    meanwhile. On a verified account it changes nothing.
    """
    if account.verified_at:
        return account
    password_hash = _hash_of_chosen(account, password)

    @transactional
    def verify() -> Account:
        verified = record_first_verification(account, password_hash, context)
        if verified is None:  # by a concurrent request, or the address changed
            verified = Account.objects(id=account.id, email_key=account.email_key).first()
        if verified is None:
            raise InvalidLink(VERIFY.ask_again)
        return verified

    return verify()


@within_transaction
def record_first_verification(
    account: Account, password_hash: str, context: RequestContext
) -> Account | None:
    """Record the first verification of the account's address, and revoke all that may be somebody
    else's; ``None`` where it is already verified, or another address."""
    # The hash even if it is the one that was read: that somebody may have changed it since.
    changes = {
        "set__verified_at": clock.now(),
        "set__password_hash": password_hash,
        "set__has_second_factor": False,
    }
    if password_hash != account.password_hash:
        changes |= new_password(password_hash)
    verified = Account.objects(id=account.id, email_key=account.email_key, verified_at=None).modify(
        new=True, **changes
    )
    if verified is None:
        return None
    sessions.revoke_all(verified.id)
    # Second factors and open invitations need a verified address, so an account has them only from
    # an earlier version; known browsers, API keys and sessions any account may have.
    enrollment.delete_all(verified.id)
    revoke_recovery_link(verified)
    context = context.acting_as(AuditActor(verified.id, verified.email))
    for step in wiring.current().on_first_verification:
        step(verified, context)
    record(verified, "account.address_verified", context.origin)
    return verified


def _hash_of_chosen(account: Account, password: str) -> str:
    """The hash of ``password``: the account's present one where it matches."""
    if passwords.verify_password(password, account.password_hash):
        return account.password_hash
    passwords.check_password(password, account.email)
    return passwords.hash_password(password)
