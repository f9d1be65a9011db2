"""Errors of the operators' console, and their words."""

from dataclasses import dataclass

from portal.display_names import InvalidName
from portal.documents.api_keys import OPERATOR_KEY_ROLES
from portal.errors import Action, Conflict, Gone, Invalid, NotFound, Refused
from portal.web.error_messages import API_MESSAGES, ERROR_MESSAGES


class NoOperator(NotFound):
    """The principal is no operator: the answer is that of an address where nothing is."""

    message = ERROR_MESSAGES[404][2]
    api_message = API_MESSAGES[404]


class OperatorSecondFactorRequired(Refused):
    """The operator's account has no second factor."""

    code = "operator_second_factor_required"
    title = "The console needs a second factor"
    message = (
        "Whoever looks after all organizations logs in with more than a password: set up an "
        "authenticator app or a passkey, then come back."
    )
    actions = (Action("Set up a second factor", "factors.security"),)


@dataclass
class OperatorForbidden(Refused):
    """The operator's ``role`` lacks the ``permission``."""

    permission: str
    role: str

    code = "operator_forbidden"
    title = "Your role in the console doesn’t allow this"
    message = (
        "You are here as {role}, which lacks {permission}. An operator-admin can give you another "
        "role. Nothing was changed."
    )


class RecentLogInRequired(Refused):
    """A token of an operator who logged in a while ago, where operators and keys are changed."""

    code = "recent_log_in_required"
    title = "Log in again"
    message = (
        "Whoever changes operators or their keys logged in within the last 15 minutes, so that a "
        "token that was found names nobody: get another by POST /admin/login. Nothing was changed."
    )


class OperatorNotFound(NotFound):
    """No operator has this id."""

    message = "There is no such operator. The role may have been taken away since."


@dataclass
class NoSuchAccount(Invalid):
    """Nobody has an account with the address."""

    email: str

    code = "no_such_account"
    field = "email"
    message = (
        "Nobody has an account with the address {email}. Have them sign up first, or run "
        "flask operators create {email} on the portal’s machine: it prints a link for them"
    )


@dataclass
class OperatorUnverified(Invalid):
    """The account's address isn't verified, so anybody may have typed it."""

    email: str

    code = "operator_unverified"
    field = "email"
    message = (
        "{email} is not verified, so anybody may have typed it. Have its owner follow the link "
        "that was mailed there, then add them"
    )


class LastOperatorAdmin(Conflict):
    """The change would leave nobody who can name operators."""

    code = "last_operator_admin"
    title = "Somebody must be operator-admin"
    message = (
        "This is the last operator-admin who can get in. Make somebody else operator-admin first. "
        "Nothing was changed."
    )


class OperatorLinkInvalid(Gone):
    """The one-time link was used, has expired, or an operator exists already."""

    code = "operator_link_invalid"
    title = "This link no longer works"
    message = (
        "It works once, for a short time; that of the first start while nobody is an operator. "
        "Whoever runs the portal’s machine gets another by flask operators create ADDRESS."
    )


@dataclass
class AddressHasAccount(Conflict):
    """An account has the address already: its owner accepts the link."""

    email: str

    code = "address_has_account"
    field = "email"
    message = "{email} has an account: log in with it, then follow the link again"


@dataclass
class LinkForAnotherAddress(Conflict):
    """The link is for another address than that of the account which is logged in."""

    email: str

    code = "link_for_another"
    title = "This link is for somebody else"
    message = (
        "It makes {email} an operator, and you are logged in with another address. Log out, then "
        "follow it again. Nothing was changed."
    )


class InvalidOperatorKeyName(InvalidName):
    """A name of an operators' key that breaks a rule."""

    code = "invalid_name"
    field = "name"
    message = "{reason}"


class InvalidOperatorKeyRole(Invalid):
    """A role that no key may have."""

    code = "invalid_role"
    field = "role"
    message = f"Choose one of these roles: {', '.join(OPERATOR_KEY_ROLES)}"


class InvalidLastDay(Invalid):
    """A last day that is over, or too far away."""

    code = "invalid_expiry"
    field = "expires_on"
    message = "Choose a last day that is not over, and at most a year away"


class OperatorKeyNotFound(NotFound):
    """No operators' key has this id."""

    message = "There is no such key. It may have been revoked."


@dataclass
class TooManyOperatorKeys(Conflict):
    """There are as many keys as may be."""

    most: int

    code = "too_many_keys"
    title = "There are too many keys"
    message = (
        "There are {most} operators’ keys, and no more are possible. Revoke one that nobody uses. "
        "Nothing was changed."
    )
