"""Whether an account's address is really its owner's: whether they read what is sent there."""

from bson import ObjectId

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.identity.accounts import wiring
from portal.identity.accounts.changing_password import new_password, revoke_recovery_link
from portal.identity.accounts.errors import AddressVerified
from portal.identity.accounts.mails import VERIFY, VERIFY_ADDRESS
from portal.identity.authentication import passwords
from portal.identity.second_factors import enrollment
from portal.identity.sessions import sessions
from portal.identity.sessions.principals import AccountPrincipal
from portal.mail import links, outbox
from portal.mail.errors import InvalidLink
from portal.web import rate_limits
from portal.web.context import AuditActor, RequestContext


def resend_verification(account_id: ObjectId, context: RequestContext) -> None:
    """Mail another link that verifies the address. Raises AddressVerified, TooManyAttempts."""
    rate_limits.count_try(rate_limits.ADDRESS_MAILS, str(account_id))

    def body() -> None:
        account = Account.objects(id=account_id, verified_at=None, closed_at=None).first()
        if account is None:
            raise AddressVerified
        outbox.enqueue(VERIFY_ADDRESS, account.email, account=account.id)
        record(account, "account.verification_sent", context.origin)

    transaction(body)


def account_to_verify(token: str) -> Account:
    """The account whose address is verified by the link with this ``token``. Raises InvalidLink,
    also where it was verified already."""
    content = links.read(VERIFY, token)
    account = Account.objects(
        id=content["account"], email_key=content["address"], verified_at=None
    ).first()
    if account is None:
        raise InvalidLink(VERIFY.ask_again)
    return account


def verify_address(
    token: str, password: str, context: RequestContext, user_agent: str
) -> AccountPrincipal:
    """Prove the address by the link that was mailed to it, as ``prove_address`` does, and open a
    session for the browser that followed it.

    Raises InvalidLink, WeakPassword, TooManyAttempts, Overloaded.
    """
    account = account_to_verify(token)
    rate_limits.count_try(
        rate_limits.LOGIN_PER_NETWORK, rate_limits.network_of(context.ip_address)
    )  # it hashes
    password_hash = _hash_of_chosen(account, password)

    def body() -> AccountPrincipal:
        proved = record_first_verification(account, password_hash, context)
        if proved is None:  # by another request, at the same time
            raise InvalidLink(VERIFY.ask_again)
        return sessions.log_in(proved, context, user_agent)

    return transaction(body)


def verify_by_link(account: Account, password: str, context: RequestContext) -> Account:
    """Note that who asks reads the mailbox of the account's address: they followed a link that was
    sent there. The account as it is then.

    The first time, whoever used the account before may be somebody else who typed that address.
    So all sessions and tokens end, second factors, recovery codes and known browsers go, and
    ``password`` is the account's from then on. Raises WeakPassword where it is neither the
    account's already nor may be chosen, Overloaded; InvalidLink where the account has another
    address by now. Later nothing changes.
    """
    if account.verified_at:
        return account
    password_hash = _hash_of_chosen(account, password)

    def body() -> Account:
        proved = record_first_verification(account, password_hash, context)
        if proved is None:  # another request was faster, or changed the address
            proved = Account.objects(id=account.id, email_key=account.email_key).first()
        if proved is None:
            raise InvalidLink(VERIFY.ask_again)
        return proved

    return transaction(body)


def record_first_verification(
    account: Account, password_hash: str, context: RequestContext
) -> Account | None:
    """Note the first proof of the account's address, in the caller's transaction, and end all that
    may be somebody else's; ``None`` where it was proved before, or is another address now."""
    # Also where it is the one that was read: it may have been changed since, by that somebody.
    changes = {
        "set__verified_at": clock.now(),
        "set__password_hash": password_hash,
        "set__has_second_factor": False,
    }
    if password_hash != account.password_hash:
        changes |= new_password(password_hash)
    proved = Account.objects(id=account.id, email_key=account.email_key, verified_at=None).modify(
        new=True, **changes
    )
    if proved is None:
        return None
    sessions.revoke_all(proved.id)
    # Second factors and open invitations need this proof (``verified.py``), so only an account has
    # any that got them in a version before; known browsers, keys and sessions each may have.
    enrollment.delete_all(proved.id)
    revoke_recovery_link(proved)
    context = context.acting_as(AuditActor(proved.id, proved.email))
    for end in wiring.current().on_first_verification:
        end(proved, context)
    record(proved, "account.address_verified", context.origin)
    return proved


def _hash_of_chosen(account: Account, password: str) -> str:
    """The hash of ``password``: the account's own where it is that already."""
    if passwords.verify_password(password, account.password_hash):
        return account.password_hash
    passwords.check_password(password, account.email)
    return passwords.hash_password(password)
