"""Errors of acting on organizations as their operator, and their words."""

from collections.abc import Sequence
from dataclasses import dataclass

from portal.errors import Conflict, Malformed


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


class UnreadableActionPlan(Malformed):
    """A plan that isn't one that the portal told, or is one of another action."""

    code = "unreadable_action_plan"
    title = "That is no plan of this action"
    message = "Send the plan as it was told, or leave it out and plan again. Nothing was changed."
