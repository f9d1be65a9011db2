"""What is typed as a second factor: a code of the app, or a recovery code."""

import re

from portal.accounts.documents import APP, RECOVERY_CODE, Account
from portal.audit.documents import Origin
from portal.factors import recovery_codes, totp


def use_code(account: Account, typed: str, origin: Origin) -> str:
    """Use what was typed up, in the caller's transaction; which factor it was. Raises WrongCode."""
    if totp.LOOKS.fullmatch(re.sub(r"\s", "", typed)):
        totp.use(account, typed)
        return APP
    recovery_codes.use(account, typed, origin)
    return RECOVERY_CODE
