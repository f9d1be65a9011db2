"""Plans of moves: what will be done, for how long, and what speaks against it, from one read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from bson import ObjectId

from portal.documents.organizations import Organization, Placement, Strategy


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


@dataclass(frozen=True, slots=True)
class Change:
    """A line of what changes for the organization: ``now`` and ``after``, in words."""

    what: str
    now: str
    after: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A thing that can't come along, and what to do about it; a ``warning`` asks somebody to
    act."""

    what: str
    note: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A move as planned at a time, by the database's clock; nothing has begun.

    ``seconds`` is the expected time until the move is ready, ``pause_ms`` the expected pause of
    writers, ``longest_pause_ms`` what all tries of one fence together may take. ``facts`` are what
    has to be the same when the move starts.
    """

    organization: ObjectId
    slug: str
    name: str
    at: datetime
    wish: Wish
    source: Placement
    documents: int
    bytes: int
    seconds: float
    documents_per_second: float
    pause_ms: float
    longest_pause_ms: float
    changes: tuple[Change, ...] = ()
    left_behind: tuple[LeftBehind, ...] = ()
    checks: tuple[Check, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def obstacles(self) -> tuple[str, ...]:
        """What speaks against the move, in words: without any it may start."""
        return tuple(check.words for check in self.checks if not check.passed)

    @property
    def planned(self) -> "Planned":
        """What ``start_move`` compares with the world."""
        return Planned(self.wish, self.documents, dict(self.facts))


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan as it travels through a form or a file: the wish, and what it went by."""

    wish: Wish
    documents: int
    facts: Mapping[str, str]

    def dumps(self) -> str:
        """As text of letters and digits, for a hidden field or an argument."""
        raise NotImplementedError

    @classmethod
    def loads(cls, text: str) -> Self:
        """From that text, which may come from anybody. Raises UnreadablePlan."""
        raise NotImplementedError


def plan_move(organization: Organization, wish: Wish) -> Plan:
    """The plan of a move of an active organization, with all that speaks against it in ``checks``;
    documents are counted by reading.

    Raises UnknownCluster, NotMovable where the organization isn't active or is being changed, and
    MoveOpen where it moves already or has a way back.
    """
    raise NotImplementedError
