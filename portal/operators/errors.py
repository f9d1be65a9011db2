"""Errors of the operators' console, and their words."""

from dataclasses import dataclass

from portal.errors import Action, NotFound, Refused
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
