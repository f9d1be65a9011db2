"""Errors of principals and sessions, and their words."""

from dataclasses import dataclass

from portal import settings
from portal.errors import Action, NotFound, Refused, Unauthenticated


class SessionNotFound(NotFound):
    code = "session_gone"
    title = "There is no such session"
    message = "It has ended, or was never yours. Nothing was changed."


@dataclass
class AddressNotVerified(Refused):
    """The account's address, ``email``, is not verified."""

    email: str

    code = "address_not_verified"
    title = "Your address is not verified yet"
    message = (
        "Follow the link that was mailed to {email}. The page of your account sends it again. "
        "Nothing was changed."
    )
    api_message = (
        "Follow the link that was mailed to {email}; "
        "{public_url}/account sends it again. Nothing was changed."
    )
    actions = (Action("Verify your address", "account.profile"),)

    @property
    def public_url(self) -> str:
        return settings.current().public_url


class AccountRequired(Refused):
    """An API key was used for something that takes an account."""

    code = "person_needed"
    title = "Only a person may do this"
    message = (
        "A key can’t do this: it belongs to no account. Send the token of a person, which "
        "POST /admin/login gives. Nothing was changed."
    )


class ActingBySupport(Refused):
    """An operator who acts by a support grant asked for something that takes their own account."""

    code = "acting_by_support"
    title = "You are looking at a customer’s organization"
    message = (
        "You are here by support access, which shows one organization and changes nothing. Leave "
        "it, and you are yourself again. Nothing was changed."
    )
    actions = (Action("Leave support access", "support.leave", method="post"),)


class AccountBlocked(Refused):
    """Operators block the account: nobody logs in to it."""

    code = "account_blocked"
    field = "email"
    title = "This account is blocked"
    message = (
        "Whoever runs this portal has blocked this account: ask them. Your organizations and their "
        "documents stay as they are"
    )


class NotAuthenticated(Unauthenticated):
    code = "not_authenticated"
    title = "Log in first"
    message = (
        "Send a bearer token that is valid, which POST /admin/login gives, or a key that is "
        "neither revoked nor expired."
    )
