"""Whether an e-mail address and a password are an account's, asked no oftener than it may be."""

from bson import ObjectId

from portal.documents.accounts import Account
from portal.documents.audit import Origin
from portal.email_addresses import InvalidEmail, parse_email
from portal.identity.authentication import attempts, passwords
from portal.identity.authentication.errors import WrongCredentials, WrongPassword
from portal.identity.authentication.mails import WRONG_PASSWORDS
from portal.identity.sessions import browsers
from portal.web import rate_limits
from portal.web.errors import Overloaded, TooManyAttempts


def account_of(email: str, password: str, origin: Origin) -> Account:
    """The account that has this address and this password.

    An unknown address and a wrong password raise the same WrongCredentials after the same work:
    the same commands to the database and one hash. Raises TooManyTries, before any hash, for an
    address as typed, known or not, and for a network; Overloaded.

    A browser in which somebody logged in to the account before is counted by itself, so nobody
    can keep the owner out by guessing.
    """
    key = _key_of(email)
    account = Account.objects(email_key=key).first()
    account_id = account.id if account else ObjectId()
    if browsers.is_known(account_id, origin.browser):
        tried = f"browser {origin.browser} of {account_id}"
    else:
        tried = attempts.of_address(key or email)
        rate_limits.count_try(rate_limits.LOGIN_PER_NETWORK, rate_limits.network_of(origin.address))
    wrong = attempts.begin_attempt(tried)
    try:
        rate_limits.count_try(rate_limits.LOGIN_PER_EMAIL, tried)
        right = passwords.verify_password(password, account and account.password_hash)
    except (TooManyAttempts, Overloaded):
        attempts.take_back(tried)
        raise
    if not right or account is None:
        if wrong >= attempts.FREE_TRIES:
            attempts.tell_owner(tried, account, origin, WRONG_PASSWORDS)
        raise WrongCredentials
    attempts.end_row(tried)
    return account


def _key_of(email: str) -> str:
    """What the address is known by, however it is spelled; empty for what is none, which is
    looked up all the same, so that it takes as long."""
    try:
        return parse_email(email).key
    except InvalidEmail:
        return ""


def check_current(account: Account, password: str, origin: Origin) -> None:
    """Raise WrongPassword unless ``password`` is the account's: who is logged in, or follows a
    link, proves again who they are.

    Wrong ones in a row have to wait and are told of, as at the log-in. Raises TooManyTries,
    Overloaded.
    """
    # Counted by the account's own session: whoever guesses elsewhere keeps nobody out of it.
    # Elsewhere, at a link, by the account alone: other sessions can be had in any number.
    own = origin.session if origin.account == account.id else None
    tried = f"password of {account.id}" + (f" by {own}" if own else "")
    wrong = attempts.begin_attempt(tried)
    try:
        rate_limits.count_try(rate_limits.LOGIN_PER_EMAIL, tried)
        right = passwords.verify_password(password, account.password_hash)
    except (TooManyAttempts, Overloaded):
        attempts.take_back(tried)
        raise
    if not right:
        if wrong >= attempts.FREE_TRIES:
            attempts.tell_owner(tried, account, origin, WRONG_PASSWORDS)
        raise WrongPassword
    attempts.end_row(tried)
