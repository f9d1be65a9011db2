"""Pages of members, of ownership, and of invitations, for those who invite and for recipients."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal.bidi import isolated
from portal.documents.accounts import Account
from portal.documents.memberships import Role
from portal.identity.authentication import cookies
from portal.identity.authentication.own_account import with_account
from portal.identity.sessions.reauthentication import (
    reauthenticated,
    recently_authenticated,
    require_reauthentication,
)
from portal.organizations.access import replay
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access, parse_object_id
from portal.organizations.api_keys import managing as api_keys_managing
from portal.organizations.credentials import managing as credentials_managing
from portal.organizations.members import accepting, inviting, listing, managing, ownership
from portal.organizations.members.forms import AnswerForm, InviteForm, JoinForm, OfferForm, RoleForm
from portal.organizations.members.listing import ListedMember
from portal.web.forms import IdempotentForm
from portal.web.requests import request_context, sort_key_argument, user_agent

blueprint = Blueprint("members", __name__)
invitations = Blueprint("invitations", __name__)
replay.install(blueprint, "members.show")
replay.install(invitations, "members.show")


@blueprint.get("/organizations/<slug>/members")
@with_access("members.view")
def show(access: Access) -> ResponseReturnValue:
    before, after = (sort_key_argument(name, listing.MEMBER_KEY) for name in ("before", "after"))
    page, invitations = _read(access, before, after)
    if not page.rows and (before or after):  # the page has become empty
        return redirect(url_for(".show", slug=access.organization.slug), 303)
    return _members_page(access, InviteForm(), page, invitations)


@blueprint.route("/organizations/<slug>/members/<account_id>/role", methods=["GET", "POST"])
@with_access("members.manage")
def role(access: Access, account_id: str) -> ResponseReturnValue:
    member = _managed(access, account_id)
    form = RoleForm()
    if not form.is_submitted():
        form.role.data = member.role
    elif form.role.data == Role.ADMIN and not recently_authenticated(current_user):
        return require_reauthentication(request.path)
    changed = form.submit(
        lambda: managing.change_role(access, member.account_id, form.role.data, request_context())
    )
    if changed:
        role_given = "an admin" if changed.role == Role.ADMIN else f"a {changed.role}"
        flash(f"{isolated(changed.email)} is {role_given} now.", "ok")
        return _to_members(access)
    shown = {"member": member, "withdrawing": IdempotentForm(), **_left_by(access, member)}
    return render_page("members/role.html", access, form, **shown)


@blueprint.route("/organizations/<slug>/members/<account_id>/remove", methods=["GET", "POST"])
@with_access("members.manage")
def remove(access: Access, account_id: str) -> ResponseReturnValue:
    member = _managed(access, account_id)
    form = IdempotentForm()
    removed = form.submit(
        lambda: managing.remove_member(access, member.account_id, request_context())
    )
    if removed:
        flash(
            f"{isolated(removed.email)} no longer belongs to {isolated(access.organization.name)}.",
            "ok",
        )
        return _to_members(access)
    return render_page(
        "members/remove.html", access, form, member=member, **_left_by(access, member)
    )


def _left_by(access: Access, member: ListedMember) -> dict[str, object]:
    """The API keys and credentials that the member made: they work on, and their secrets may be
    known."""
    return {
        "keys": api_keys_managing.keys_by(access.organization, member.account_id),
        "credentials": credentials_managing.names_by(access.organization, member.account_id),
    }


@blueprint.route("/organizations/<slug>/leave", methods=["GET", "POST"])
@with_access("organization.leave")
def leave(access: Access) -> ResponseReturnValue:
    form = IdempotentForm()
    left = form.submit(lambda: managing.leave(access, current_user.account_id, request_context()))
    if left:
        flash(f"You left {isolated(access.organization.name)}.", "ok")
        return redirect(url_for("organizations.list_mine"), 303)
    return render_page("members/leave.html", access, form)


@blueprint.route("/organizations/<slug>/members/<account_id>/ownership", methods=["GET", "POST"])
@with_access("owners.manage")
@reauthenticated
def offer(access: Access, account_id: str) -> ResponseReturnValue:
    member = _managed(access, account_id)
    form = OfferForm()
    offered = form.submit(
        lambda: ownership.offer_ownership(
            access, member.account_id, form.role.data == Role.OWNER, request_context()
        )
    )
    if offered:
        flash(
            f"{isolated(offered.email)} was offered ownership. Nothing changes until they accept.",
            "ok",
        )
        return _to_members(access)
    return render_page("members/offer.html", access, form, member=member)


@blueprint.post("/organizations/<slug>/members/<account_id>/ownership/withdraw")
@with_access("owners.manage")
def withdraw_offer(access: Access, account_id: str) -> ResponseReturnValue:
    form = IdempotentForm()
    withdrawn = form.submit(
        lambda: ownership.withdraw_offer(access, parse_object_id(account_id), request_context())
    )
    if withdrawn:
        flash(f"The offer to {isolated(withdrawn.email)} is withdrawn.", "ok")
    return _to_members(access)


@blueprint.route("/organizations/<slug>/ownership", methods=["GET", "POST"])
@with_access("members.view")
def answer(access: Access) -> ResponseReturnValue:
    offered, giver = ownership.offer_to(access, current_user.account_id)
    form = AnswerForm()
    if not form.is_submitted():
        form.offer.data = str(offered.id)
    accepted = form.submit(
        lambda: ownership.accept_ownership(
            access, current_user.account_id, form.offer.data, request_context()
        )
    )
    if accepted:
        flash(f"You are an owner of {isolated(accepted.name)}.", "ok")
        return _to_members(access)
    stays = offered.giver_stays
    return render_page("members/answer.html", access, form, giver=giver, giver_stays=stays)


@blueprint.post("/organizations/<slug>/ownership/decline")
@with_access("members.view")
def decline(access: Access) -> ResponseReturnValue:
    form = AnswerForm()
    declined = form.submit(
        lambda: ownership.decline_ownership(
            access, current_user.account_id, form.offer.data, request_context()
        )
    )
    if declined:
        flash("You declined. Your role has not changed.", "ok")
    return _to_members(access)


@invitations.get("/organizations/<slug>/invitations")
@with_access("invitations.manage")
def list_all(access: Access) -> ResponseReturnValue:
    before, after = (
        sort_key_argument(name, listing.INVITATION_KEY) for name in ("before", "after")
    )
    page = listing.invitations_of(access.organization.id, before=before, after=after)
    if not page.rows and (before or after):  # the page has become empty
        return redirect(url_for(".list_all", slug=access.organization.slug), 303)
    return render_page("members/invitations.html", access, page=page, acting=IdempotentForm())


@invitations.post("/organizations/<slug>/invitations")
@with_access("invitations.manage")
def invite(access: Access) -> ResponseReturnValue:
    form = InviteForm()
    if form.role.data == Role.ADMIN and not recently_authenticated(current_user):
        return require_reauthentication(url_for("members.show", slug=access.organization.slug))
    sent = form.submit(
        lambda: inviting.invite(access, form.email.data, form.role.data, request_context())
    )
    if sent:
        flash(f"An invitation is on its way to {isolated(sent.email)}.", "ok")
        return _to_members(access)
    return _members_page(access, form, *_read(access))


@invitations.post("/organizations/<slug>/invitations/<invitation_id>/resend")
@with_access("invitations.manage")
def resend(access: Access, invitation_id: str) -> ResponseReturnValue:
    invitation = listing.invitation_of(access.organization.id, parse_object_id(invitation_id))
    if invitation.role == Role.ADMIN and not recently_authenticated(current_user):
        return require_reauthentication(url_for("members.show", slug=access.organization.slug))
    sent = IdempotentForm().submit(
        lambda: inviting.resend_invitation(access, invitation.id, request_context())
    )
    if sent:
        flash(f"A new link is on its way to {isolated(sent.email)}. The one before is dead.", "ok")
    return _to_members(access)


@invitations.post("/organizations/<slug>/invitations/<invitation_id>/withdraw")
@with_access("invitations.manage")
def withdraw(access: Access, invitation_id: str) -> ResponseReturnValue:
    withdrawn = IdempotentForm().submit(
        lambda: inviting.withdraw_invitation(
            access, parse_object_id(invitation_id), request_context()
        )
    )
    if withdrawn:
        flash(
            f"The invitation of {isolated(withdrawn.email)} is withdrawn. Its link is dead.", "ok"
        )
    return _to_members(access)


@invitations.route("/invitations/<token>", methods=["GET", "POST"])
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


@invitations.get("/account/invitations")
@with_account
def mine(account: Account) -> ResponseReturnValue:
    rows = listing.invitations_for(account)
    return render_template("members/mine.html", account=account, rows=rows, acting=IdempotentForm())


@invitations.post("/account/invitations/<invitation_id>")
@login_required
def accept_mine(invitation_id: str) -> ResponseReturnValue:
    joined = IdempotentForm().submit(
        lambda: accepting.accept_own(
            parse_object_id(invitation_id), current_user.account_id, request_context()
        )
    )
    return _welcome(joined) if joined else redirect(url_for(".mine"), 303)


def _read(
    access: Access, before: str | None = None, after: str | None = None
) -> tuple[listing.Page, listing.Page | None]:
    """A page of members, and the invitations for whoever may see them."""
    organization_id = access.organization.id
    if access.can("invitations.manage"):
        return listing.members_and_invitations_of(organization_id, before=before, after=after)
    return listing.members_of(organization_id, before=before, after=after), None


def _members_page(
    access: Access, form: InviteForm, page: listing.Page, invitations: listing.Page | None
) -> ResponseReturnValue:
    organization_id = access.organization.id
    total, owners = listing.counts_of(organization_id, page)
    return render_page(
        "members/members.html",
        access,
        form,
        page=page,
        total=total,
        owners=owners,
        acting=IdempotentForm(),
        invitations=invitations,
        offered=bool(access.role)
        and listing.member_of(organization_id, current_user.account_id, page.rows).offered,
    )


def _to_members(access: Access) -> ResponseReturnValue:
    return redirect(url_for("members.show", slug=access.organization.slug), 303)


def _managed(access: Access, account_id: str) -> listing.ListedMember:
    member = listing.member_of(access.organization.id, parse_object_id(account_id))
    access.require(managing.permission_over(member.role))
    return member


def _welcome(joined: accepting.Joined) -> ResponseReturnValue:
    if joined.principal:
        cookies.enter(joined.principal)
    flash(f"You belong to {isolated(joined.organization.name)} now, as {joined.role}.", "ok")
    return redirect(url_for("organizations.overview", slug=joined.organization.slug), 303)
