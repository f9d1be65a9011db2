"""Logging in and out."""

from portal import limits
from portal.accounts import passwords, sessions
from portal.accounts.documents import BROWSER, Account
from portal.accounts.emails import parse_email
from portal.accounts.sessions import Principal
from portal.audit.documents import Origin
from portal.audit.trail import record
from portal.database import transaction
from portal.errors import InvalidEmail, WrongCredentials


def log_in(
    email: str, password: str, origin: Origin, user_agent: str, kind: str = BROWSER
) -> Principal:
    """Check the credentials and open a session for a browser or a program.

    An unknown address and a wrong password raise the same WrongCredentials after the same
    work: one look-up and one hash. Raises TooManyTries for an address as typed, known or not,
    and for a network.
    """
    limits.count_try(limits.LOGIN_PER_NETWORK, limits.network_of(origin.address))
    key = _key_of(email)
    limits.count_try(limits.LOGIN_PER_EMAIL, key or email)
    account = Account.objects(email_key=key).first()
    if not passwords.verify_password(password, account and account.password_hash) or not account:
        raise WrongCredentials
    rehashed = (
        passwords.hash_password(password) if passwords.needs_rehash(account.password_hash) else None
    )

    def body() -> Principal:
        # Read again inside the transaction, for the head of its audit chain; and the password
        # may have been changed since it was checked.
        current = Account.objects(id=account.id, password_hash=account.password_hash).first()
        if current is None:
            raise WrongCredentials
        if rehashed:
            Account.objects(id=current.id).update_one(set__password_hash=rehashed)
        origin.account, origin.email = current.id, current.email
        record(current, "account.logged_in", origin)
        return sessions.open_session(current, origin, user_agent, kind)

    return transaction(body)


def log_out(principal: Principal, origin: Origin) -> None:
    """End the session that ``principal`` came by."""

    def body() -> None:
        record(Account.objects.get(id=principal.account_id), "account.logged_out", origin)
        sessions.close_session(principal.session_id)

    transaction(body)


def _key_of(email: str) -> str:
    """What the address is known by, however it is spelled; empty for what is none, which is
    looked up all the same, so that it takes as long."""
    try:
        return parse_email(email).key
    except InvalidEmail:
        return ""
