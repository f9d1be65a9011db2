"""Pages of members and of ownership."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.documents.memberships import Role
from portal.identity.sessions.reauthentication import (
    reauthenticated,
    recently_authenticated,
    require_reauthentication,
)
from portal.organizations.access import replay
from portal.organizations.access.guards import with_access
from portal.organizations.access.lookup import Access, parse_object_id
from portal.organizations.api_keys import managing as api_keys_managing
from portal.organizations.members import listing, managing, ownership
from portal.organizations.members.forms import AnswerForm, InviteForm, OfferForm, RoleForm
from portal.web.forms import IdempotentForm
from portal.web.requests import request_context, sort_key_argument

blueprint = Blueprint("members", __name__)
replay.install(blueprint, "members.show")


@blueprint.get("/organizations/<slug>/members")
@with_access("members.view")
def show(access: Access) -> ResponseReturnValue:
    before, after = (sort_key_argument(name, listing.MEMBER_KEY) for name in ("before", "after"))
    page = listing.members_of(access.organization.id, before=before, after=after)
    if not page.rows and (before or after):  # the page has become empty
        return redirect(url_for(".show", slug=access.organization.slug), 303)
    return members_page(access, InviteForm(), page)


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
        flash(f"{changed.email} is {_with_article(changed.role)} now.", "ok")
        return to_members(access)
    keys = api_keys_managing.keys_by(access.organization, member.account_id)
    return _page("role", access, form, member=member, withdrawing=IdempotentForm(), keys=keys)


@blueprint.route("/organizations/<slug>/members/<account_id>/remove", methods=["GET", "POST"])
@with_access("members.manage")
def remove(access: Access, account_id: str) -> ResponseReturnValue:
    member = _managed(access, account_id)
    form = IdempotentForm()
    removed = form.submit(
        lambda: managing.remove_member(access, member.account_id, request_context())
    )
    if removed:
        flash(f"{removed.email} no longer belongs to {access.organization.name}.", "ok")
        return to_members(access)
    keys = api_keys_managing.keys_by(access.organization, member.account_id)
    return _page("remove", access, form, member=member, keys=keys)


@blueprint.route("/organizations/<slug>/leave", methods=["GET", "POST"])
@with_access("organization.leave")
def leave(access: Access) -> ResponseReturnValue:
    form = IdempotentForm()
    left = form.submit(lambda: managing.leave(access, current_user.account_id, request_context()))
    if left:
        flash(f"You left {access.organization.name}.", "ok")
        return redirect(url_for("organizations.list_mine"), 303)
    return _page("leave", access, form)


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
        flash(f"{offered.email} was offered ownership. Nothing changes until they accept.", "ok")
        return to_members(access)
    return _page("offer", access, form, member=member)


@blueprint.post("/organizations/<slug>/members/<account_id>/ownership/withdraw")
@with_access("owners.manage")
def withdraw_offer(access: Access, account_id: str) -> ResponseReturnValue:
    form = IdempotentForm()
    withdrawn = form.submit(
        lambda: ownership.withdraw_offer(access, parse_object_id(account_id), request_context())
    )
    if withdrawn:
        flash(f"The offer to {withdrawn.email} is withdrawn.", "ok")
    return to_members(access)


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
        flash(f"You are an owner of {accepted.name}.", "ok")
        return to_members(access)
    return _page("answer", access, form, giver=giver, giver_stays=offered.giver_stays)


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
    return to_members(access)


def members_page(access: Access, form: InviteForm, page: listing.Page) -> ResponseReturnValue:
    """The page of members, with the submitted form to invite one."""
    total, owners = listing.counts_of(access.organization.id)
    invitations = None
    if access.can("invitations.manage"):
        invitations = listing.invitations_of(access.organization.id)
    return (
        render_template(
            "members/members.html",
            access=access,
            organization=access.organization,
            page=page,
            total=total,
            owners=owners,
            form=form,
            acting=IdempotentForm(),
            invitations=invitations,
            offered=listing.member_of(access.organization.id, current_user.account_id).offered,
        ),
        form.status,
    )


def to_members(access: Access) -> ResponseReturnValue:
    """Redirect to the page of members."""
    return redirect(url_for("members.show", slug=access.organization.slug), 303)


def _managed(access: Access, account_id: str) -> listing.ListedMember:
    member = listing.member_of(access.organization.id, parse_object_id(account_id))
    access.require(managing.permission_over(member.role))
    return member


def _with_article(role: Role) -> str:
    return "an admin" if role == Role.ADMIN else f"a {role}"


def _page(name: str, access: Access, form: IdempotentForm, **more: object) -> ResponseReturnValue:
    page = render_template(
        f"members/{name}.html",
        access=access,
        organization=access.organization,
        form=form,
        **more,
    )
    return page, form.status
