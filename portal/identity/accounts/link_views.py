"""Pages without a log-in: recovering an account, and the targets of mailed links."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from portal.identity.accounts import changing, creating, recovering
from portal.identity.accounts.forms import (
    ConfirmAddressForm,
    ForgotForm,
    NewPasswordForm,
    VerifyForm,
)
from portal.identity.authentication import cookies
from portal.web.forms import see_other
from portal.web.requests import request_context, user_agent

blueprint = Blueprint("accounts", __name__)


@blueprint.route("/forgot", methods=["GET", "POST"])
def forgot() -> ResponseReturnValue:
    form = ForgotForm()
    if form.submit(lambda: recovering.request_recovery(form.email.data, request_context())):
        return see_other(
            "authentication.log_in",
            "If an account has this address, a link is on its way there. It works for 30 minutes; "
            "within 5 minutes no other is sent.",
        )
    return render_template("accounts/forgot.html", form=form), form.status


@blueprint.route("/recover", methods=["GET", "POST"])
def recover() -> ResponseReturnValue:
    form = NewPasswordForm(token=request.args.get("token", ""))
    token = form.token.data or ""
    account = recovering.account_to_recover(token)
    if form.submit(
        lambda: recovering.recover_password(token, form.password.data, request_context())
    ):
        return see_other("authentication.log_in", "Your password is changed. Log in with it.")
    return render_template("accounts/recover.html", form=form, email=account.email), form.status


@blueprint.route("/verify", methods=["GET", "POST"])
def verify() -> ResponseReturnValue:
    form = VerifyForm(token=request.args.get("token", ""))
    token = form.token.data or ""
    account = creating.account_to_verify(token)
    principal = form.submit(
        lambda: creating.verify_address(token, form.password.data, request_context(), user_agent())
    )
    if principal:
        cookies.enter(principal)
        return see_other("organizations.list_mine", f"{principal.email} is verified.")
    return render_template("accounts/verify.html", form=form, account=account), form.status


@blueprint.route("/address", methods=["GET", "POST"])
def confirm_address() -> ResponseReturnValue:
    form = ConfirmAddressForm(token=request.args.get("token", ""))
    token = form.token.data or ""
    change = changing.find_email_change(token)
    changed = form.submit(
        lambda: changing.confirm_email_change(token, form.current_password.data, request_context())
    )
    if changed:
        return see_other("account.profile", f"Your address is {changed.email} now.")
    return render_template("accounts/confirm_address.html", form=form, change=change), form.status
