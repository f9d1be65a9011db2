"""Which second factors an account has, and what follows when one comes or goes."""

from dataclasses import dataclass

from bson import ObjectId

from portal.audit.trail import record
from portal.documents.accounts import Account
from portal.documents.memberships import Membership
from portal.documents.organizations import Organization, OrganizationState
from portal.documents.second_factors import AuthenticatorApp, Passkey, RecoveryCodes
from portal.identity.second_factors import recovery_codes
from portal.identity.second_factors.errors import LastSecondFactor
from portal.identity.second_factors.mails import FACTOR_ADDED, FACTOR_REMOVED
from portal.identity.sessions import browsers, sessions
from portal.identity.sessions.errors import NotAuthenticated
from portal.identity.sessions.principals import require_verified_address
from portal.mail import outbox
from portal.web.context import RequestContext


@dataclass(frozen=True, slots=True)
class SecondFactors:
    """The second factors of an account; ``codes_left`` is ``None`` where it has no recovery
    codes."""

    app: AuthenticatorApp | None
    passkeys: list[Passkey]
    codes_left: int | None

    def __bool__(self) -> bool:
        return bool(self.app or self.passkeys)


def second_factors_of(account_id: ObjectId) -> SecondFactors:
    """What the account has; three reads."""
    codes = RecoveryCodes.objects(id=account_id).first()
    return SecondFactors(
        AuthenticatorApp.objects(id=account_id).first(),
        list(Passkey.objects(account=account_id).order_by("added_at")),
        len(codes.hashes) if codes else None,
    )


def enroll(
    account_id: ObjectId,
    session_id: str,
    codes: list[str],
    action: str,
    what: str,
    context: RequestContext,
) -> list[str]:
    """Have the factor that the caller's transaction just wrote count: the account needs it to log
    in from now on, its browsers are asked for it, the person is told.

    The first one brings the recovery ``codes``: returned are those that are the account's now and
    to be shown once, none where it keeps others.
    Raises AddressNotVerified, NotAuthenticated.
    """
    sessions.lock_session(context)
    before = Account.objects(id=account_id, closed_at=None).modify(set__has_second_factor=True)
    if before is None:
        raise NotAuthenticated
    require_verified_address(before)
    if not before.has_second_factor:
        # Those were opened without it.
        sessions.revoke_others(account_id, session_id)
        recovery_codes.replace(account_id, codes, context)
    _record_change(account_id, action, what, context)
    outbox.enqueue(FACTOR_ADDED, before.email, account=account_id, what=what)
    return [] if before.has_second_factor else codes


def unenroll(account_id: ObjectId, action: str, what: str, context: RequestContext) -> None:
    """Have the account do without the factor that the caller's transaction just deleted; recovery
    codes go with the last one. Raises LastSecondFactor where an organization requires one."""
    left = (
        AuthenticatorApp.objects(id=account_id).first()
        or Passkey.objects(account=account_id).first()
    )
    # Written also where it stays: of two that remove one each, the later sees that it is the last.
    account = Account.objects(id=account_id).modify(new=True, set__has_second_factor=bool(left))
    if not left:
        if name := requiring_organization_name(account_id):
            raise LastSecondFactor(name)
        RecoveryCodes.objects(id=account_id).delete()
    _record_change(account_id, action, what, context)
    outbox.enqueue(FACTOR_REMOVED, account.email, account=account_id, what=what)


def delete_all(account_id: ObjectId) -> None:
    """Remove all factors, recovery codes and known browsers of the account, in the caller's
    transaction, whoever added them."""
    AuthenticatorApp.objects(id=account_id).delete()
    Passkey.objects(account=account_id).delete()
    RecoveryCodes.objects(id=account_id).delete()
    browsers.revoke_all(account_id)


def _record_change(account_id: ObjectId, action: str, what: str, context: RequestContext) -> None:
    browsers.revoke_all_trust(account_id)
    record(Account.objects.get(id=account_id), action, context.origin, factor=what)


def requiring_organization_name(account_id: ObjectId) -> str | None:
    """The name of an organization of the account's that requires a second factor, now or soon."""
    own = Membership.objects(account=account_id).distinct("organization")
    requiring = Organization.objects(
        id__in=own, state__ne=OrganizationState.PURGED, second_factor_from__ne=None
    ).first()
    return requiring and requiring.name
