"""Pages for who isn't logged in: to log in, and what links in mails lead to."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.accounts import addresses, cookie, login, recovery, verification
from portal.accounts.forms import (
    ConfirmAddressForm,
    ForgotForm,
    LogInForm,
    NewPasswordForm,
    VerifyForm,
)
from portal.factors.pending import Pending
from portal.web.requests import origin, same_site_path, user_agent

blueprint = Blueprint("accounts", __name__)


@blueprint.route("/login", methods=["GET", "POST"])
def log_in() -> ResponseReturnValue:
    form = LogInForm(next=same_site_path(request.args.get("next", ""), ""))
    target = same_site_path(form.next.data or "", url_for("organizations.list_mine"))
    if current_user.is_authenticated and request.method == "GET":
        return redirect(target, 303)
    entered = form.submit(
        lambda: login.log_in(form.email.data, form.password.data, origin(), user_agent())
    )
    if entered:
        cookie.enter(entered)
        if isinstance(entered, Pending):
            return redirect(url_for("second_factor.ask", next=form.next.data or None), 303)
        return redirect(target, 303)
    return render_template("accounts/log_in.html", form=form), form.status


@blueprint.post("/logout")
def log_out() -> ResponseReturnValue:
    if current_user.is_authenticated:
        login.log_out(current_user, origin())
    cookie.leave()
    return redirect(url_for("accounts.log_in"), 303)


@blueprint.route("/forgot", methods=["GET", "POST"])
def forgot() -> ResponseReturnValue:
    form = ForgotForm()
    if form.submit(lambda: recovery.ask_for_link(form.email.data, origin())):
        flash(
            "If an account has this address, a link is on its way there. It works for 30 minutes; "
            "within 5 minutes no other is sent.",
            "ok",
        )
        return redirect(url_for(".log_in"), 303)
    return render_template("accounts/forgot.html", form=form), form.status


@blueprint.route("/recover", methods=["GET", "POST"])
def recover() -> ResponseReturnValue:
    form = NewPasswordForm(token=request.args.get("token", ""))
    token = form.token.data or ""
    account = recovery.account_to_recover(token)
    if form.submit(lambda: recovery.recover_password(token, form.password.data, origin())):
        flash("Your password is changed. Log in with it.", "ok")
        return redirect(url_for(".log_in"), 303)
    return render_template("accounts/recover.html", form=form, email=account.email), form.status


@blueprint.route("/verify", methods=["GET", "POST"])
def verify() -> ResponseReturnValue:
    form = VerifyForm(token=request.args.get("token", ""))
    token = form.token.data or ""
    account = verification.account_to_verify(token)
    principal = form.submit(
        lambda: verification.verify_address(token, form.password.data, origin(), user_agent())
    )
    if principal:
        cookie.enter(principal)
        flash(f"{principal.email} is verified.", "ok")
        return redirect(url_for("organizations.list_mine"), 303)
    return render_template("accounts/verify.html", form=form, account=account), form.status


@blueprint.route("/address", methods=["GET", "POST"])
def confirm_address() -> ResponseReturnValue:
    form = ConfirmAddressForm(token=request.args.get("token", ""))
    token = form.token.data or ""
    change = addresses.change_to_confirm(token)
    changed = form.submit(
        lambda: addresses.confirm_change(token, form.current_password.data, origin())
    )
    if changed:
        flash(f"Your address is {changed.email} now.", "ok")
        return redirect(url_for("account.profile"), 303)
    return render_template("accounts/confirm_address.html", form=form, change=change), form.status
