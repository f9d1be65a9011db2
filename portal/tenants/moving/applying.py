"""Bringing a target up to date: what is dirty is read again, and replaced by what is there now.

So it doesn't matter what happened, how often and in which order, nor whether it is done twice.
"""

from .following import Follower
from .places import Place
from .writing import Target


def apply_dirty(source: Place, target: Target, follower: Follower) -> int:
    """Have the target's documents of all dirty ids be as the source's, and none dirty; how many
    those were. What is written meanwhile is dirty with the next ``pump``.

    Where keys of unique indexes change hands, the follower is pumped in between. Raises what
    ``pump`` and the target's methods do; it may be called again.
    """
    raise NotImplementedError
