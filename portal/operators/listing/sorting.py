"""The orders of the listing, and positions in them as addresses carry them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from bson import ObjectId
from bson.errors import InvalidId

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_TIMES = ("by_created", "by_used")
_NUMBERS = ("by_documents", "by_bytes")
_LARGEST = 2**63 - 1
# The server's dates go further than Python's.
_LATEST_MILLISECONDS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_NOTHING = "-"

FIELDS = {
    "name": "by_name",
    "created": "by_created",
    "documents": "by_documents",
    "size": "by_bytes",
    "used": "by_used",
}
"""The field of each order that may be asked for."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order of rows, upwards or downwards."""

    name: str = "name"
    descending: bool = False

    @classmethod
    def parse(cls, typed: str) -> Self | None:
        """The order called ``name``, or ``-name`` for downwards; ``None`` for what is none."""
        name = typed.removeprefix("-")
        return cls(name, typed.startswith("-")) if name in FIELDS else None

    @property
    def field(self) -> str:
        """The field that the server sorts by."""
        return FIELDS[self.name]

    @property
    def reversed(self) -> "Order":
        """The same order the other way round."""
        return Order(self.name, not self.descending)

    @property
    def direction(self) -> int:
        """The direction as the server has it."""
        return -1 if self.descending else 1

    @property
    def beyond(self) -> str:
        """The comparison of keys that come later in the order."""
        return "$lt" if self.descending else "$gt"

    def __str__(self) -> str:
        return f"-{self.name}" if self.descending else self.name

    def position(self, key: dict[str, Any]) -> str:
        """A row's sort key as an address carries it."""
        value = key["v"]
        if value is None:
            shown = _NOTHING
        elif isinstance(value, datetime):
            shown = str((value - _EPOCH) // _MILLISECOND)
        else:
            shown = str(value)
        return f"{key['o']}{shown}"

    def key_at(self, position: str) -> dict[str, Any] | None:
        """The sort key of a ``position``; ``None`` for what is none of this order."""
        try:
            return {"v": self._value(position[24:]), "o": ObjectId(position[:24])}
        except (InvalidId, ValueError, OverflowError):
            return None

    def _value(self, shown: str) -> Any:
        if self.field in _TIMES:
            milliseconds = int(shown)
            if not 0 <= milliseconds <= _LATEST_MILLISECONDS:
                raise ValueError(shown)
            return _EPOCH + milliseconds * _MILLISECOND
        if self.field in _NUMBERS:
            if shown == _NOTHING:
                return None
            number = int(shown)
            if not 0 <= number <= _LARGEST:
                raise ValueError(shown)
            return number
        return shown


BY_AGE = Order("created")
