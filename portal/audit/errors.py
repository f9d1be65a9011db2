"""Errors of the audit trail and of what is kept for it, and their words."""

from dataclasses import dataclass

from portal.errors import Conflict


@dataclass
class UnderHold(Conflict):
    """A legal hold forbids to delete anything of the organization's for good."""

    name: str

    code = "legal_hold"
    title = "A legal hold is on this organization"
    message = (
        "{name} is under a legal hold: nothing of it is deleted for good until whoever runs the "
        "portal releases that. Nothing was deleted."
    )

    def __str__(self) -> str:
        return f"{self.name} is under a legal hold"
