"""Verifying passwords and typed codes, within the limits on failed attempts."""

from contextlib import AbstractContextManager

from bson import ObjectId

from portal.database.transactions import within_transaction
from portal.documents.accounts import Account
from portal.documents.sessions import Factor
from portal.email_addresses import InvalidEmail, parse_email
from portal.identity.authentication import attempts, passwords
from portal.identity.authentication.attempts import WRONG_CODES, WRONG_PASSWORDS, guarded_attempt
from portal.identity.authentication.errors import WrongCredentials, WrongPassword
from portal.identity.second_factors import recovery_codes, totp
from portal.identity.second_factors.errors import WrongCode
from portal.identity.second_factors.typed_codes import is_of_app
from portal.identity.sessions import browsers
from portal.web import rate_limits
from portal.web.context import RequestContext


def verify_credentials(email: str, password: str, context: RequestContext) -> Account:
    """The account with this address and password.

    An unknown address and a wrong password raise the same WrongCredentials after the same work: the
    same commands to the database and one hash. Raises TooManyAttempts, before any hash, by the
    address as typed, known or not, and by network; Overloaded.

    The attempts of a known browser are counted separately, so that nobody locks the owner out by
    guessing.
    """
    email_key = email_key_of(email)
    account = Account.objects(email_key=email_key).first()  # of no address too, in the same time
    account_id = account.id if account else ObjectId()
    if browsers.is_known(account_id, context.browser_id):
        subject = f"browser {context.browser_id} of {account_id}"
    else:
        subject = attempts.subject_of(email_key or email)
        attempts.limit_network(context)
    with guarded_attempt(
        subject,
        account,
        context,
        limit=rate_limits.LOGIN_PER_EMAIL,
        failure=WrongCredentials,
        warning=WRONG_PASSWORDS,
    ):
        right = passwords.verify_password(password, account and account.password_hash)
        if not right or account is None:
            raise WrongCredentials
    return account


def verify_current_password(account: Account, password: str, context: RequestContext) -> None:
    """Raise WrongPassword unless ``password`` is the account's, in a session or at a mailed link.
    Raises TooManyAttempts, Overloaded."""
    # Counted by the account's own session: guesses elsewhere lock nobody out of it. Elsewhere, at
    # a link, by the account alone: an attacker opens any number of other sessions.
    own = context.session if context.account == account.id else None
    with guarded_attempt(
        f"password of {account.id}" + (f" by {own}" if own else ""),
        account,
        context,
        limit=rate_limits.LOGIN_PER_EMAIL,
        failure=WrongPassword,
        warning=WRONG_PASSWORDS,
    ):
        if not passwords.verify_password(password, account.password_hash):
            raise WrongPassword


def guarded_code(account: Account, context: RequestContext) -> AbstractContextManager[None]:
    """Guard the use of a code, as ``guarded_attempt`` does. The attempts of a known browser are
    counted separately, so that nobody who knows the password locks the owner out by guessing."""
    known = browsers.is_known(account.id, context.browser_id)
    return guarded_attempt(
        f"code of {account.id}" + (f" in {context.browser_id}" if known else ""),
        account,
        context,
        limit=rate_limits.SECOND_FACTOR,
        failure=WrongCode,
        warning=WRONG_CODES,
    )


@within_transaction
def use_code(account: Account, code: str, context: RequestContext) -> Factor:
    """Consume a parsed code and return its factor. Raises WrongCode."""
    if is_of_app(code):
        totp.use(account, code)
        return Factor.APP
    recovery_codes.use(account, code, context)
    return Factor.RECOVERY_CODE


def email_key_of(email: str) -> str:
    """The normalized address; empty for what is none."""
    try:
        return parse_email(email).key
    except InvalidEmail:
        return ""
