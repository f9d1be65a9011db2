"""Pages to log in and out."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.accounts import cookie, login
from portal.accounts.forms import LogInForm
from portal.factors.pending import Pending
from portal.requests import origin, same_site_path, user_agent

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
