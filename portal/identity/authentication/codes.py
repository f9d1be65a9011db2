"""Typed codes as a second factor: of the app, or a recovery code."""

import re
from contextlib import AbstractContextManager

from portal.database.transactions import within_transaction
from portal.documents.accounts import Account
from portal.documents.sessions import Factor
from portal.identity.authentication.attempts import guarded_attempt
from portal.identity.authentication.mails import WRONG_CODES
from portal.identity.second_factors import recovery_codes, totp
from portal.identity.second_factors.errors import WrongCode
from portal.identity.sessions import browsers
from portal.web import rate_limits
from portal.web.context import RequestContext


def guarded_code(account: Account, context: RequestContext) -> AbstractContextManager[None]:
    """Guard the use of a code, as ``guarded_attempt`` does.

    The attempts of a known browser are counted separately, so that nobody who knows the password
    locks the owner out by guessing.
    """
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
def use_code(account: Account, typed: str, context: RequestContext) -> Factor:
    """Consume the typed code and return its factor. Raises WrongCode."""
    if totp.SYNTAX.fullmatch(re.sub(r"\s", "", typed)):
        totp.use(account, typed)
        return Factor.APP
    recovery_codes.use(account, typed, context)
    return Factor.RECOVERY_CODE
