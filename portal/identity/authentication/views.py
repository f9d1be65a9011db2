"""Pages of logging in, its second step, and re-authentication."""

from bson import ObjectId
from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal.identity.authentication import cookies, forms, logging_in
from portal.identity.second_factors import passkeys
from portal.identity.second_factors.enrollment import SecondFactors, second_factors_of
from portal.identity.sessions.principals import PendingLogIn
from portal.web import rate_limits, replay
from portal.web.forms import Form, see_other
from portal.web.requests import request_context, same_site_path, user_agent

blueprint = Blueprint("authentication", __name__)
replay.install(blueprint, lambda record, error: redirect(_place_after(), 303))

CODE, RECOVERY, PASSKEY, PASSWORD = "code", "recovery", "passkey", "password"
_REAUTHENTICATE = {
    CODE: logging_in.reauthenticate_with_code,
    RECOVERY: logging_in.reauthenticate_with_code,
    PASSKEY: logging_in.reauthenticate_with_passkey,
    PASSWORD: logging_in.reauthenticate_with_password,
}


@blueprint.route("/login", methods=["GET", "POST"])
def log_in() -> ResponseReturnValue:
    form = forms.LogInForm(next=same_site_path(request.args.get("next", ""), ""))
    target = same_site_path(form.next.data or "", url_for("organizations.list_mine"))
    if current_user.is_authenticated and request.method == "GET":
        return redirect(target, 303)
    principal = form.submit(
        lambda: logging_in.log_in(
            form.email.data, form.password.data, request_context(), user_agent()
        )
    )
    if principal:
        cookies.enter(principal)
        if isinstance(principal, PendingLogIn):
            return see_other(".bring_second_factor", next=form.next.data or None)
        return redirect(target, 303)
    return form.render("accounts/log_in.html")


@blueprint.post("/logout")
def log_out() -> ResponseReturnValue:
    if current_user.is_authenticated:
        logging_in.log_out(current_user, request_context())
    cookies.leave()
    return redirect(_target("authentication.log_in"), 303)


@blueprint.route("/login/second", methods=["GET", "POST"])
def bring_second_factor() -> ResponseReturnValue:
    pending_id = cookies.pending_id()
    if pending_id is None:  # nobody began, or it was finished before, in another tab
        if current_user.is_authenticated:
            return redirect(_place_after(), 303)
        return see_other("authentication.log_in", next=_next())
    pending = logging_in.find_pending(pending_id)
    ways = [*_ways(second_factors_of(pending.account)), RECOVERY]
    form, by = forms.SecondFactorForm(), _chosen(ways)
    finish = logging_in.finish_with_passkey if by == PASSKEY else logging_in.finish_with_code
    principal = form.submit(
        lambda: finish(
            pending_id, _typed(form, by), request_context(), user_agent(), trust=form.trust.data
        )
    )
    if principal:
        cookies.enter(principal)
        return redirect(_place_after(), 303)
    options = _options(by, passkeys.SECOND_STEP, str(pending.public_id), pending.account)
    return _page("second_factors/second.html", form, by, ways, options)


@blueprint.route("/login/passkey", methods=["GET", "POST"])
def use_passkey() -> ResponseReturnValue:
    if current_user.is_authenticated and request.method == "GET":
        return redirect(_place_after(), 303)
    form = forms.PasskeyLogInForm()
    principal = form.submit(
        lambda: logging_in.log_in_with_passkey(
            form.credential.data, request_context(), user_agent()
        )
    )
    if principal:
        cookies.enter(principal)
        return redirect(_place_after(), 303)
    rate_limits.count_attempt_of_network(rate_limits.PREVIEW, request.remote_addr)
    options = passkeys.options_to_use(passkeys.LOG_IN, "")
    return _page("second_factors/passkey.html", form, PASSKEY, [], options)


@blueprint.route("/account/confirm", methods=["GET", "POST"])
@login_required
def confirm() -> ResponseReturnValue:
    # An account with a second factor reauthenticates by that, as its password alone logs nobody in.
    factors = second_factors_of(current_user.account_id)
    ways = [*_ways(factors), RECOVERY] if factors else [PASSWORD]
    form, by = forms.ConfirmForm(), _chosen(ways)
    principal = current_user._get_current_object()
    form.submit(lambda: _REAUTHENTICATE[by](principal, _typed(form, by), request_context()))
    if form.succeeded:
        return redirect(_place_after(), 303)
    options = _options(by, passkeys.CONFIRM, str(principal.public_session_id), principal.account_id)
    return _page("second_factors/confirm.html", form, by, ways, options)


def _ways(factors: SecondFactors) -> list[str]:
    """The ways to authenticate by these factors, the usual one first."""
    return [CODE] * bool(factors.app) + [PASSKEY] * bool(factors.passkeys)


def _chosen(ways: list[str]) -> str:
    by = request.args.get("by", "")
    return by if by in ways else ways[0]


def _typed(form: forms.SecondFactorForm | forms.ConfirmForm, by: str) -> str:
    """The proof in the form, by the chosen way."""
    return form[{PASSKEY: "credential", PASSWORD: "current_password"}.get(by, "code")].data


def _options(by: str, purpose: str, holder: str, account_id: ObjectId) -> str:
    """The browser's options to use a passkey, where that is the chosen way."""
    return passkeys.options_to_use(purpose, holder, account_id) if by == PASSKEY else ""


def _page(template: str, form: Form, by: str, ways: list[str], options: str) -> ResponseReturnValue:
    unknown = passkeys.unknown_passkey(form.credential.data)
    form.credential.data = ""  # its challenge is consumed
    ways_here = {way: url_for(request.endpoint or "", by=way, next=_next()) for way in ways}
    action = url_for(request.endpoint or "", by=by if ways else None, next=_next())
    return form.render(
        template, by=by, ways=ways_here, action=action, options=options, unknown=unknown
    )


def _next() -> str | None:
    return same_site_path(request.args.get("next", ""), "") or None


def _place_after() -> str:
    """The page that follows the form of this request once it was carried out."""
    confirming = request.endpoint == "authentication.confirm"
    return _target("factors.security" if confirming else "organizations.list_mine")


def _target(otherwise: str) -> str:
    return _next() or url_for(otherwise)
