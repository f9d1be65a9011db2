"""Limits of organizations: by plan, or of one alone."""

from dataclasses import dataclass
from enum import StrEnum

from portal.documents.organizations import Organization
from portal.web.context import RequestContext


class LimitKind(StrEnum):
    """What is limited: documents and bytes that are kept, operations per second."""

    DOCUMENTS = "documents"
    BYTES = "bytes"
    OPERATIONS = "operations"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit in force, if there is one (``allowed``), and how much of it is ``used``, if that is
    known: of operations, those of the last whole minute, per second. ``by_plan`` where it isn't the
    organization's own."""

    kind: LimitKind
    allowed: int | None
    used: float | None
    by_plan: bool = False

    @property
    def share(self) -> float | None:
        """The used part of what is allowed."""
        if not self.allowed or self.used is None:
            return None
        return self.used / self.allowed


def limits_of(organization: Organization) -> dict[LimitKind, Limit]:
    """The limits of the organization, each kind, whether there is one or not."""
    raise NotImplementedError


def set_limits(
    organization: Organization, wanted: dict[LimitKind, int | None], context: RequestContext
) -> None:
    """Set the organization's own limits of these kinds; ``None`` leaves its plan's. What it uses is
    counted first. Raises LimitsChanged, InvalidLimit."""
    raise NotImplementedError


def set_plan_limits(
    plan: str, wanted: dict[LimitKind, int | None], context: RequestContext
) -> None:
    """Set the limits of all organizations with this plan."""
    raise NotImplementedError
