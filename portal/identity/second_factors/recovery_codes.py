"""Recovery codes: ten that work once each, for whoever lost the app or the passkey."""

import re
import secrets
from base64 import b32encode

from bson import ObjectId

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.second_factors import RecoveryCodes
from portal.hashing import hash_secret
from portal.identity.second_factors.errors import NoSecondFactor, WrongCode
from portal.identity.second_factors.mails import RECOVERY_CODE_USED, RECOVERY_CODES_MADE
from portal.identity.sessions import sessions
from portal.identity.sessions.principals import require_verified_address
from portal.mail import outbox
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

NUMBER = 10
FEW = 3
CODES = "recovery_codes_made"
_LOOKS = re.compile(r"[a-z2-7]{16}")


def generate_codes() -> list[str]:
    """Ten codes that nobody can guess: 80 random bits each, in groups that can be copied by
    hand."""
    return [_grouped(b32encode(secrets.token_bytes(10)).decode().lower()) for _ in range(NUMBER)]


def replace(account_id: ObjectId, codes: list[str], context: RequestContext) -> None:
    """Make ``codes`` those of the account, in the caller's transaction; all former ones end. Raises
    DuplicateRequest where the same request did it already: its answer showed the codes that count.
    """
    claim_key(context, account_id, CODES)
    RecoveryCodes(
        id=account_id, hashes=[_hashed(code) for code in codes], made_at=clock.now()
    ).save()


def regenerate(account_id: ObjectId, context: RequestContext) -> list[str]:
    """Replace the account's codes by ten others, which are told this once.

    Raises AddressNotVerified, NoSecondFactor where there is nothing to recover from,
    DuplicateRequest.
    """
    codes = generate_codes()

    def body() -> None:
        sessions.lock_session(context)
        account = Account.objects.get(id=account_id)
        require_verified_address(account)
        if not account.has_second_factor:
            raise NoSecondFactor
        replace(account_id, codes, context)
        record(account, "account.recovery_codes_made", context.origin)
        outbox.enqueue(RECOVERY_CODES_MADE, account.email, account=account_id)

    transaction(body)
    return codes


def use(account: Account, typed: str, context: RequestContext) -> None:
    """Use up one of the account's codes, in the caller's transaction. Raises WrongCode."""
    code = re.sub(r"[\s-]", "", typed).lower()
    hashed = _hashed(code)
    mine = RecoveryCodes.objects(id=account.id, hashes=hashed)
    if not _LOOKS.fullmatch(code) or not mine.update_one(pull__hashes=hashed):
        raise WrongCode
    record(account, "account.recovery_code_used", context.origin)
    outbox.enqueue(RECOVERY_CODE_USED, account.email, account=account.id)


def _grouped(code: str) -> str:
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))


def _hashed(code: str) -> str:
    return hash_secret(code.replace("-", ""))
