"""An account's second factors, and the consequences of enrolling or unenrolling one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from portal.audit.trail import record
from portal.database.paging import join
from portal.database.together import Part, Read, Stages, joined, read
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account
from portal.documents.memberships import Membership
from portal.documents.organizations import Organization, OrganizationState
from portal.documents.second_factors import AuthenticatorApp, Passkey, RecoveryCodes
from portal.documents.sessions import Browser
from portal.identity.second_factors import recovery_codes
from portal.identity.second_factors.errors import LastSecondFactor, NoSecondFactor
from portal.identity.second_factors.mails import FACTOR_ADDED, FACTOR_REMOVED, FACTORS_RESET
from portal.identity.sessions import browsers, sessions
from portal.identity.sessions.errors import NotAuthenticated
from portal.identity.sessions.principals import AccountPrincipal, require_verified_address
from portal.mail import outbox
from portal.web.context import RequestContext


@dataclass(frozen=True, slots=True)
class SecondFactors:
    """An account's second factors; ``codes_left`` is ``None`` where it never had recovery codes."""

    app: AuthenticatorApp | None
    passkeys: list[Passkey]
    codes_left: int | None

    def __bool__(self) -> bool:
        return bool(self.app or self.passkeys)


@dataclass(frozen=True, slots=True)
class Security:
    """The security of an account, as shown to its owner: ``requiring`` is the name of an
    organization that requires a second factor."""

    factors: SecondFactors
    password_changed_at: datetime | None
    trusted_browsers: list[Browser]
    requiring: str | None


def security_of(account_id: ObjectId) -> Security:
    """The security of the account; one read."""
    parts = (
        _reading_second_factors(account_id),
        _reading_password_changed_at(account_id),
        browsers.reading_trusted(account_id),
        _reading_requiring_name(account_id),
    )
    return Security(*read(joined(*parts)))


def second_factors_of(account_id: ObjectId) -> SecondFactors:
    """The account's second factors; one read."""
    return read(_reading_second_factors(account_id))


def _reading_second_factors(account_id: ObjectId) -> Part[SecondFactors]:
    oldest_first = [{"$sort": {"added_at": 1}}]
    stages: Stages = [
        {"$match": {"_id": account_id}},
        {"$project": {"_id": 1}},
        join(AuthenticatorApp, "_id", "_id", "apps", []),
        join(Passkey, "_id", "account", "passkeys", oldest_first),
        join(RecoveryCodes, "_id", "_id", "codes", []),
    ]
    [rows] = yield [Read(Account, stages)]
    nothing: dict[str, Any] = {"apps": [], "passkeys": [], "codes": []}
    row = next(iter(rows), nothing)
    return SecondFactors(
        next(map(AuthenticatorApp._from_son, row["apps"]), None),
        list(map(Passkey._from_son, row["passkeys"])),
        next((len(codes.get("hashes", ())) for codes in row["codes"]), None),
    )


def _reading_password_changed_at(account_id: ObjectId) -> Part[datetime | None]:
    own = {"$match": {"_id": account_id}}
    [rows] = yield [Read(Account, [own, {"$project": {"password_changed_at": 1}}])]
    return rows[0].get("password_changed_at") if rows else None


@within_transaction
def enroll(
    principal: AccountPrincipal, action: str, what: str, context: RequestContext
) -> list[str]:
    """Enroll the factor that the caller's transaction just wrote: log-ins need it from then on, no
    browser is trusted any longer, and the person is notified.

    With the first factor the account gets recovery codes, which are returned to be shown once; with
    a later one it keeps its own, and none are returned.
    Raises AddressNotVerified, NotAuthenticated.
    """
    sessions.lock_session(context)
    account_id, codes = principal.account_id, recovery_codes.generate_codes()
    # Whoever adds one has not lost all of them.
    kept = {"unset__factors_reset_at": True, "unset__factors_reset": True}
    open_ones = Account.objects(id=account_id, closed_at=None)
    before = open_ones.modify(set__has_second_factor=True, **kept)
    if before is None:
        raise NotAuthenticated
    require_verified_address(before)
    if not before.has_second_factor:
        # They were opened without it.
        sessions.revoke_others(account_id, principal.session_id)
        recovery_codes.replace(account_id, codes, context)
    _record_change(account_id, action, what, context)
    outbox.enqueue(FACTOR_ADDED, before.email, account=account_id, what=what)
    return [] if before.has_second_factor else codes


@within_transaction
def unenroll(account_id: ObjectId, action: str, what: str, context: RequestContext) -> None:
    """Unenroll the factor that the caller's transaction just deleted; with the last one the
    recovery codes are deleted. Raises LastSecondFactor where an organization requires one."""
    left = (
        AuthenticatorApp.objects(id=account_id).first()
        or Passkey.objects(account=account_id).first()
    )
    # Written even if unchanged: of two concurrent removals the later sees that it is the last.
    account = Account.objects(id=account_id).modify(new=True, set__has_second_factor=bool(left))
    if not left:
        if name := requiring_organization_name(account_id):
            raise LastSecondFactor(name)
        RecoveryCodes.objects(id=account_id).delete()
    _record_change(account_id, action, what, context)
    outbox.enqueue(FACTOR_REMOVED, account.email, account=account_id, what=what)


@transactional
def reset(account_id: ObjectId, context: RequestContext) -> Account:
    """Reset the second factors now, as ``reset_factors`` does, in a transaction of its own. Raises
    NoSecondFactor."""
    return reset_factors(account_id, context)


@within_transaction
def reset_factors(account_id: ObjectId, context: RequestContext) -> Account:
    """Delete all second factors of an account whose owner can use none of them: the password alone
    logs in from then on. All sessions end, since a lost device may have one, and the person is
    notified.

    Raises NoSecondFactor where there is none; then nothing was changed.
    """
    found = Account.objects(id=account_id, has_second_factor=True, closed_at=None)
    account = found.modify(
        new=True,
        set__has_second_factor=False,
        unset__factors_reset_at=True,
        unset__factors_reset=True,
    )
    if account is None:
        raise NoSecondFactor
    delete_all(account_id)
    sessions.revoke_all(account_id)
    record(account, "account.factors_reset", context.origin)
    outbox.enqueue(FACTORS_RESET, account.email, account=account_id)
    return account


@within_transaction
def delete_all(account_id: ObjectId) -> None:
    """Delete all factors, recovery codes and known browsers of the account."""
    AuthenticatorApp.objects(id=account_id).delete()
    Passkey.objects(account=account_id).delete()
    RecoveryCodes.objects(id=account_id).delete()
    browsers.revoke_all(account_id)


def requiring_organization_name(account_id: ObjectId) -> str | None:
    """The name of an organization of the account's that requires a second factor, now or soon."""
    return read(_reading_requiring_name(account_id))


def _reading_requiring_name(account_id: ObjectId) -> Part[str | None]:
    requiring = {
        "state": {"$ne": OrganizationState.PURGED},
        "second_factor_from": {"$ne": None},
    }
    stages: Stages = [
        {"$match": {"account": account_id}},
        {"$group": {"_id": None, "own": {"$push": "$organization"}}},
        join(Organization, "own", "_id", "found", [{"$match": requiring}, {"$limit": 1}]),
        {"$unwind": "$found"},
        {"$project": {"name": "$found.name"}},
    ]
    [rows] = yield [Read(Membership, stages)]
    return rows[0]["name"] if rows else None


def _record_change(account_id: ObjectId, action: str, what: str, context: RequestContext) -> None:
    browsers.revoke_all_trust(account_id)
    record(Account.objects.get(id=account_id), action, context.origin, factor=what)
