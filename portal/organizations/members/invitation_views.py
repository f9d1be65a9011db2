"""Pages of invitations, for members who invite and for recipients."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal.documents.accounts import Account
from portal.documents.memberships import Role
from portal.identity.authentication import cookies
from portal.identity.sessions.reauthentication import (
    recently_authenticated,
    require_reauthentication,
)
from portal.organizations.access import replay
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access, parse_object_id
from portal.organizations.members import accepting, inviting, listing
from portal.organizations.members.accepting import Joined
from portal.organizations.members.forms import InviteForm, JoinForm
from portal.organizations.members.views import members_page, to_members
from portal.web.forms import IdempotentForm
from portal.web.query import sort_key_argument
from portal.web.requests import request_context, user_agent

blueprint = Blueprint("invitations", __name__)
replay.install(blueprint, "members.show")


@blueprint.get("/organizations/<slug>/invitations")
@with_access("invitations.manage")
def list_all(access: Access) -> ResponseReturnValue:
    before, after = (
        sort_key_argument(name, listing.INVITATION_KEY) for name in ("before", "after")
    )
    page = listing.invitations_of(access.organization.id, before=before, after=after)
    if not page.rows and (before or after):  # the page has become empty
        return redirect(url_for(".list_all", slug=access.organization.slug), 303)
    return render_page("members/invitations.html", access, page=page, acting=IdempotentForm())


@blueprint.post("/organizations/<slug>/invitations")
@with_access("invitations.manage")
def invite(access: Access) -> ResponseReturnValue:
    form = InviteForm()
    if form.role.data == Role.ADMIN and not recently_authenticated(current_user):
        return require_reauthentication(url_for("members.show", slug=access.organization.slug))
    sent = form.submit(
        lambda: inviting.invite(access, form.email.data, form.role.data, request_context())
    )
    if sent:
        flash(f"An invitation is on its way to {sent.email}.", "ok")
        return to_members(access)
    return members_page(access, form, listing.members_of(access.organization.id))


@blueprint.post("/organizations/<slug>/invitations/<invitation_id>/resend")
@with_access("invitations.manage")
def resend(access: Access, invitation_id: str) -> ResponseReturnValue:
    invitation = listing.invitation_of(access.organization.id, parse_object_id(invitation_id))
    if invitation.role == Role.ADMIN and not recently_authenticated(current_user):
        return require_reauthentication(url_for("members.show", slug=access.organization.slug))
    sent = IdempotentForm().submit(
        lambda: inviting.resend_invitation(access, invitation.id, request_context())
    )
    if sent:
        flash(f"A new link is on its way to {sent.email}. The one before is dead.", "ok")
    return to_members(access)


@blueprint.post("/organizations/<slug>/invitations/<invitation_id>/withdraw")
@with_access("invitations.manage")
def withdraw(access: Access, invitation_id: str) -> ResponseReturnValue:
    withdrawn = IdempotentForm().submit(
        lambda: inviting.withdraw_invitation(
            access, parse_object_id(invitation_id), request_context()
        )
    )
    if withdrawn:
        flash(f"The invitation of {withdrawn.email} is withdrawn. Its link is dead.", "ok")
    return to_members(access)


@blueprint.route("/invitations/<token>", methods=["GET", "POST"])
def follow(token: str) -> ResponseReturnValue:
    account_id = current_user.account_id if current_user.is_authenticated else None
    form = JoinForm()
    joined = form.submit(
        lambda: accepting.accept_link(
            token, account_id, form.password.data, request_context(), user_agent()
        )
    )
    if joined:
        return _welcome(joined)
    invited = accepting.read_link(token, account_id)
    form.email.data = invited.to
    return render_template("members/invitation.html", invited=invited, form=form), form.status


@blueprint.get("/account/invitations")
@login_required
def mine() -> ResponseReturnValue:
    account = Account.objects.get(id=current_user.account_id)
    rows = listing.invitations_for(account)
    return render_template("members/mine.html", account=account, rows=rows, acting=IdempotentForm())


@blueprint.post("/account/invitations/<invitation_id>")
@login_required
def accept_mine(invitation_id: str) -> ResponseReturnValue:
    joined = IdempotentForm().submit(
        lambda: accepting.accept_own(
            parse_object_id(invitation_id), current_user.account_id, request_context()
        )
    )
    return _welcome(joined) if joined else redirect(url_for(".mine"), 303)


def _welcome(joined: Joined) -> ResponseReturnValue:
    if joined.principal:
        cookies.enter(joined.principal)
    flash(f"You belong to {joined.organization.name} now, as {joined.role}.", "ok")
    return redirect(url_for("organizations.overview", slug=joined.organization.slug), 303)
