"""Pages of one's own second factors."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, flash, render_template
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required
from flask_wtf.csrf import CSRFError
from markupsafe import Markup

from portal.bidi import isolated
from portal.documents.accounts import Account
from portal.documents.idempotency import IdempotencyRecord
from portal.errors import PortalError
from portal.identity.second_factors import passkeys, recovery_codes, resetting, totp
from portal.identity.second_factors.enrollment import second_factors_of, security_of
from portal.identity.second_factors.errors import NoReset
from portal.identity.second_factors.forms import CodeForm, NameForm, PasskeyForm
from portal.identity.sessions import browsers
from portal.identity.sessions.principals import require_verified_address
from portal.identity.sessions.reauthentication import reauthenticated
from portal.web import replay
from portal.web.forms import Form, IdempotentForm, see_other
from portal.web.requests import request_context

blueprint = Blueprint("factors", __name__, url_prefix="/account/security")

_PASSKEY_REMOVED = "The passkey is removed and opens nothing any more."


def _with_verified_address(
    view: Callable[..., ResponseReturnValue],
) -> Callable[..., ResponseReturnValue]:
    """Refuse the page where the service would refuse its form. Raises AddressNotVerified."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
        require_verified_address(current_user)
        return view(*args, **kwargs)

    return guarded


@blueprint.get("")
@login_required
def security() -> ResponseReturnValue:
    account_id = current_user.account_id
    found = security_of(account_id)
    return render_template(
        "second_factors/security.html",
        changed_at=found.password_changed_at,
        factors=found.factors,
        accepted=passkeys.accepted_passkeys(account_id, found.factors.passkeys),
        owner=passkeys.passkey_owner(account_id, current_user.email),
        few=recovery_codes.FEW,
        number=recovery_codes.NUMBER,
        trusted=found.trusted_browsers,
        requiring=found.requiring,
        form=Form(),
    )


@blueprint.route("/app", methods=["GET", "POST"])
@login_required
@_with_verified_address
@reauthenticated
def set_up_app() -> ResponseReturnValue:
    form = CodeForm()
    codes = form.submit(
        lambda: totp.finish_enrollment(current_user, form.code.data, request_context())
    )
    if form.succeeded:
        flash("The authenticator app is set up. Its codes are asked for from now on.", "ok")
        return _show_codes(codes)
    secret = totp.begin_enrollment(current_user.session_id)
    uri = totp.provisioning_uri(secret, current_user.email)
    return form.render(
        "second_factors/app.html",
        secret=secret,
        uri=uri,
        picture=Markup(totp.qr_svg(uri)),  # noqa: S704 (the package draws it)
        replaces=second_factors_of(current_user.account_id).app,
    )


@blueprint.route("/app/remove", methods=["GET", "POST"])
@login_required
@reauthenticated
def remove_app() -> ResponseReturnValue:
    return _remove(
        "the authenticator app",
        lambda: totp.remove(current_user.account_id, request_context()),
        "The authenticator app is removed.",
    )


@blueprint.route("/passkeys/new", methods=["GET", "POST"])
@login_required
@_with_verified_address
@reauthenticated
def add_passkey() -> ResponseReturnValue:
    form = PasskeyForm()
    codes = form.submit(
        lambda: passkeys.enroll(
            current_user, form.passkey_name.data, form.credential.data, request_context()
        )
    )
    if form.succeeded:
        flash("The passkey is added. You can log in with it.", "ok")
        return _show_codes(codes)
    account = Account.objects.get(id=current_user.account_id)
    unknown = passkeys.unknown_passkey(form.credential.data)
    form.credential.data = ""
    options = passkeys.options_to_add(account, str(current_user.public_session_id))
    return form.render("second_factors/add_passkey.html", options=options, unknown=unknown)


@blueprint.route("/passkeys/<passkey_id>", methods=["GET", "POST"])
@login_required
def name_passkey(passkey_id: str) -> ResponseReturnValue:
    passkey = passkeys.find_passkey(current_user.account_id, passkey_id)
    form = NameForm()
    form.submit(lambda: passkeys.rename(passkey, form.passkey_name.data, request_context()))
    if form.succeeded:
        return see_other(".security")
    if not form.is_submitted():
        form.passkey_name.data = passkey.name
    return form.render("second_factors/name_passkey.html", passkey=passkey)


@blueprint.route("/passkeys/<passkey_id>/remove", methods=["GET", "POST"])
@login_required
@reauthenticated
def remove_passkey(passkey_id: str) -> ResponseReturnValue:
    passkey = passkeys.find_passkey(current_user.account_id, passkey_id)
    return _remove(
        f"the passkey “{isolated(passkey.name)}”",
        lambda: passkeys.remove(passkey, request_context()),
        _PASSKEY_REMOVED,
    )


@blueprint.route("/codes/new", methods=["GET", "POST"])
@login_required
@_with_verified_address
@reauthenticated
def make_codes() -> ResponseReturnValue:
    form = IdempotentForm()
    codes = form.submit(
        lambda: recovery_codes.regenerate(current_user.account_id, request_context())
    )
    if codes:
        return _show_codes(codes)
    return form.render("second_factors/make_codes.html", number=recovery_codes.NUMBER)


@blueprint.post("/keep")
@login_required
def keep() -> ResponseReturnValue:
    resetting.keep(current_user.account_id, request_context())
    return see_other(".security", "Your second factors stay as they are.")


@blueprint.post("/browsers/forget")
@login_required
def forget_browsers() -> ResponseReturnValue:
    browsers.revoke_trusted_browsers(current_user.account_id, request_context())
    return see_other(".security", "The second factor is asked for in every browser again.")


def _remove(what: str, action: Callable[[], None], message: str) -> ResponseReturnValue:
    form = IdempotentForm()
    form.submit(action)
    if form.succeeded:
        return see_other(".security", message)
    factors = second_factors_of(current_user.account_id)
    return form.render("second_factors/remove.html", what=what, factors=factors)


def _show_codes(codes: list[str] | None) -> ResponseReturnValue:
    """Show new recovery codes, if there are any. Without a redirect: nothing keeps them until the
    next request."""
    if codes:
        return render_template("second_factors/codes.html", codes=codes)
    return see_other(".security")


@blueprint.errorhandler(NoReset)
def _answer_no_reset(error: NoReset) -> ResponseReturnValue:
    """Show which factors there are to somebody who keeps theirs where nothing is to be reset."""
    return see_other(".security", error.words)


def _redirect_to_first_result(
    record: IdempotencyRecord, error: PortalError | CSRFError
) -> ResponseReturnValue:
    if record.kind == passkeys.REMOVAL:
        return see_other(".security", _PASSKEY_REMOVED)
    # A form sent twice generated codes once; only the first answer had them.
    return render_template("second_factors/codes.html", codes=None)


replay.install(blueprint, _redirect_to_first_result)
