"""Errors of acting on organizations as their operator, and their words."""

from collections.abc import Sequence
from dataclasses import dataclass

from portal.errors import Conflict, Invalid, Malformed, NotFound


@dataclass
class PlanOutdated(Conflict):
    """The organization is no longer what the plan went by; ``differences`` are in words."""

    name: str
    differences: Sequence[str]

    code = "plan_outdated"
    title = "It has changed since it was planned"
    message = (
        "{name} has changed since it was planned: {listed}. Nothing was changed. Plan it again."
    )

    @property
    def listed(self) -> str:
        return "; ".join(self.differences)


class ManyMoreDocuments(PlanOutdated):
    """A purge would delete many more documents than were shown."""

    def __init__(self, name: str, now: int, before: int) -> None:
        super().__init__(name, [f"there are {now:,} documents, and were {before:,}"])


class UnreadableActionPlan(Malformed):
    """A plan that isn't one that the portal told, or is one of another action."""

    code = "unreadable_action_plan"
    title = "That is no plan of this action"
    message = "Send the plan as it was told, or leave it out and plan again. Nothing was changed."


@dataclass
class InvalidNote(Invalid):
    """A note that is empty, too long, or has what can't be seen."""

    longest: int

    code = "invalid_note"
    field = "text"
    message = "Write a note of 1 to {longest} characters that can be seen"


class NoteNotFound(NotFound):
    """The organization has no such note."""

    code = "note_not_found"
    message = "There is no such note: somebody may have removed it. Nothing was changed."


@dataclass
class UnknownAddress(Invalid):
    """No account has the address."""

    email: str

    code = "unknown_address"
    field = "email"
    message = "No account has the address {email}: its owner signs up first"


@dataclass
class UnverifiedAddress(Conflict):
    """The address of the account is not verified."""

    email: str

    code = "unverified_address"
    field = "email"
    message = (
        "{email} is not verified, so anybody may have typed it: have its owner follow the link "
        "that was mailed there"
    )


@dataclass
class OwnerAlready(Conflict):
    """The account is an owner already."""

    email: str

    code = "owner_already"
    field = "email"
    message = "{email} is an owner already"


@dataclass
class OwnerIsOperator(Conflict):
    """The account is an operator's, who would see documents without anybody's consent."""

    email: str

    code = "owner_is_operator"
    field = "email"
    message = (
        "{email} is an operator: nobody who looks after the console becomes an owner by it. Ask "
        "for support access, or have an owner invite them"
    )
