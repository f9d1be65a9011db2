"""Errors of support access, and their words."""

from dataclasses import dataclass

from portal.errors import Conflict, Invalid, NotFound, Refused
from portal.organizations.access.errors import LEAVE


class InvalidReason(Invalid):
    """A reason that breaks a rule."""

    code = "invalid_reason"
    field = "reason"
    message = "Write another reason"


class ReasonMissing(InvalidReason):
    """No reason was given."""

    message = "Say why, in a few words: the owners read it"


@dataclass
class ReasonTooLong(InvalidReason):
    """The reason is too long."""

    longest: int

    message = "Write at most {longest} characters"


class ReasonUnprintable(InvalidReason):
    """The reason has characters that can't be seen."""

    message = "Use letters, digits and signs that can be seen"


@dataclass
class InvalidHours(Invalid):
    """A time for which no access is given."""

    most: int

    code = "invalid_hours"
    field = "hours"
    message = "Choose from 1 to {most} hours"


class GrantNotFound(NotFound):
    """The organization has no such grant."""

    title = "There is no such support access"
    message = "It was never asked for or given here. Nothing was changed."


@dataclass
class AlreadyAsked(Conflict):
    """The operator has asked, and no owner has decided yet."""

    name: str

    code = "support_already_asked"
    title = "You have asked already"
    message = "An owner of {name} has not decided yet. Withdraw that first to ask otherwise."


@dataclass
class AlreadyDecided(Conflict):
    """The grant was decided or ended meanwhile, by somebody else."""

    state: str

    code = "support_already_decided"
    title = "This was decided meanwhile"
    message = "It is {state} now. Nothing was changed."


@dataclass
class TooManyGrants(Conflict):
    """The organization has reached its limit of grants in force."""

    most: int

    code = "too_many_support_grants"
    title = "There are too many support accesses"
    message = "{most} are in force, and no more are possible. End one first. Nothing was changed."


@dataclass
class DocumentsOutOfReach(Conflict):
    """The portal's MongoDB user may not make the one by which an operator would read documents."""

    missing: str

    code = "documents_out_of_reach"
    field = "documents"
    message = (
        "Nobody could read them here: MongoDB doesn’t allow the portal {missing}. Choose "
        "everything but documents, or have whoever runs the portal allow that first"
    )


class DocumentsNotGranted(Refused):
    """An operator has no grant by which to read documents."""

    code = "documents_not_granted"
    title = "These documents are the customer’s"
    message = (
        "Operators see documents only by support access that an owner of the organization gives, "
        "and that includes them. Nothing was read."
    )


class KeptBeside(Refused):
    """An operator asked for what is kept beside documents, where no grant reaches."""

    code = "kept_beside_documents"
    title = "Support access ends at the documents"
    message = (
        "Their history and the files that were imported or exported are kept together with those "
        "of other organizations, where no MongoDB user can be bound to one of them. Nothing was "
        "read. Ask a member of the organization to look."
    )
    actions = (LEAVE,)
