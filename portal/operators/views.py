"""Pages of the operators themselves: who they are, their keys, and the way in by a link."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError

from portal import settings
from portal.bidi import isolated
from portal.documents.accounts import OperatorRole
from portal.documents.idempotency import IdempotencyRecord
from portal.errors import PortalError
from portal.identity.authentication import cookies
from portal.identity.sessions.reauthentication import reauthenticated
from portal.operators import entering, keys, roles
from portal.operators.access import Operator
from portal.operators.forms import (
    AcceptForm,
    EnterForm,
    NewOperatorForm,
    NewOperatorKeyForm,
    RoleForm,
)
from portal.operators.guards import render_operator_page, with_operator
from portal.web import replay
from portal.web.forms import IdempotentForm, see_other
from portal.web.requests import request_context, user_agent

blueprint = Blueprint("operators", __name__, url_prefix="/operator")


@blueprint.get("/operators")
@with_operator("console.view")
def show_all(operator: Operator) -> ResponseReturnValue:
    return render_operator_page(
        "operators/operators.html", operator, operators=roles.list_operators()
    )


@blueprint.route("/operators/new", methods=["GET", "POST"])
@with_operator("operators.manage")
@reauthenticated
def add(operator: Operator) -> ResponseReturnValue:
    form = NewOperatorForm()
    added = form.submit(
        lambda: roles.add_operator(form.email.data, OperatorRole(form.role.data), operator.context)
    )
    if added:
        return see_other(
            ".show_all",
            f"{isolated(added.email)} is {added.operator_role} from their next request on.",
        )
    return render_operator_page("operators/add.html", operator, form)


@blueprint.route("/operators/<account_id>", methods=["GET", "POST"])
@with_operator("operators.manage")
@reauthenticated
def change_role(operator: Operator, account_id: str) -> ResponseReturnValue:
    other = roles.find_operator(account_id)
    form = RoleForm(role=other.role)
    changed = form.submit(
        lambda: roles.set_role(other.account_id, OperatorRole(form.role.data), operator.context)
    )
    if changed:
        return see_other(
            ".show_all", f"{isolated(changed.email)} is {changed.operator_role} from now on."
        )
    return render_operator_page("operators/role.html", operator, form, other=other)


@blueprint.route("/operators/<account_id>/remove", methods=["GET", "POST"])
@with_operator("operators.manage")
@reauthenticated
def remove(operator: Operator, account_id: str) -> ResponseReturnValue:
    other = roles.find_operator(account_id)
    form = IdempotentForm()
    if form.submit(lambda: roles.remove_operator(other.account_id, operator.context)):
        if other.account_id == operator.id:
            return see_other("organizations.list_mine", "You are no operator any more.")
        return see_other(".show_all", f"{isolated(other.email)} is no operator any more.")
    return render_operator_page(
        "operators/remove.html", operator, form, other=other, keys=keys.keys_by(other.account_id)
    )


@blueprint.get("/keys")
@with_operator("console.view")
def show_keys(operator: Operator) -> ResponseReturnValue:
    return render_operator_page("operators/keys.html", operator, keys=keys.list_keys())


@blueprint.route("/keys/new", methods=["GET", "POST"])
@with_operator("operators.manage")
@reauthenticated
def make_key(operator: Operator) -> ResponseReturnValue:
    form = NewOperatorKeyForm()
    made = form.submit(
        lambda: keys.create_key(
            form.name.data, form.role.data, form.expires_on.data, operator.context
        )
    )
    if made:  # no redirect: the secret isn't stored
        return _secret_page(operator, made.credential)
    return render_operator_page("operators/make_key.html", operator, form)


@blueprint.route("/keys/<key_id>/revoke", methods=["GET", "POST"])
@with_operator("operators.manage")
@reauthenticated
def revoke_key(operator: Operator, key_id: str) -> ResponseReturnValue:
    key = keys.find_key(key_id)
    form = IdempotentForm()
    if form.submit(lambda: keys.revoke_key(key.id, operator.context)):
        return see_other(".show_keys", f"“{isolated(key.name)}” is revoked: it opens nothing now.")
    return render_operator_page("operators/revoke_key.html", operator, form, key=key)


@blueprint.route("/enter", methods=["GET", "POST"])
def enter() -> ResponseReturnValue:
    token = request.form.get("token", request.args.get("token", ""))
    if current_user.is_authenticated:
        return _accept(token)
    link = entering.find_link(token)
    form = EnterForm(token=token)
    principal = form.submit(
        lambda: entering.enter(
            token,
            form.email.data or "",
            form.password.data,
            request_context(),
            user_agent(),
        )
    )
    if principal:
        cookies.enter(principal)
        return _to_second_factor()
    page = render_template("operators/enter.html", form=form, link=link)
    return page, form.status


def _accept(token: str) -> ResponseReturnValue:
    link = entering.link_for(token, current_user)
    form = AcceptForm(token=token)
    if form.submit(lambda: entering.accept(token, current_user, request_context())):
        return _to_second_factor()
    return render_template("operators/accept.html", form=form, link=link), form.status


def _to_second_factor() -> ResponseReturnValue:
    return see_other(
        "factors.security",
        "You are an operator. The console opens once you have a second factor: add one here.",
    )


def _secret_page(operator: Operator, credential: str | None) -> ResponseReturnValue:
    return render_operator_page(
        "operators/secret.html",
        operator,
        credential=credential,
        public_url=settings.current().public_url,
    )


def _redirect_to_first_result(
    record: IdempotencyRecord, error: PortalError | CSRFError
) -> ResponseReturnValue:
    """Answer a form that was sent twice by what it did the first time."""
    if record.kind == entering.ENTERED:
        return redirect(url_for("factors.security"), 303)
    if record.kind == keys.MADE:
        flash(
            "The key was made, and its secret shown, when you first sent the form. If you did not "
            "see it, revoke the key and make another.",
            "attention",
        )
        return redirect(url_for(".show_keys"), 303)
    if record.kind == keys.REVOKED:
        return redirect(url_for(".show_keys"), 303)
    return redirect(url_for(".show_all"), 303)


replay.install(blueprint, _redirect_to_first_result)
