"""Bringing a target up to date: what is dirty is read again, and replaced by what is there now.

So it doesn't matter what happened, how often and in which order, nor whether it is done twice.
"""

from collections.abc import Sequence

from ..elements import id_of
from ..limits import BATCH_BYTES
from .errors import TargetDiffers
from .following import Follower
from .places import Place, in_batches, read_batches, time_of
from .writing import Target

REACH_SECONDS = 10


def apply_dirty(source: Place, target: Target, follower: Follower) -> int:
    """Have the target's documents of all dirty ids be as the source's, and none dirty; how many
    those were. What is written meanwhile is dirty with the next ``pump``.

    Where keys of unique indexes change hands, the follower is pumped in between. Raises what
    ``pump`` and the target's methods do, NotReached, and TargetDiffers where a document that the
    source doesn't have stands in the way; it may be called again.
    """
    applied = 0
    while follower.dirty:
        ids = next(in_batches(follower.dirty))
        seen = follower.position
        for some, documents in read_batches(source, ids, since=seen):
            if _replace(target, some, documents):
                follower.clean(some, seen)
            else:
                _make_room(source, target, follower, some)
            applied += len(some)
    return applied


def _make_room(source: Place, target: Target, follower: Follower, ids: Sequence[bytes]) -> None:
    """Apply these ids where other documents have their keys in the target.

    Those changed since they were applied, or they would have these keys in the source too. So once
    all changes until a time are known, whatever is dirty is deleted, to be inserted when its turn
    comes: of the rest no two documents have the same key at that time.
    """
    at = time_of(source)
    follower.reach(at, REACH_SECONDS)
    for some in in_batches(list(follower.dirty)):
        target.delete(some)
    for some, documents in read_batches(source, ids, at=at):
        if not _replace(target, some, documents):
            raise TargetDiffers(source.organization)
        follower.clean(some, at)


def _replace(target: Target, ids: Sequence[bytes], documents: Sequence[bytes]) -> bool:
    """Replace the documents of these ids, in several transactions where one would be large: they
    are dirty until all is done. ``False`` as ``replace``."""
    first, *others = list(in_batches(documents, size_bytes=BATCH_BYTES)) or [[]]
    return target.replace(ids, first) and all(
        target.replace([id_of(each) for each in some], some) for some in others
    )
