"""Following what is written at a place, by its change stream: which ids are to be read again."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from bson import Timestamp

from .places import Place


class Follower:
    """The changes of an organization's documents since ``token``; since now, without one. To be
    used by one thread, in a ``with`` statement or with ``close``.

    ``dirty`` are the ids that were written and not applied since, each with the time of its last
    change, by the source's cluster. ``structure_changed`` is set where indexes or options were
    changed. ``renamed_to`` is the collection's name by its last rename that was seen.
    """

    dirty: dict[bytes, Timestamp]
    structure_changed: bool
    renamed_to: str | None
    last_event_at: datetime | None

    def __init__(self, place: Place, token: Mapping[str, Any] | None = None) -> None:
        raise NotImplementedError

    @property
    def token(self) -> Mapping[str, Any]:
        """The token to be stored: all that came before it is applied. It moves while nothing is
        dirty, also where nothing is written."""
        raise NotImplementedError

    @property
    def position(self) -> Timestamp:
        """The time up to which changes were seen, by the source's cluster."""
        raise NotImplementedError

    def pump(self, seconds: float = 0, beyond: bytes | None = None) -> bool:
        """Take in the changes that there are, waiting ``seconds`` for the first; ``False`` if there
        may be more, since as many ids are dirty as memory has room for.

        Ids that are ObjectIds behind ``beyond`` stay clean: for a copy that will read them yet.
        Raises StreamLost, SourceGone.
        """
        raise NotImplementedError

    def mark(self, ids: Iterable[bytes]) -> None:
        """Have these ids applied too."""
        raise NotImplementedError

    def reach(self, time: Timestamp, seconds: float) -> None:
        """Take in all changes up to this time of the source's cluster. Raises NotReached, where
        dirty ids must be applied first too; and as ``pump``."""
        raise NotImplementedError

    def wait_for_name(self, name: str, seconds: float) -> None:
        """Take in all changes before the call, the last rename among them being to ``name``.
        Raises NotReached, and as ``pump``."""
        raise NotImplementedError

    def close(self) -> None:
        """End the stream."""
        raise NotImplementedError

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
