"""Members and invitations for programs."""

from typing import Any

from bson import ObjectId

from portal.api import member_schemas, replay, schemas
from portal.api.guard import OF_ACCESS, ApiBlueprint, access_by_name, canonical, logged_in
from portal.api.replay import OF_CHANGES, Answer, first_target, takes_key
from portal.documents.organizations import Organization
from portal.email_addresses import InvalidEmail
from portal.identity.sessions.errors import AddressNotVerified
from portal.organizations.access.errors import OrganizationRenamed
from portal.organizations.access.lookup import Access, parse_object_id
from portal.organizations.members import inviting, listing, managing
from portal.organizations.members.errors import (
    AlreadyInvited,
    AlreadyMember,
    InvitationClosed,
    LastOwner,
)
from portal.web.errors import TooManyAttempts
from portal.web.requests import request_context

org_members = ApiBlueprint(
    "org_members", __name__, url_prefix="/org", description="Members and invitations"
)

_MAX_LISTED = 10_000
_OF_SENDING = (*OF_CHANGES, OrganizationRenamed, AddressNotVerified, AlreadyMember, TooManyAttempts)


@org_members.get("/<name:name>/members", refusals=OF_ACCESS)
@logged_in
@org_members.response(200, member_schemas.MembersAnswer)
def list_members(name: str) -> Answer:
    """List the members of an organization

    By address; 10,000 at most.
    """
    access = access_by_name(name, "members.view")
    page = listing.members_of(access.organization.id, size=_MAX_LISTED)
    return {"members": page.rows}, 200, canonical(access, access.organization, "/members")


@org_members.put(
    "/<name:name>/members/<account_id>", refusals=(*OF_CHANGES, LastOwner, TooManyAttempts)
)
@takes_key
@logged_in
@org_members.arguments(member_schemas.RoleBody)
@org_members.response(200, member_schemas.MemberAnswer)
def change_role(body: dict[str, str], name: str, account_id: str) -> Answer:
    """Change the role of a member

    To viewer or admin: nobody is made an owner, ownership is offered and accepted. Of owners only
    owners can, and one always remains. A key makes an admin a viewer, and never a viewer an admin:
    the answer is 403 `forbidden` then.
    """
    access = access_by_name(name, "members.manage")
    member = managing.change_role(
        access, parse_object_id(account_id), body["role"], request_context()
    )
    return {"member": member}, 200, canonical(access, access.organization, f"/members/{account_id}")


@org_members.delete(
    "/<name:name>/members/<account_id>", refusals=(*OF_CHANGES, OrganizationRenamed, LastOwner)
)
@takes_key
@logged_in
@org_members.response(200, schemas.Success)
def remove_member(name: str, account_id: str) -> dict[str, Any]:
    """Remove a member, or leave

    Everybody may remove themselves; of owners one always remains.
    """
    own = account_id == str(request_context().account)
    access = _current(access_by_name(name, "organization.leave" if own else "members.manage"))
    if own:
        managing.leave(access, parse_object_id(account_id), request_context())
    else:
        managing.remove_member(access, parse_object_id(account_id), request_context())
    return {}


@org_members.get("/<name:name>/invitations", refusals=OF_ACCESS)
@logged_in
@org_members.response(200, member_schemas.InvitationsAnswer)
def list_invitations(name: str) -> Answer:
    """List the invitations to an organization

    Those that nobody has answered first, then the newest; 10,000 at most.
    """
    access = access_by_name(name, "invitations.manage")
    page = listing.invitations_of(access.organization.id, size=_MAX_LISTED)
    return {"invitations": page.rows}, 200, canonical(access, access.organization, "/invitations")


@org_members.post("/<name:name>/invitations", refusals=(*_OF_SENDING, InvalidEmail, AlreadyInvited))
@takes_key
@logged_in
@org_members.arguments(member_schemas.InviteBody)
@org_members.response(201, member_schemas.InvitationAnswer)
def create_invitation(body: dict[str, str], name: str) -> dict[str, Any]:
    """Invite an address

    It is sent a link that works once, for 7 days. As long as your own address is not verified the
    answer is 403 `address_not_verified`.
    """
    access = _current(access_by_name(name, "invitations.manage"))
    sent = inviting.invite(access, body["email"], body["role"], request_context())
    return _as_answer(access, sent.id)


@org_members.post(
    "/<name:name>/invitations/<invitation_id>/resend", refusals=(*_OF_SENDING, InvitationClosed)
)
@takes_key
@logged_in
@org_members.arguments(member_schemas.ResendBody, required=False)
@org_members.response(200, member_schemas.InvitationAnswer)
def resend_invitation(body: dict[str, str], name: str, invitation_id: str) -> dict[str, Any]:
    """Send an invitation again

    By a new link, good for 7 days; the one before is dead. In another role if the body has one. As
    long as your own address is not verified the answer is 403 `address_not_verified`.
    """
    access = _current(access_by_name(name, "invitations.manage"))
    inviting.resend_invitation(
        access, parse_object_id(invitation_id), request_context(), body.get("role")
    )
    return _as_answer(access, parse_object_id(invitation_id))


@org_members.delete(
    "/<name:name>/invitations/<invitation_id>",
    refusals=(*OF_CHANGES, OrganizationRenamed, InvitationClosed),
)
@takes_key
@logged_in
@org_members.response(200, member_schemas.InvitationAnswer)
def withdraw_invitation(name: str, invitation_id: str) -> dict[str, Any]:
    """Withdraw an invitation

    Its link is dead. It stays listed.
    """
    access = _current(access_by_name(name, "invitations.manage"))
    inviting.withdraw_invitation(access, parse_object_id(invitation_id), request_context())
    return _as_answer(access, parse_object_id(invitation_id))


def _current(access: Access) -> Access:
    """``access`` by the current slug, which creating and deleting require. Raises
    OrganizationRenamed."""
    if access.by_old_slug:
        raise OrganizationRenamed(access.organization.name, access.organization.slug)
    return access


def _as_answer(access: Access, invitation_id: ObjectId) -> dict[str, Any]:
    return {"invitation": listing.invitation_of(access.organization.id, invitation_id)}


def _replay_role(organization: Organization) -> Answer:
    access_by_name(organization.slug, "members.view")
    return {"member": listing.member_of(organization.id, first_target())}, 200, {}


def _replay_invitation(organization: Organization) -> Answer:
    access = access_by_name(organization.slug, "invitations.manage")
    return _as_answer(access, first_target()), 200, {}


def _replay_invite(organization: Organization) -> Answer:
    answer, _, headers = _replay_invitation(organization)
    return answer, 201, headers


replay.install(
    org_members,
    {
        managing.CHANGE_ROLE: (member_schemas.MemberAnswer, _replay_role),
        managing.REMOVE: (schemas.Success, replay.success),
        inviting.SEND: (member_schemas.InvitationAnswer, _replay_invite),
        inviting.RESEND: (member_schemas.InvitationAnswer, _replay_invitation),
        inviting.WITHDRAW: (member_schemas.InvitationAnswer, _replay_invitation),
    },
)
