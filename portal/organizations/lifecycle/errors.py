"""Errors of lifecycle operations, and their words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from portal.bidi import isolated
from portal.errors import Conflict, Invalid, NotFound, Unavailable
from portal.organizations.access.errors import LeadsBack

# A reason of InvalidName.
NO_SLUG = "No address can be made of this name: type one, of letters a to z and digits"


@dataclass
class InvalidSlug(Invalid):
    """A slug that breaks a rule; ``reason`` says how to correct it."""

    reason: str

    code = "invalid_slug"
    field = "slug"
    message = "{reason}"

    @classmethod
    def too_long(cls, longest: int) -> Self:
        return cls(f"Choose a shorter address: {longest} characters at most")

    @classmethod
    def other_characters(cls) -> Self:
        return cls("Type an address of letters a to z and digits, with single hyphens between them")

    @classmethod
    def reserved(cls, slug: str) -> Self:
        return cls(f"Choose another address: the portal uses “{slug}” itself")

    @classmethod
    def like_an_id(cls) -> Self:
        return cls("Choose another address: 24 digits and letters a to f would be an id")


@dataclass
class SlugTaken(Conflict):
    """The slug made of a name is held by another organization; ``free`` is one that is not."""

    slug: str
    free: str = ""

    code = "name_taken"
    field = "organization_name"
    message = "The address {slug} is taken. {offer}"
    api_message = "The slug {slug} is taken. {api_offer}"

    @property
    def offer(self) -> str:
        if not self.free:
            return "Choose another address"
        return f"{self.free} is free: take it, or choose another address"

    @property
    def api_offer(self) -> str:
        example = f" {self.free}, which is free, or another" if self.free else " another one"
        return f"Send{example} as slug"

    @property
    def suggestions(self) -> Mapping[str, str]:
        return {"slug": self.free}


@dataclass
class TypedSlugTaken(SlugTaken):
    """A slug that was typed is held by another organization."""

    field = "slug"


@dataclass
class InvalidExternalId(Invalid):
    """An id of another system that breaks a rule."""

    longest: int

    code = "invalid_external_id"
    field = "external_id"
    message = "Send an external id of 1 to {longest} printable characters, without spaces around it"


class InvalidMetadata(Invalid):
    """Metadata that break a rule."""

    code = "invalid_metadata"
    field = "metadata"
    message = "Correct the metadata"


@dataclass
class TooManyEntries(InvalidMetadata):
    """More entries of metadata than are kept."""

    most: int

    message = "Keep {most} entries at most"


class InvalidEntryName(InvalidMetadata):
    """An entry of metadata has a name that none may have."""

    message = "Name entries by 1 to 40 letters, digits, - and _"


@dataclass
class InvalidEntryValue(InvalidMetadata):
    """An entry of metadata has a value that none may have."""

    longest: int

    message = "Give each entry a value of 1 to {longest} printable characters, on one line"


class InvalidEntryLine(InvalidMetadata):
    """A typed line is no entry of metadata, or the second one of a name."""

    message = "Write each entry once, on a line of its own: name: value"


@dataclass
class ExternalIdTaken(Conflict):
    """Another organization has the external id."""

    external_id: str

    code = "external_id_taken"
    field = "external_id"
    message = "Another organization has the external id {external_id}. Nothing was changed."


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
class OperationUndone(Conflict):
    """An operator undid the operation while it ran."""

    name: str

    code = "operation_undone"
    title = "It was undone"
    message = (
        "Whoever runs this portal undid the change of {name} before it was done. All is as before."
    )


class OperationOver(Conflict):
    """The operation that was to be tried again or undone is over."""

    code = "operation_over"
    title = "It is over"
    message = (
        "The operation that you saw has ended, so there is nothing to try again or to undo. "
        "Nothing was changed. Look at the organization to see how it ended."
    )


@dataclass
class OperationStays(Conflict):
    """The operation has no way back, or is on it."""

    name: str
    doing: str
    reason: str

    code = "operation_stays"
    title = "It can’t be undone"
    message = "{name} is {doing}, and that can’t be undone: {reason}. Nothing was changed."


@dataclass
class ClusterFull(Unavailable):
    """The cluster takes no further collection, at a limit that nobody told."""

    cluster: str

    code = "cluster_full"
    title = "There is no room for the organization right now"
    message = (
        "The cluster {cluster} takes no further collection. Nothing was created. Have the "
        "organization be in another cluster, or in a shared collection."
    )


@dataclass
class PoolUnavailable(Unavailable):
    """No collection to share could be opened on the cluster in time."""

    cluster: str

    code = "pool_unavailable"
    title = "There is no shared collection for the organization right now"
    message = (
        "The cluster {cluster} does not let a shared collection be opened right now. Nothing was "
        "changed. Try again later, or have the organization be in another cluster."
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
class NotReplaced(Conflict):
    """The collection that was to be taken over doesn't stand in place of the organization's."""

    name: str

    code = "not_replaced"
    title = "There is nothing to take over"
    message = (
        "The collection that you saw does not stand in place of that of {name}: it has its own, or "
        "another stands there now. Nothing was changed. Look at its page again."
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


@dataclass
class CredentialsNotCarried(Conflict):
    """MongoDB doesn't let the portal change the privileges of the organization's credentials."""

    name: str

    code = "credentials_not_carried"
    title = "Its credentials can’t come along"
    message = (
        "MongoDB doesn’t let the portal change the users that {name} has as credentials, so they "
        "would reach the old collection. Nothing was changed. Ask whoever runs the portal to grant "
        "it the administration of users, or revoke the credentials."
    )


@dataclass
class MoveRolledBack(Conflict):
    """A move didn't switch: the organization is where it was, and the move as it was before."""

    name: str
    reason: str

    code = "move_rolled_back"
    title = "The move did not switch"
    message = (
        "{name} stays where it is for now: {reason}. Nothing was lost. The move goes on, and tries "
        "again."
    )


class RestrictionChanged(LeadsBack, Conflict):
    """The organization was suspended, or freed, since it was read."""

    code = "restriction_changed"
    title = "This organization was suspended or freed meanwhile"
    message = "Its suspensions changed meanwhile. Reload the page and see. Nothing was changed."


class SuspensionNotFound(NotFound):
    """No suspension of the organization has this id."""

    code = "suspension_not_found"
    title = "No such suspension"
    message = "This organization has no suspension with this id. Reload its list."


@dataclass
class ChangedMeanwhile(Conflict):
    """A value that is to be changed isn't what a form showed; ``now`` is what is stored. The
    ``name`` is its field's, of an entry in it ``metadata.crm``."""

    name: str
    now: str | None

    code = "changed_meanwhile"
    title = "It was changed meanwhile"
    message = (
        "Somebody changed {what} meanwhile: {it_is}. Nothing was changed. Send it again if yours "
        "is right."
    )

    @property
    def what(self) -> str:
        """The entry that was changed, or the whole of the field."""
        return self.name.partition(".")[2] or "it"

    @property
    def it_is(self) -> str:
        """The value now, in words."""
        return "it is gone now" if self.now is None else f"it is {isolated(self.now)} now"
