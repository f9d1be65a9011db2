"""Places that are wished for, and what is checked of them."""

from dataclasses import dataclass

from portal.documents.organizations import Strategy


@dataclass(frozen=True, slots=True)
class Wish:
    """The place that is wanted: a ``strategy``, and a cluster by name."""

    strategy: Strategy
    cluster: str


@dataclass(frozen=True, slots=True)
class Check:
    """A condition of a move, in words; ``passed`` where nothing speaks against the move."""

    words: str
    passed: bool = True
