"""Errors of pages of structure, with their words."""

from dataclasses import dataclass

from portal.errors import Conflict, Invalid


@dataclass
class NotBuilt(Invalid):
    """A form of an index that makes none."""

    reason: str
    at: str = "field_1"

    code = "invalid_index"
    message = "{reason} Nothing was built."

    @property
    def field(self) -> str:  # type: ignore[override]
        return self.at


@dataclass
class InTheWay(Conflict):
    """Documents that a unique index can't have together."""

    documents: str

    code = "index_conflicts"
    field = "which"
    message = "{documents} documents would not fit. Nothing was built."
