"""What is typed as a second factor: a code of the app, or a recovery code."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from portal.documents.accounts import Account
from portal.documents.audit import Origin
from portal.documents.sessions import APP, RECOVERY_CODE
from portal.identity.authentication import attempts
from portal.identity.authentication.mails import WRONG_CODES
from portal.identity.second_factors import recovery_codes, totp
from portal.identity.second_factors.errors import WrongCode
from portal.identity.sessions import browsers
from portal.web import rate_limits
from portal.web.errors import TooManyAttempts


@contextmanager
def counted(account: Account, origin: Origin) -> Iterator[None]:
    """Around the use of a code: wrong ones in a row have to wait longer and longer, and the owner
    is told. Raises TooManyTries before.

    A browser in which they logged in before is counted by itself, so nobody who knows the password
    keeps them out by guessing.
    """
    known = browsers.is_known(account.id, origin.browser)
    tried = f"code of {account.id}" + (f" in {origin.browser}" if known else "")
    wrong = attempts.begin_attempt(tried)
    try:
        rate_limits.count_try(rate_limits.SECOND_FACTOR, tried)
        yield
    except TooManyAttempts:
        attempts.take_back(tried)
        raise
    except WrongCode:
        if wrong >= attempts.FREE_TRIES:
            attempts.tell_owner(tried, account, origin, WRONG_CODES)
        raise
    attempts.end_row(tried)


def use_code(account: Account, typed: str, origin: Origin) -> str:
    """Use what was typed up, in the caller's transaction; which factor it was. Raises WrongCode."""
    if totp.LOOKS.fullmatch(re.sub(r"\s", "", typed)):
        totp.use(account, typed)
        return APP
    recovery_codes.use(account, typed, origin)
    return RECOVERY_CODE
