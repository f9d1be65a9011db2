"""Copying all documents from a source to a target while they are written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .following import Follower
from .places import Place
from .writing import Target


@dataclass(frozen=True, slots=True)
class Copied:
    """How far a copy is: ``after`` and ``token`` are where another process goes on, and belong
    together. The numbers are those since the last call."""

    after: bytes | None
    token: Mapping[str, Any]
    documents: int
    size_bytes: int
    applied: int


def copy(
    source: Place,
    target: Target,
    follower: Follower,
    *,
    after: bytes | None,
    on_progress: Callable[[Copied], bool],
    throttle: Callable[[], int | None] = lambda: None,
) -> bool:
    """Copy the documents behind ``after``, and apply what changes meanwhile; ``True`` once all are
    copied, ``False`` where ``on_progress`` said so.

    The follower must have begun before the first document was read. What the target has behind
    ``after`` is deleted first. ``on_progress`` is called about each second and at the end, and
    returns whether to go on; ``throttle`` tells the documents per second that may be copied. Raises
    what ``apply_dirty`` does.
    """
    raise NotImplementedError
