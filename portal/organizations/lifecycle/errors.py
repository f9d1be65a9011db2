"""Errors of lifecycle operations, and their words."""

from dataclasses import dataclass
from datetime import datetime

from portal.errors import Conflict, Invalid
from portal.organizations.access.errors import LeadsBack

# Reasons of InvalidName.
NO_SLUG = "Choose a name with letters or digits that an address can be made of"
RESERVED_SLUG = "Choose another name: the portal uses “{slug}” itself"


@dataclass
class SlugTaken(Conflict):
    """The slug of a name is held by another organization."""

    slug: str

    code = "name_taken"
    field = "organization_name"
    message = "The address {slug} is taken. Choose a name that differs in letters or digits"


@dataclass
class NameUnchanged(Invalid):
    """A rename to the name that the organization already has."""

    name: str

    code = "name_unchanged"
    field = "organization_name"
    message = "Choose another name: “{name}” is its name already"


@dataclass
class NameNotConfirmed(Invalid):
    """The typed confirmation is not the organization's name."""

    name: str

    code = "name_not_confirmed"
    field = "confirm_name"
    message = "Type “{name}” to confirm, as it is shown"


@dataclass
class OperationInProgress(LeadsBack, Conflict):
    """Another lifecycle operation runs on the organization; ``slug`` is empty in the trash."""

    kind: str
    doing: str
    started_at: datetime

    code = "operation_in_progress"
    title = "Another change is running"
    message = (
        "{name} is {doing} since {started_at:%H:%M:%S} UTC. One change runs at a time, so "
        "what you sent did not start. Nothing was changed. Send it again in a moment."
    )


@dataclass
class TenantCollectionMissing(Conflict):
    """Somebody dropped the tenant collection in the database."""

    name: str

    code = "collection_missing"
    title = "The collection is missing"
    message = (
        "The collection of {name} is not in the database any more: somebody dropped it there. "
        "Nothing was changed. Ask whoever runs the database to bring it back."
    )


@dataclass
class CollectionNameConflict(Conflict):
    """A collection that isn't the portal's has a name that the portal needs."""

    name: str
    collection: str

    code = "collection_in_the_way"
    title = "Something is in the way"
    message = (
        "The database has a collection {collection} that the portal did not make, so {name} "
        "stays where it is. Nothing was changed. Ask whoever runs the database."
    )
