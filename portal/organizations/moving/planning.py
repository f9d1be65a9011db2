"""Plans of moves: what will be done, for how long, and what speaks against it, from one read."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from bson import ObjectId
from humanize import intcomma

from portal.applications.following import followers_of
from portal.database.clusters import database_of, find_cluster
from portal.database.connection import server_time
from portal.database.errors import UnknownCluster
from portal.database.users import missing_rights
from portal.documents.moves import Move, MoveState
from portal.documents.organizations import (
    Operation,
    Organization,
    OrganizationState,
    Placement,
    Strategy,
)
from portal.errors import NotFound
from portal.organizations.access.strategies import check_strategy
from portal.organizations.credentials.travelling import travelling
from portal.organizations.lifecycle import engine, moving, pools
from portal.organizations.lifecycle.errors import TenantCollectionMissing
from portal.organizations.lifecycle.moves import is_at, place_of
from portal.organizations.lifecycle.naming import database_name, name_after_move
from portal.organizations.moving.errors import (
    ChangingNotMovable,
    FailingNotMovable,
    InvalidMoveCluster,
    MoveOpen,
    NotMovable,
    PurgedNotMovable,
    UnreadablePlan,
)
from portal.organizations.moving.servers import check_servers
from portal.organizations.moving.sources import check_source
from portal.organizations.moving.wishes import Check, Wish
from portal.tenants import collections
from portal.tenants.collections import CollectionElsewhere, CollectionMissing, uuid_of
from portal.tenants.moving.errors import PlaceGone
from portal.tenants.moving.following import MOST_ID_BYTES
from portal.tenants.moving.oplog import copied_bytes
from portal.tenants.moving.places import Place
from portal.tenants.moving.structures import Structure, left_behind, read_structure, unfit

IN_WORDS = {
    Strategy.COLLECTION: "a collection of its own",
    Strategy.DATABASE: "a database of its own",
    Strategy.SHARED: "a shared collection",
}
"""The ways in which documents are kept, in words."""

# As measured, on two cores: documents of 1 KB, with writers.
_COPIED_PER_SECOND = {Strategy.SHARED: 5_000}
_OTHERS_COPIED_PER_SECOND = 8_000
_VERIFIED_PER_SECOND = 40_000
_BYTES_PER_SECOND = 8 * 2**20
_LEAST_SECONDS = 1.0
_PAUSE_MS, _SHARED_PAUSE_MS = 30.0, 60.0
LONGEST_PAUSE_MS = 1000 * (
    moving.FENCE_TRIES.seconds * (1 + len(moving.FENCE_TRIES.pauses))
    + sum(moving.FENCE_TRIES.pauses)
    + moving.DRAIN_SECONDS
)
# More documents than these are another plan.
_GROWN, _GROWN_BY_FEW = 1.5, 1000
_COUNTED_MS = 60_000
_COUNTS: dict[str, Any] = {
    "_id": None,
    "documents": {"$sum": 1},
    "largest_id": {"$max": {"$bsonSize": {"_id": "$_id"}}},
}
_FIGURES = ({"$group": {**_COUNTS, "bytes": {"$sum": {"$bsonSize": "$$ROOT"}}}},)
_OF_FIGURES = ("documents", "bytes", "largest_id")
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Figures:
    """The documents of an organization, by reading, their size, and that of the largest id."""

    documents: int = 0
    size_bytes: int = 0
    largest_id_bytes: int = 0


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
        """The objections to the move, in words: without any it may start."""
        return tuple(check.words for check in self.checks if not check.passed)

    @property
    def planned(self) -> "Planned":
        """The part of it that ``start_move`` compares with the world."""
        return Planned(self.wish, self.documents, dict(self.facts))

    def differences_from(self, planned: "Planned") -> list[str]:
        """The differences from how it was planned, each in a few words."""
        names = [name for name in self.facts if self.facts[name] != planned.facts.get(name)]
        found = [
            f"{name} is {self.facts[name]}, and was {planned.facts.get(name)}" for name in names
        ]
        most = max(planned.documents * _GROWN, planned.documents + _GROWN_BY_FEW)
        if self.documents > most:
            now, before = intcomma(self.documents), intcomma(planned.documents)
            found.append(f"there are {now} documents, and were {before}")
        return found


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan as it travels through a form or a file: the wish, and what it went by."""

    wish: Wish
    documents: int
    facts: Mapping[str, str]

    def dumps(self) -> str:
        """The plan as text of letters and digits, for a hidden field or an argument."""
        told = [self.wish.strategy, self.wish.cluster, self.documents, dict(self.facts)]
        return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()

    @classmethod
    def loads(cls, text: str) -> Self:
        """From that text, which may come from anybody. Raises UnreadablePlan."""
        try:
            strategy, cluster, documents, facts = json.loads(base64.urlsafe_b64decode(text))
            wish = Wish(Strategy(strategy), str(cluster))
            return cls(wish, int(documents), {str(name): str(facts[name]) for name in facts})
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise UnreadablePlan from error


def plan_move(organization: Organization, wish: Wish) -> Plan:
    """The plan of a move of an active organization, or of one in the trash, with all that speaks
    against it in ``checks``; documents are counted by reading. It may be renamed or moved
    meanwhile: the plan is of the place where it lives then.

    Raises InvalidMoveCluster, NotFound; UnknownStrategy where a newer version placed it; NotMovable
    where it is purged or being changed; MoveOpen where it moves already or has a way back, a
    request is none yet; and TenantCollectionMissing where somebody dropped its collection in the
    database.
    """
    try:
        find_cluster(wish.cluster)
    except UnknownCluster as error:
        raise InvalidMoveCluster(wish.cluster) from error
    while True:
        _check_movable(organization)
        try:
            return _plan(organization, wish)
        except (PlaceGone, CollectionMissing) as gone:
            current = Organization.objects(id=organization.id).first()
            if current is None:
                raise NotFound(organization.slug) from gone
            if is_at(current, organization.placement) and current.state == organization.state:
                _check_movable(current)
                raise TenantCollectionMissing(current.name) from gone
            organization = current


def _plan(organization: Organization, wish: Wish) -> Plan:
    source = organization.placement
    place = place_of(organization.id, source)
    structure = read_structure(place)
    figures = _figures(organization, place)
    documents, size = figures.documents, figures.size_bytes
    pace = _COPIED_PER_SECOND.get(wish.strategy, _OTHERS_COPIED_PER_SECOND)
    seconds = max(documents / pace, size / _BYTES_PER_SECOND) + documents / _VERIFIED_PER_SECOND
    shared = Strategy.SHARED in (source.strategy, wish.strategy)
    checks = (
        *_checks(organization, wish, structure),
        _check_ids(figures.largest_id_bytes),
        *check_source(organization, wish, place, structure, size),
        *check_servers(
            source.cluster,
            wish,
            copied_bytes=copied_bytes(documents, size),
            seconds=seconds,
            indexes=len(structure.indexes),
        ),
    )
    return Plan(
        organization=organization.id,
        slug=organization.slug,
        name=organization.name,
        at=server_time(),
        wish=wish,
        source=source,
        documents=documents,
        bytes=size,
        seconds=seconds + _LEAST_SECONDS,
        documents_per_second=documents / seconds if seconds else float(pace),
        pause_ms=_SHARED_PAUSE_MS if shared else _PAUSE_MS,
        longest_pause_ms=LONGEST_PAUSE_MS,
        changes=tuple(_changes(organization, wish, structure)),
        left_behind=tuple(_left_behind(organization, wish, structure)),
        checks=checks,
        facts=_facts(organization, structure),
    )


def wish_of(requested: Move) -> Wish:
    """The place that owners have asked for."""
    return Wish(Strategy(requested.target.strategy), requested.target.cluster)


def target_of(organization: Organization, wish: Wish) -> Placement:
    """The placement that a wish means, with a pool where it will be in one. Raises
    PoolUnavailable."""
    target = Placement(strategy=wish.strategy, cluster=wish.cluster)
    if wish.strategy == Strategy.SHARED:
        pool = pools.pool_with_room(wish.cluster)
        target.pool, target.database = pool.id, pool.database
    elif wish.strategy == Strategy.DATABASE:
        target.database = database_name(organization.id)
    return target


def _check_movable(organization: Organization) -> None:
    check_strategy(organization)
    if organization.state == OrganizationState.PURGED:
        raise PurgedNotMovable(organization.name)
    if organization.operation:
        raise _changing(organization.name, organization.operation)
    begun = Move.objects(organization=organization.id, open=True, state__ne=MoveState.REQUESTED)
    if found := begun.first():
        raise MoveOpen(organization.name, str(found.id), found.state)


def _changing(name: str, operation: Operation) -> NotMovable:
    doing = engine.doing(operation.kind)
    if not operation.last_error:
        return ChangingNotMovable(name, doing)
    return FailingNotMovable(name, doing, operation.attempt, operation.last_error)


def _figures(organization: Organization, place: Place) -> _Figures:
    if place.shared:
        pool = organization.placement.pool
        rows = pools.read_documents(pool, organization.id, _FIGURES, _COUNTED_MS)
        return _Figures(*(rows[0][each] for each in _OF_FIGURES)) if rows else _Figures()
    rows = place.read("aggregate", {
        "pipeline": [{"$group": _COUNTS}],
        "hint": {"_id": 1},
        "cursor": {},
        "maxTimeMS": _COUNTED_MS,
    })["cursor"]["firstBatch"]  # fmt: skip
    if not rows:
        return _Figures()
    return _Figures(rows[0]["documents"], _size_of(place), rows[0]["largest_id"])


def _size_of(place: Place) -> int:
    """The size of a collection of its own, whatever its name is."""
    while True:
        try:
            return collections.collection_figures(place.database, place.uuid, place.name).size_bytes
        except CollectionElsewhere as found:
            place.name = found.actual_name


def _checks(organization: Organization, wish: Wish, structure: Structure) -> list[Check]:
    source, target = organization.placement, target_placement(organization, wish)
    checks = [_check_elsewhere(source, wish)]
    checks += _check_cluster(organization, wish)
    reasons = unfit(structure, wish.strategy)
    checks += [Check(reason, passed=False) for reason in reasons] or [
        Check("Its collection can be brought along")
    ]
    checks.append(_check_credentials(organization, wish))
    checks.append(_check_stray(organization, target))
    checks += [
        Check(f"{follower.application} can’t follow to {wish.cluster}: {follower.obstacle}", False)
        for follower in followers_of(wish.cluster)
        if not follower.follows
    ] or [Check(f"All applications reach {wish.cluster}")]
    return checks


def target_placement(organization: Organization, wish: Wish) -> Placement:
    """The placement that is wished, without a pool."""
    own = wish.strategy == Strategy.DATABASE
    return Placement(
        strategy=wish.strategy,
        cluster=wish.cluster,
        database=database_name(organization.id) if own else None,
    )


def _check_elsewhere(source: Placement, wish: Wish) -> Check:
    same = source.cluster == wish.cluster and source.strategy == wish.strategy
    words = f"It already has {IN_WORDS[wish.strategy]} on {wish.cluster}"
    return Check(words, passed=False) if same else Check("It is another place")


def _check_ids(largest_bytes: int) -> Check:
    if largest_bytes <= MOST_ID_BYTES:
        return Check("Its _ids are small enough to be followed")
    return Check(
        f"It has an _id of {largest_bytes / _MB:.1f} MB, and {MOST_ID_BYTES // _MB} MB is the most "
        "that a stream of changes can be relied on to tell: give that document a smaller one",
        passed=False,
    )


def _check_cluster(organization: Organization, wish: Wish) -> list[Check]:
    cluster = find_cluster(wish.cluster)
    if cluster.lost_at:
        return [Check(f"The cluster {wish.cluster} was given up as lost", passed=False)]
    if organization.region and organization.region != cluster.region:
        words = f"It is bound to the region {organization.region}, and {wish.cluster} is in "
        return [Check(words + (cluster.region or "none"), passed=False)]
    return [Check("Its region allows it")] if organization.region else []


def _check_credentials(organization: Organization, wish: Wish) -> Check:
    lacking = travelling(organization, target_placement(organization, wish))
    if not lacking:
        return Check("It has no credentials that would have to be recreated")
    if wish.strategy == Strategy.SHARED:
        return Check("It has credentials, which reach no shared collection: revoke them", False)
    home = database_of(target_placement(organization, wish))
    if missing := missing_rights(home):
        words = f"The portal may not make MongoDB users in {home.name} on {wish.cluster}"
        return Check(f"{words}: it lacks {', '.join(missing)}", passed=False)
    return Check("Its credentials can be given users there")


def _check_stray(organization: Organization, target: Placement) -> Check:
    name = name_after_move(organization, target)
    if name is None:
        return Check("Nothing is in the way")
    database = database_of(target)
    if uuid_of(database, name) in (None, organization.placement.uuid):
        return Check(f"Nothing is called {name} on {target.cluster}")
    words = f"{database.name} on {target.cluster} has a collection {name} that isn’t the portal’s"
    return Check(words, passed=False)


def _changes(organization: Organization, wish: Wish, structure: Structure) -> list[Change]:
    source = organization.placement
    changes = [Change("Placement", IN_WORDS[Strategy(source.strategy)], IN_WORDS[wish.strategy])]
    if source.cluster != wish.cluster:
        regions = find_cluster(source.cluster).region, find_cluster(wish.cluster).region
        note = f"region {regions[0] or 'none'}, then {regions[1] or 'none'}"
        changes.append(Change("Cluster", source.cluster, wish.cluster, note))
    to_shared, from_shared = (Strategy.SHARED in (one,) for one in (wish.strategy, source.strategy))
    if to_shared != from_shared:
        own, none = "possible", "not possible"
        now, after = (none, own) if from_shared else (own, none)
        changes.append(Change("Indexes of its own", now, after))
        changes.append(Change("App credentials", now, after))
    return changes


def _left_behind(organization: Organization, wish: Wish, structure: Structure) -> list[LeftBehind]:
    found = [
        LeftBehind(
            "Cursors that are open at the switch",
            "library and data API go on from the last key; others are told",
        ),
        LeftBehind(
            "Change streams of other programs", "the library’s watch goes on at the new place"
        ),
    ]
    if lacking := travelling(organization, target_placement(organization, wish)):
        names = ", ".join(sorted(each.name for each in lacking))
        found.append(
            LeftBehind(
                f"Passwords of MongoDB users: {names}",
                "before the switch owners make a new string of each, on the page of MongoDB users; "
                "it waits for them unless it is told to end those without",
                warning=True,
            )
        )
    here = organization.placement.cluster
    if organization.region not in (None, find_cluster(here).region):
        found.append(
            LeftBehind(
                f"A way back to {here}",
                f"that is outside of {organization.region}, so nothing goes back there: end it "
                "soon, since the old copy is kept there until then, or move without one",
                warning=True,
            )
        )
    found += [LeftBehind(words, "") for words in left_behind(structure, wish.strategy)]
    return found


def _facts(organization: Organization, structure: Structure) -> dict[str, str]:
    placement = organization.placement
    collection = placement.uuid or f"the shared collection {placement.pool}"
    return {
        "the place": f"{placement.strategy} on {placement.cluster}, {collection}",
        "the state": organization.state,
        "the number of indexes": str(len(structure.indexes)),
        "the names of indexes": ", ".join(sorted(index.name for index in structure.indexes)),
        "the options of the collection": ", ".join(sorted(structure.options)) or "none",
        "the number of credentials": str(organization.credentials or 0),
        "the region": organization.region or "none",
    }
