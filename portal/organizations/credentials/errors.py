"""Errors of an organization's credentials, and their words."""

from dataclasses import dataclass

from portal.display_names import InvalidName
from portal.documents.credentials import Reach
from portal.errors import Conflict, Invalid, NotFound, Unavailable

_REACHES = ", ".join(Reach)


class InvalidCredentialName(InvalidName):
    """A name of a credential that breaks a rule."""

    code = "invalid_name"
    field = "name"
    message = "{reason}"


class InvalidReach(Invalid):
    """A reach that no credential has."""

    code = "invalid_reach"
    field = "reach"
    message = f"Choose one of these: {_REACHES}"


class InvalidOverlap(Invalid):
    """An overlap that is none of those there are."""

    code = "invalid_overlap"
    field = "overlap"
    message = "Choose one of the times that are offered"


class CredentialNotFound(NotFound):
    """The organization has no such credential."""

    title = "There is no such credential"
    message = "It may have been revoked. The organization’s other credentials are on its page."


@dataclass
class TooManyCredentials(Conflict):
    """An organization has reached its limit of credentials."""

    most: int

    code = "too_many_credentials"
    title = "There are too many credentials"
    message = (
        "The organization has {most} credentials, and no more are possible. Revoke one that nobody "
        "uses. Nothing was changed."
    )


class NotTravelling(Conflict):
    """The organization isn't about to move to where its credentials need other users."""

    code = "not_travelling"
    title = "No move needs another string"
    message = (
        "The organization is not about to move to where it would need one, or has moved just now. "
        "Nothing was changed."
    )


@dataclass
class OverlapRunning(Conflict):
    """A credential that is rotated already has two users."""

    name: str

    code = "overlap_running"
    title = "It is being rotated already"
    message = (
        "“{name}” has two users: the old one still works. End that one first, once nobody uses it. "
        "Nothing was changed."
    )


@dataclass
class NoOverlap(Conflict):
    """A credential has one user, and none to end."""

    name: str

    code = "no_overlap"
    title = "There is one user only"
    message = "“{name}” has no old user: its overlap ended already. Nothing was changed."


@dataclass
class StillInUse(Conflict):
    """The user that shall end has open connections."""

    count: int
    applications: str

    code = "still_in_use"
    field = "although_in_use"
    message = (
        "It is in use, by {applications}; open connections: {count}. They break at once. Tick the "
        "box to end it all the same"
    )
    api_message = (
        "It is in use, by {applications}; open connections: {count}. Send although_in_use to end "
        "it all the same. Nothing was changed."
    )


@dataclass
class MissingRights(Unavailable):
    """The portal's MongoDB user may not administer users in the tenant database."""

    database: str
    missing: str

    code = "missing_rights"
    title = "The portal may not make MongoDB users"
    message = (
        "MongoDB doesn’t allow the portal {missing} on the database {database}. Nothing was "
        "changed. Ask whoever runs the portal to grant it."
    )


@dataclass
class SharedCollection(Conflict):
    """The organization's documents are among those of others, where no MongoDB user can be bound
    to them."""

    organization: str

    code = "shared_collection"
    title = "Not where it is now"
    message = (
        "The documents of {organization} are in a collection that it shares with other "
        "organizations, and a MongoDB user would reach all of those. Nothing was changed. In a "
        "collection or database of its own it can have users: ask whoever runs the portal to move "
        "it."
    )


class NotProven(Unavailable):
    """A user was made, and MongoDB didn't take it in time."""

    code = "not_proven"
    title = "MongoDB did not take the new user"
    message = (
        "The new user was tried and could not sign in in time, so it was dropped, and nothing was "
        "changed. Try again in a moment. If it fails again, the hosts that customers get may lead "
        "to another MongoDB: flask doctor tells."
    )
