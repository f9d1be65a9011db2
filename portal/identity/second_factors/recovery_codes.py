"""Recovery codes: ten single-use codes for a lost app or passkey."""

import secrets
from base64 import b32encode

from bson import ObjectId

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transactional, within_transaction
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


def generate_codes() -> list[str]:
    """Ten codes of 80 random bits each, in groups that can be copied by hand."""
    return [_grouped(b32encode(secrets.token_bytes(10)).decode().lower()) for _ in range(NUMBER)]


@within_transaction
def replace(account_id: ObjectId, codes: list[str], context: RequestContext) -> None:
    """Replace the account's codes by ``codes``. Raises DuplicateRequest where the same request did
    so already: its answer showed the valid codes."""
    claim_key(context, account_id, CODES)
    RecoveryCodes(
        id=account_id, hashes=[_hashed(code) for code in codes], made_at=clock.now()
    ).save()


@transactional
def regenerate(account_id: ObjectId, context: RequestContext) -> list[str]:
    """Replace the account's codes by ten new ones, returned this once. Raises AddressNotVerified,
    NoSecondFactor where there is nothing to recover from, DuplicateRequest."""
    sessions.lock_session(context)
    account = Account.objects.get(id=account_id)
    require_verified_address(account)
    if not account.has_second_factor:
        raise NoSecondFactor
    codes = generate_codes()
    replace(account_id, codes, context)
    record(account, "account.recovery_codes_made", context.origin)
    outbox.enqueue(RECOVERY_CODES_MADE, account.email, account=account_id)
    return codes


@within_transaction
def use(account: Account, code: str, context: RequestContext) -> None:
    """Consume one of the account's codes. Raises WrongCode."""
    hashed = _hashed(code)
    left = RecoveryCodes.objects(id=account.id, hashes=hashed)
    if not left.update_one(pull__hashes=hashed):
        raise WrongCode
    record(account, "account.recovery_code_used", context.origin)
    outbox.enqueue(RECOVERY_CODE_USED, account.email, account=account.id)


def _grouped(code: str) -> str:
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))


def _hashed(code: str) -> str:
    return hash_secret(code.replace("-", ""))
