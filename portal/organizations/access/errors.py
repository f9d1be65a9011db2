"""Errors of access to organizations, and their words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId

from portal.bidi import isolated
from portal.documents.memberships import Role
from portal.errors import Action, Conflict, NotFound, Refused, Suspended, Unavailable

LEAVE = Action("Leave support access", "support.leave", method="post")


def back_to(name: str, slug: str) -> Action:
    """A link back to the page of an organization."""
    return Action(f"Back to {isolated(name)}", "organizations.overview", {"slug": slug})


class GrantOver(Refused):
    """The grant that the session acts by is over."""

    code = "support_over"
    title = "Support access has ended"
    message = (
        "Its time is over, or an owner ended it. Nothing of the organization is shown any more. "
        "Leave, and you are back in the console."
    )
    actions = (LEAVE,)


class LooksOnly(Refused):
    """An operator by a support grant asked for a change."""

    code = "support_looks_only"
    title = "Support access changes nothing"
    message = "You may look at this organization, and nothing else. Nothing was changed."
    actions = (LEAVE,)


@dataclass
class SecondFactorRequired(Refused):
    """The organization is open only to members with a second factor. By ``slug`` a member can
    leave it, unless it is in the trash."""

    name: str
    slug: str | None = None

    code = "second_factor_required"
    title = "Set up a second factor"
    message = (
        "{name} requires a second factor of its members. You are a member still: set one up, "
        "and it opens."
    )

    @property
    def actions(self) -> tuple[Action, ...]:
        enroll = Action("Set up a second factor", "factors.security")
        own = Action("Your organizations", "organizations.list_mine")
        if not self.slug:
            return enroll, own
        return (
            enroll,
            own,
            Action(f"Leave {isolated(self.name)}…", "members.leave", {"slug": self.slug}),
        )


@dataclass
class LeadsBack:
    """An error of an organization, whose page is the way on; without ``slug`` it has none."""

    name: str
    slug: str

    @property
    def actions(self) -> tuple[Action, ...]:
        return (back_to(self.name, self.slug),) if self.slug else ()


class OrganizationRenamed(LeadsBack, Conflict):
    """A change that was requested by an organization's old slug."""

    code = "organization_renamed"
    title = "This organization was renamed"
    message = "It is {name} now, at {slug}. What you sent did not start. Nothing was changed."


@dataclass
class AmbiguousName(Conflict):
    """Several organizations of the principal have the name."""

    slugs: list[str]

    code = "ambiguous_name"
    message = "Several of your organizations have this name. Use a slug instead: {listed}."

    @property
    def listed(self) -> str:
        return ", ".join(self.slugs)


@dataclass
class Forbidden(Refused):
    """The member's role, or the API key, doesn't have the ``permission``."""

    permission: str
    organization: ObjectId | None = None
    role: Role | None = None
    slug: str | None = None

    code = "forbidden"
    title = "You may not do this"
    message = (
        "Your role in this organization does not allow it. One of its owners can do it, or "
        "change your role."
    )
    api_message = (
        "This needs the permission {permission}, which your role or key does not have. "
        "Nothing was changed."
    )

    @property
    def actions(self) -> tuple[Action, ...]:
        return (back_to("the organization", self.slug),) if self.slug else ()


class NotInTrash(LeadsBack, Conflict):
    """The organization is active: restored meanwhile, or never in the trash."""

    code = "not_in_trash"
    title = "It is not in the trash"
    message = "{name} is at {slug}. Nothing was changed."


@dataclass
class OrganizationPurged(Conflict):
    """The organization was purged; only its former owners get this error."""

    name: str
    purged_at: datetime

    code = "organization_purged"
    title = "This organization is no more"
    message = (
        "{name} was purged on {purged_at:%-d %B %Y}, with all of its documents. Nothing can "
        "bring it back from here."
    )


@dataclass
class OrganizationTrashed(Conflict):
    """The organization is in the trash, or is being trashed or purged."""

    name: str

    code = "organization_trashed"
    title = "The organization is in the trash"
    message = "{name} was deleted meanwhile. An owner can restore it from the trash."


@dataclass
class OrganizationSuspended(Suspended):
    """The organization is suspended by whoever runs the portal; ``told`` is, for each suspension,
    what members are told of why, if anything, and whom they write to."""

    name: str
    kind: str
    told: tuple[tuple[str | None, str], ...] = ()

    code = "organization_suspended"
    title = "This organization is suspended"
    message = "{name} is suspended.{reason} Nothing was changed."

    @property
    def reason(self) -> str:
        """The words told to members, each with its contact, in sentences."""
        return "".join(
            f" {' '.join([*self._messages(contact), f'Write to {contact}.'])}"
            for contact in self._contacts
        )

    @property
    def details(self) -> Mapping[str, str]:
        values = {
            "kind": self.kind,
            "message": " ".join(message for message, _ in self.told if message),
            "contact": ", ".join(self._contacts),
        }
        return {name: value for name, value in values.items() if value}

    @property
    def _contacts(self) -> list[str]:
        return list(dict.fromkeys(contact for _, contact in self.told))

    def _messages(self, contact: str) -> list[str]:
        return [message for message, theirs in self.told if message and theirs == contact]


class OrganizationHidden(NotFound):
    """The organization is suspended so that it is as if there were none: to the principal this is
    NotFound. What works by itself waits until that is lifted."""


class OrganizationReadOnly(OrganizationSuspended):
    """The organization is suspended so that its documents can only be read."""

    code = "organization_read_only"
    title = "This organization is read-only"
    message = (
        "{name} is suspended: it can be read and exported, not changed.{reason} "
        "Nothing was changed."
    )


class OrganizationLocked(OrganizationSuspended):
    """The organization is suspended so that nobody reaches it."""

    code = "organization_locked"
    title = "This organization is locked"
    message = "{name} is suspended: nobody reaches it until that is lifted.{reason}"


@dataclass
class OrganizationMoving(Unavailable):
    """The organization's documents are just being moved to another place."""

    name: str

    code = "organization_moving"
    title = "This organization is being moved"
    message = (
        "The documents of {name} are on their way to another place, and take longer than they "
        "should. Nothing was changed. Try again in a few seconds."
    )


@dataclass
class UnknownStrategy(Unavailable):
    """The organization's documents are placed by a strategy that only a newer version knows."""

    name: str
    strategy: str

    code = "unknown_strategy"
    title = "Another version of the portal serves it"
    message = (
        "The documents of {name} are placed in a way that this version of the portal doesn’t know: "
        "{strategy}. Nothing was changed. Try again in a few minutes: the portal is being updated."
    )
