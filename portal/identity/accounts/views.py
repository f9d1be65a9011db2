"""Pages of one's own account, and those without a log-in: recovering it, and the targets of mailed
links."""

from flask import Blueprint, Response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal.bidi import isolated
from portal.documents.accounts import Account, Theme
from portal.identity.accounts import changing, closing, creating, forms, recovering, replay
from portal.identity.accounts.exporting import export_account
from portal.identity.authentication import cookies
from portal.identity.authentication.own_account import with_account
from portal.identity.second_factors import resetting
from portal.identity.sessions import sessions
from portal.identity.sessions.reauthentication import (
    reauthenticated,
    recently_authenticated,
    require_reauthentication,
)
from portal.web.forms import Form, IdempotentForm, see_other
from portal.web.requests import request_context, user_agent

blueprint = Blueprint("account", __name__, url_prefix="/account")
link_blueprint = Blueprint("accounts", __name__)
replay.install(blueprint)
replay.install(link_blueprint)


@blueprint.route("", methods=["GET", "POST"])
@with_account
def profile(account: Account) -> ResponseReturnValue:
    form = forms.ProfileForm(
        name=account.name or "",
        time_zone=account.time_zone or "",
        theme=account.theme or Theme.AUTO,
    )
    changed = form.submit(
        lambda: changing.change_profile(
            account.id,
            form.name.data or "",
            form.time_zone.data,
            Theme(form.theme.data),
            request_context(),
        )
    )
    if changed:
        return see_other(".profile", "Your profile is saved.")
    return form.render("accounts/profile.html", account=account, button_form=Form())


@blueprint.post("/verification")
@login_required
def ask_to_verify() -> ResponseReturnValue:
    creating.resend_verification(current_user.account_id, request_context())
    return see_other(
        ".profile",
        f"A link is on its way to {isolated(current_user.email)}. It works for 24 hours.",
    )


@blueprint.route("/address", methods=["GET", "POST"])
@login_required
@reauthenticated
def change_address() -> ResponseReturnValue:
    form = forms.AddressForm()
    requested = form.submit(
        lambda: changing.request_email_change(
            current_user.account_id, form.email.data, form.current_password.data, request_context()
        )
    )
    if requested:
        return replay.redirect_to_result(changing.ADDRESS_REQUEST)
    return form.render("accounts/change_address.html")


@blueprint.route("/password", methods=["GET", "POST"])
@login_required
@reauthenticated
def change_password() -> ResponseReturnValue:
    form = forms.PasswordForm()
    changed = form.submit(
        lambda: changing.change_password(
            current_user, form.current_password.data, form.password.data, request_context()
        )
    )
    if changed:
        return replay.redirect_to_result(changing.PASSWORD)
    return form.render("accounts/change_password.html")


@blueprint.get("/sessions")
@login_required
def list_sessions() -> ResponseReturnValue:
    return render_template(
        "accounts/sessions.html",
        sessions=sessions.list_sessions(current_user),
        button_form=IdempotentForm(),
    )


@blueprint.post("/sessions/<public_id>/end")
@login_required
def end_session(public_id: str) -> ResponseReturnValue:
    sessions.revoke_session(current_user.account_id, public_id, request_context())
    return replay.redirect_to_result(sessions.ENDING)


@blueprint.post("/sessions/end-others")
@login_required
def end_other_sessions() -> ResponseReturnValue:
    sessions.revoke_other_sessions(current_user, request_context())
    return see_other(".list_sessions", "All other sessions have ended.")


@blueprint.get("/export")
@login_required
def export() -> ResponseReturnValue:
    if not recently_authenticated(current_user):
        # Not back here: a download would leave the reauthentication page on screen.
        return require_reauthentication(url_for(".profile", _anchor="data"))
    file = export_account(current_user.account_id, request_context())
    headers = {"Content-Disposition": 'attachment; filename="account.json"'}
    return Response(file, content_type="application/json", headers=headers)


@blueprint.route("/close", methods=["GET", "POST"])
@login_required
@reauthenticated
def close() -> ResponseReturnValue:
    form = forms.CloseForm()
    closed = form.submit(
        lambda: closing.close_account(
            current_user.account_id,
            form.confirm_email.data,
            form.current_password.data,
            request_context(),
        )
    )
    if closed:
        cookies.leave()
        return replay.redirect_to_result(closing.CLOSING)
    solely_owned = closing.solely_owned_organizations(current_user.account_id)
    return form.render("accounts/close.html", solely_owned=solely_owned)


@link_blueprint.route("/forgot", methods=["GET", "POST"])
def forgot() -> ResponseReturnValue:
    form = forms.ForgotForm()
    if form.submit(lambda: recovering.request_recovery(form.email.data, request_context())):
        return see_other(
            "authentication.log_in",
            "If an account has this address, a link is on its way there. It works for 30 minutes; "
            "within 5 minutes no other is sent.",
        )
    return form.render("accounts/forgot.html")


@link_blueprint.route("/recover", methods=["GET", "POST"])
def recover() -> ResponseReturnValue:
    form = forms.NewPasswordForm(token=request.args.get("token", ""))
    token = form.token.data or ""
    account = recovering.account_to_recover(token)
    if form.submit(
        lambda: recovering.recover_password(token, form.password.data, request_context())
    ):
        return replay.redirect_to_result(recovering.RECOVERY)
    return form.render("accounts/recover.html", email=account.email)


@link_blueprint.route("/keep-factors", methods=["GET", "POST"])
def keep_factors() -> ResponseReturnValue:
    form = forms.KeepFactorsForm(token=request.args.get("token", ""))
    token = form.token.data or ""
    account = resetting.account_to_keep(token)
    if form.submit(lambda: resetting.keep_by_link(token, request_context())):
        return replay.redirect_to_result(resetting.KEEPING)
    return form.render("accounts/keep_factors.html", account=account)


@link_blueprint.get("/.well-known/change-password")
def lead_to_change_password() -> ResponseReturnValue:
    """Lead password managers to the page (W3C, A Well-Known URL for Changing Passwords)."""
    return see_other("account.change_password")


@link_blueprint.route("/verify", methods=["GET", "POST"])
def verify() -> ResponseReturnValue:
    form = forms.VerifyForm(token=request.args.get("token", ""))
    token = form.token.data or ""
    account = creating.account_to_verify(token)
    principal = form.submit(
        lambda: creating.verify_address(token, form.password.data, request_context(), user_agent())
    )
    if principal:
        cookies.enter(principal)
        return replay.redirect_to_result(creating.VERIFICATION, principal.email)
    return form.render("accounts/verify.html", account=account)


@link_blueprint.route("/address", methods=["GET", "POST"])
def confirm_address() -> ResponseReturnValue:
    form = forms.ConfirmAddressForm(token=request.args.get("token", ""))
    token = form.token.data or ""
    change = changing.find_email_change(token)
    changed = form.submit(
        lambda: changing.confirm_email_change(token, form.current_password.data, request_context())
    )
    if changed:
        return replay.redirect_to_result(changing.ADDRESS, changed.email)
    return form.render("accounts/confirm_address.html", change=change)
