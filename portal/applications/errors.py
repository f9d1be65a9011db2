"""Errors of applications, and their words."""

from dataclasses import dataclass

from portal.errors import Conflict, Invalid, NotFound, Unavailable


@dataclass
class InvalidApplicationName(Invalid):
    """A name that an application can't have."""

    name: str

    code = "invalid_name"
    message = "{name} is no name for an application: use 1 to 40 lowercase letters, digits and -"


@dataclass
class ApplicationExists(Conflict):
    """An application of this name is there already."""

    name: str

    code = "application_exists"
    message = (
        "There is an application {name} already. flask applications rotate gives it another user."
    )


@dataclass
class ApplicationNotFound(NotFound):
    """No application has this name."""

    name: str

    code = "application_not_found"
    message = "There is no application {name}: flask applications list shows them."


@dataclass
class ApplicationEnding(Conflict):
    """The application is being removed."""

    name: str

    code = "application_ending"
    message = "{name} is being removed. Finish that first: flask applications remove {name}"


@dataclass
class RotationUnfinished(Conflict):
    """The user before the last rotation is still there."""

    name: str

    code = "rotation_unfinished"
    message = (
        "The user that {name} had before its last rotation is still there. End that first: "
        "flask applications rotate {name} --finish"
    )


@dataclass
class NoFormerUser(Conflict):
    """No rotation is to be finished."""

    name: str

    code = "no_former_user"
    message = "{name} has one user: no rotation is to be finished."


@dataclass
class RotationUnproven(Conflict):
    """The former user may not go while the new one is not there."""

    name: str

    code = "rotation_unproven"
    message = (
        "The new user of {name} is not in MongoDB, so the application needs the former one. Make "
        "another first: flask applications rotate {name}"
    )


@dataclass
class UserNotProven(Unavailable):
    """No member of MongoDB lets the new user in."""

    name: str

    code = "user_not_proven"
    message = (
        "MongoDB made a user for {name} and doesn't let it read the directory, so its URI isn't "
        "shown. Call the command again: that makes another."
    )


@dataclass
class ApplicationChanged(Conflict):
    """Another command changed the application meanwhile."""

    name: str

    code = "application_changed"
    message = (
        "Another command changed {name} meanwhile, so this one made nothing that works. Look at "
        "flask applications list, and call it again if need be."
    )
