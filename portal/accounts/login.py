"""Logging in and out."""

from portal.accounts import authentication, passwords, sessions
from portal.accounts.documents import BROWSER, Account
from portal.accounts.sessions import Principal
from portal.audit.documents import Origin
from portal.audit.trail import record
from portal.database import transaction
from portal.errors import WrongCredentials


def log_in(
    email: str, password: str, origin: Origin, user_agent: str, kind: str = BROWSER
) -> Principal:
    """Check the credentials and open a session for a browser or a program.

    Raises what ``authentication.account_of`` does.
    """
    account = authentication.account_of(email, password, origin)
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
