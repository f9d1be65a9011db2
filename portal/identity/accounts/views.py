"""Pages of one's own account."""

from flask import Blueprint, Response, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal.documents.accounts import Account, Theme
from portal.identity.accounts import changing, closing, creating
from portal.identity.accounts.exporting import export_account
from portal.identity.accounts.forms import AddressForm, CloseForm, PasswordForm, ProfileForm
from portal.identity.authentication import cookies
from portal.identity.sessions import sessions
from portal.identity.sessions.reauthentication import (
    reauthenticated,
    recently_authenticated,
    require_reauthentication,
)
from portal.web.forms import Form, see_other
from portal.web.requests import request_context

blueprint = Blueprint("account", __name__, url_prefix="/account")


@blueprint.route("", methods=["GET", "POST"])
@login_required
def profile() -> ResponseReturnValue:
    account = Account.objects.get(id=current_user.account_id)
    form = ProfileForm(
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
    page = render_template("accounts/profile.html", account=account, form=form, button_form=Form())
    return page, form.status


@blueprint.post("/verification")
@login_required
def ask_to_verify() -> ResponseReturnValue:
    creating.resend_verification(current_user.account_id, request_context())
    return see_other(
        ".profile", f"A link is on its way to {current_user.email}. It works for 24 hours."
    )


@blueprint.route("/address", methods=["GET", "POST"])
@login_required
@reauthenticated
def change_address() -> ResponseReturnValue:
    form = AddressForm()
    requested = form.submit(
        lambda: changing.request_email_change(
            current_user.account_id, form.email.data, form.current_password.data, request_context()
        )
    )
    if requested:
        return see_other(
            ".profile",
            "A link is on its way to the new address. Follow it within 24 hours; until then your "
            "address stays as it is.",
        )
    return render_template("accounts/change_address.html", form=form), form.status


@blueprint.route("/password", methods=["GET", "POST"])
@login_required
@reauthenticated
def change_password() -> ResponseReturnValue:
    form = PasswordForm()
    changed = form.submit(
        lambda: changing.change_password(
            current_user, form.current_password.data, form.password.data, request_context()
        )
    )
    if changed:
        return see_other(".profile", "Your password is changed. All other sessions have ended.")
    return render_template("accounts/change_password.html", form=form), form.status


@blueprint.get("/sessions")
@login_required
def list_sessions() -> ResponseReturnValue:
    return render_template(
        "accounts/sessions.html",
        sessions=sessions.list_sessions(current_user),
        button_form=Form(),
    )


@blueprint.post("/sessions/<public_id>/end")
@login_required
def end_session(public_id: str) -> ResponseReturnValue:
    sessions.revoke_session(current_user.account_id, public_id, request_context())
    return see_other(".list_sessions", "The session has ended.")


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
    form = CloseForm()
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
        return see_other("authentication.log_in", "Your account is closed.")
    solely_owned = closing.solely_owned_organizations(current_user.account_id)
    page = render_template("accounts/close.html", form=form, solely_owned=solely_owned)
    return page, form.status
