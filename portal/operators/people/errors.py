"""Errors of operators' work on people's accounts, and their words."""

from dataclasses import dataclass

from portal.errors import Action, Conflict, Invalid, NotFound, Refused


class PersonNotFound(NotFound):
    """No account has this id, or it is closed."""

    message = "No account is here. It may have been closed since."


class OwnAccount(Refused):
    """The operator's own account."""

    code = "own_account"
    title = "This is your own account"
    message = (
        "What concerns your own account you do on its pages, with your password and second factor. "
        "Nothing was changed."
    )
    actions = (Action("Your account", "account.profile"),)


@dataclass
class OperatorsAccount(Refused):
    """The account of another operator, which only operator-admins act on."""

    role: str

    code = "operators_account"
    title = "Only an operator-admin may do this"
    message = (
        "This is the account of another operator ({role}): only operator-admins act on those. "
        "Nothing was changed."
    )


@dataclass
class PersonWithoutFactor(Conflict):
    """The account has no second factor to reset."""

    email: str

    code = "no_second_factor"
    title = "There is nothing to reset"
    message = "{email} has no second factor: the password alone logs in. Nothing was changed."


class ReasonNeeded(Invalid):
    """No reason, or a long one."""

    code = "reason_needed"
    field = "reason"
    message = "Say why, in 500 characters at most: other operators read it"
