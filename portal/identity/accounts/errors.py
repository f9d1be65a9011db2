"""Errors of accounts, and their words."""

from dataclasses import dataclass

from portal.errors import Conflict, Invalid, Refused

UNNAMED = "an organization that is suspended"
"""The words for a hidden organization: its members aren't told its name."""

_MAX_LISTED = 5


@dataclass
class EmailTaken(Conflict):
    email: str

    code = "email_taken"
    field = "email"
    message = "{email} has an account: log in, and create the organization there"


@dataclass
class SignUpClosed(Refused):
    """The portal's settings allow no new account, or only ``by_invitation``."""

    by_invitation: bool

    code = "sign_up_closed"
    title = "Sign-up is closed"
    message = "{advice} Nothing was created."
    api_message = (
        "Sign-up is closed by the portal's settings. With a bearer token, or a provisioning key "
        "where invitations are allowed, an organization can be created."
    )

    @property
    def advice(self) -> str:
        """Advice for a person without an account."""
        if self.by_invitation:
            return (
                "New accounts are by invitation only: ask a member of your organization to invite "
                "you, and follow the link in the mail."
            )
        return "This portal takes no new accounts: ask whoever runs it."


@dataclass
class AddressUnchanged(Invalid):
    email: str

    code = "address_unchanged"
    field = "email"
    message = "{email} is your address already"


@dataclass
class AddressTaken(Conflict):
    """The new address was taken by another account before its confirmation."""

    email: str

    code = "address_taken"
    title = "This address is taken"
    message = (
        "Another account already has {email}. Your address stays as it is. Nothing was changed."
    )


@dataclass
class AddressNotConfirmed(Invalid):
    email: str

    code = "address_not_confirmed"
    field = "confirm_email"
    message = "Type {email} to confirm"


class AlreadyBlocked(Conflict):
    code = "already_blocked"
    title = "It is blocked already"
    message = "This account is blocked, or closed. Nothing was changed."


class AccountNotBlocked(Conflict):
    code = "not_blocked"
    title = "It isn’t blocked"
    message = "This account isn’t blocked. Nothing was changed."


class AddressVerified(Conflict):
    code = "address_verified"
    title = "There is nothing to verify"
    message = "Your address is verified already. Nothing was changed."


@dataclass
class InvalidPersonName(Invalid):
    """A person's name that breaks a rule; ``reason`` says what to do."""

    reason: str

    code = "invalid_person_name"
    field = "name"
    message = "{reason}"


@dataclass
class SoleOwner(Conflict):
    """Nobody else who can log in owns these organizations, by name; hidden ones are UNNAMED."""

    organizations: list[str]

    code = "last_owner"
    title = "Somebody must own it"
    message = (
        "You are the last owner of {listed}. {advice}, then close your account. "
        "Nothing was changed."
    )

    @property
    def advice(self) -> str:
        """The way to be rid of them, which nobody but operators has for a hidden one."""
        if self.organizations == [UNNAMED]:
            return "Ask whoever runs this portal to make somebody else its owner"
        own = "Make somebody else an owner, or purge what nobody needs"
        if UNNAMED in self.organizations:
            return f"{own}, and ask whoever runs this portal about the one that is suspended"
        return own

    @property
    def listed(self) -> str:
        """“A, B and 7 others”."""
        names, left = self.organizations, len(self.organizations) - _MAX_LISTED
        if left > 1:
            return f"{', '.join(names[:_MAX_LISTED])} and {left} others"
        return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
