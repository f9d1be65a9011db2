"""Errors of members, ownership and invitations, and their words."""

from dataclasses import dataclass

from flask import url_for

from portal.errors import Action, Conflict, Invalid
from portal.mail.errors import InvalidLink
from portal.organizations.access.errors import LeadsBack


class InvitationEnded(InvalidLink):
    """An invitation that is expired, withdrawn, accepted, superseded by a newer mail, or whose
    inviter may no longer invite."""

    code = "invitation_ended"
    title = "This invitation no longer works"
    message = (
        "It works once, for 7 days, and only as long as whoever invited you may invite; a "
        "newer mail ends the link before. Ask to be invited again."
    )


@dataclass
class InvitationForAnotherAddress(Conflict):
    """An invitation to another address than the account's; ``token`` is that of its link, if one
    was followed, and ``has_account`` tells whether the invited address has an account."""

    token: str | None = None
    has_account: bool = False

    code = "invitation_for_another"
    title = "This invitation is for somebody else"
    message = (
        "It is for the address that the mail was sent to, and you are logged in with another. "
        "Log out, and you come back to it. A link that somebody forwarded to you is not for "
        "you: ask to be invited at your own address."
    )

    @property
    def actions(self) -> tuple[Action, ...]:
        back = self.token and url_for("invitations.follow", token=self.token)
        if self.has_account:
            back = url_for("authentication.log_in", next=back)
        return (Action("Log out", "authentication.log_out", {"next": back}, method="post"),)


@dataclass
class InvitationSuspended(Conflict):
    """An invitation to an organization that is in the trash."""

    name: str

    code = "invitation_asleep"
    title = "Not now"
    message = (
        "{name} is in the trash. If an owner restores it before your invitation expires, the "
        "link works again."
    )


@dataclass
class InvitationClosed(Conflict):
    """An invitation that was accepted or withdrawn: it can't be sent or withdrawn."""

    email: str

    code = "invitation_closed"
    title = "This invitation has ended"
    message = "The invitation of {email} was accepted or withdrawn before. Nothing was changed."


@dataclass
class AlreadyInvited(Conflict):
    """The address has an open invitation to the organization."""

    email: str

    code = "already_invited"
    field = "email"
    message = "{email} has an invitation: send that again, or withdraw it first"


@dataclass
class AlreadyMember(Conflict):
    """The invited address is a member's."""

    email: str

    code = "already_member"
    field = "email"
    message = "{email} is a member: change the role instead"


class AlreadyJoined(LeadsBack, Conflict):
    """The account that accepts an invitation is a member already; its role stays."""

    code = "already_member"
    title = "You are a member already"
    message = "You belong to {name}. Your role there was not changed."


@dataclass
class AccountExists(Conflict):
    """The invited address already has an account."""

    email: str

    code = "account_exists"
    field = "email"
    message = "{email} already has an account: follow the link again"


class InvalidRole(Invalid):
    """A role that can't be assigned; ownership is offered and accepted."""

    code = "invalid_role"
    field = "role"
    message = "Choose viewer or admin: ownership is offered, and accepted"


class LastOwner(LeadsBack, Conflict):
    """The change would leave the organization without an owner who can log in."""

    code = "last_owner"
    title = "An organization needs an owner"
    message = (
        "{name} has no other owner who can log in. Offer ownership to a member first; once it is "
        "accepted, send this again. Nothing was changed."
    )


@dataclass
class AlreadyOwner(Conflict):
    """The recipient of an offer of ownership is an owner."""

    email: str

    code = "already_owner"
    title = "There is nothing to offer"
    message = "{email} is an owner already. Nothing was changed."


@dataclass
class BlockedOwner(Conflict):
    """The account that was to become an owner is blocked."""

    email: str

    code = "blocked_owner"
    field = "email"
    message = "{email} is blocked, so nobody could act by it: unblock the account first"


@dataclass
class AlreadyOffered(Conflict):
    """The member has an open offer of ownership."""

    email: str

    code = "already_offered"
    title = "There is an offer already"
    message = (
        "{email} was offered ownership and has not answered. Withdraw that offer to make "
        "another. Nothing was changed."
    )


class OfferEnded(LeadsBack, Conflict):
    """The offer of ownership was withdrawn or answered, or its giver is no longer an owner."""

    code = "offer_ended"
    title = "This offer has ended"
    message = (
        "It was withdrawn or answered, or who made it is no longer an owner of {name}. "
        "Nothing was changed."
    )
