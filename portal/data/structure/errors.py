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


class NamedTwice(NotBuilt):
    """A field is named twice, again ``at`` a field of the form."""

    def __init__(self, name: str, at: str) -> None:
        super().__init__(f"{name} is there twice.", at)


@dataclass
class NoFieldNamed(NotBuilt):
    """No field is named."""

    reason: str = "Name a field."


@dataclass
class NoSuchPeriod(NotBuilt):
    """The time after which documents expire is none."""

    reason: str = "Say after how long: a whole number."
    at: str = "after"


class FilterNotParsed(NotBuilt):
    """The filter is no Extended JSON at a place, for a ``cause``."""

    def __init__(self, place: str, cause: str) -> None:
        super().__init__(f"Correct the filter at {place}: {cause}", "filter")


@dataclass
class InTheWay(Conflict):
    """Documents that a unique index can't have together."""

    documents: str

    code = "index_conflicts"
    field = "which"
    message = "{documents} documents would not fit. Nothing was built."
