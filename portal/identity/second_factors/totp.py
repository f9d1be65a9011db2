"""The authenticator app: codes of six digits that change every half minute (RFC 6238)."""

import pyotp
import segno
import structlog
from bson import ObjectId
from pyotp.exceptions import OTPVerificationError

from portal import clock, settings
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account
from portal.documents.second_factors import AuthenticatorApp
from portal.documents.sessions import Factor
from portal.identity.second_factors import enrollment
from portal.identity.second_factors.errors import WrongCode
from portal.identity.second_factors.typed_codes import parse_code_of_app
from portal.identity.sessions import sessions
from portal.identity.sessions.principals import AccountPrincipal
from portal.settings import sealing
from portal.web import rate_limits
from portal.web.context import RequestContext

_SKEW_STEPS = 1  # clocks of telephones are half a minute off

log = structlog.get_logger()


def begin_enrollment(session_id: str) -> str:
    """The secret that the session offers to an app; nothing accepts its codes before
    ``finish_enrollment``."""
    sealed = sealing.seal(pyotp.random_base32())
    session = sessions.sessions_with_id(session_id)
    session.filter(offered_secret=None).update_one(set__offered_secret=sealed)
    return sealing.unseal(_pending_secret(session_id) or "") or ""


def provisioning_uri(secret: str, email: str) -> str:
    """The URI in the QR code, also a link on the device that has the app."""
    issuer = settings.current().issuer
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=issuer)


def qr_svg(uri: str) -> str:
    """The QR code as inline SVG. The stylesheet sizes it; its background stays white."""
    return segno.make(uri, error="m").svg_inline(
        svgclass="qr", lineclass="qr-line", omitsize=True, light="#fff"
    )


def finish_enrollment(
    principal: AccountPrincipal, typed: str, context: RequestContext
) -> list[str]:
    """Enroll the app that has the session's offered secret, in place of any other; the recovery
    codes as ``enrollment.enroll`` returns them. ``typed`` is its first code. Raises MalformedCode,
    WrongCode, TooManyAttempts, AddressNotVerified."""
    code = parse_code_of_app(typed)
    account_id, session_id = principal.account_id, principal.session_id
    rate_limits.count_attempt(rate_limits.SECOND_FACTOR, str(account_id))
    offered = _pending_secret(session_id)
    secret = offered and sealing.unseal(offered)
    step = _step_of(secret, code) if secret else None
    if not secret or step is None:
        raise WrongCode

    @transactional
    def replace_app() -> list[str]:
        # Of two concurrent confirmations one finds this secret; another may be offered already.
        offering = sessions.sessions_with_id(session_id).filter(offered_secret=offered)
        if not offering.update_one(unset__offered_secret=True):
            raise WrongCode
        replaced = AuthenticatorApp.objects(id=account_id).delete()
        AuthenticatorApp(
            id=account_id, secret=sealing.seal(secret), added_at=clock.now(), last_step=step
        ).insert()
        action = "account.app_replaced" if replaced else "account.app_added"
        return enrollment.enroll(principal, action, Factor.APP, context)

    return replace_app()


@transactional
def remove(account_id: ObjectId, context: RequestContext) -> None:
    """Remove the account's app. Raises LastSecondFactor."""
    if AuthenticatorApp.objects(id=account_id).delete():
        enrollment.unenroll(account_id, "account.app_removed", Factor.APP, context)


@within_transaction
def use(account: Account, code: str) -> None:
    """Consume a code of the account's app, and those of all earlier steps. Raises WrongCode."""
    app = AuthenticatorApp.objects(id=account.id).first()
    secret = app and sealing.unseal(app.secret)
    step = _step_of(secret, code) if secret else None
    if app and not secret:
        log.error("second_factor.unreadable", note="SECRET_KEY was changed without a fallback")
    if step is None:
        raise WrongCode
    earlier = AuthenticatorApp.objects(id=account.id, last_step__lt=step)
    if not earlier.update_one(set__last_step=step):
        raise WrongCode


def _pending_secret(session_id: str) -> str | None:
    session = sessions.sessions_with_id(session_id).only("offered_secret").first()
    return session and session.offered_secret


def _step_of(secret: str, code: str) -> int | None:
    """The time step of the code; ``None`` where it is none of the valid steps."""
    try:
        return pyotp.TOTP(secret).verify_and_get_timecode(
            code, for_time=clock.now(), valid_window=_SKEW_STEPS
        )
    except OTPVerificationError:
        return None
