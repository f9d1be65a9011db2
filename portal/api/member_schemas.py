"""The JSON about members and invitations that programs send and get."""

from typing import Any

import marshmallow as ma
from marshmallow import fields

from portal.api.schemas import EMAIL, EMAIL_EXAMPLE, ID, Body, Choice, Response, Success, time_field
from portal.documents.memberships import GRANTABLE_ROLES


def _given_role(**options: Any) -> "Choice":
    one_of = ma.validate.OneOf(
        GRANTABLE_ROLES, error="Choose viewer or admin: ownership is offered."
    )
    return Choice("GrantableRole", validate=one_of, **options)


class RoleBody(Body):
    role = _given_role(required=True)


class InviteBody(RoleBody):
    email = fields.String(required=True, metadata=EMAIL)


class ResendBody(Body):
    role = _given_role()


class Member(Response):
    """A member; ``id`` is that of the account."""

    id = fields.String(required=True, attribute="account_id", metadata=ID)
    email = fields.String(required=True, metadata=EMAIL_EXAMPLE)
    role = Choice("Role", required=True)
    joined_at = time_field(required=True, attribute="since")


class Invitation(Response):
    """An invitation; ``invited_by`` is the address of who sent it last, if they have an account
    still."""

    id = fields.String(required=True, metadata=ID)
    email = fields.String(required=True, metadata=EMAIL_EXAMPLE)
    role = Choice("GrantableRole", required=True)
    state = Choice("InvitationState", required=True)
    invited_by = fields.String(
        required=True, allow_none=True, attribute="inviter", metadata=EMAIL_EXAMPLE
    )
    sent_at = time_field(required=True)
    expires_at = time_field(required=True)


class MembersAnswer(Success):
    members = fields.List(fields.Nested(Member), required=True)


class MemberAnswer(Success):
    member = fields.Nested(Member, required=True)


class InvitationsAnswer(Success):
    invitations = fields.List(fields.Nested(Invitation), required=True)


class InvitationAnswer(Success):
    invitation = fields.Nested(Invitation, required=True)
