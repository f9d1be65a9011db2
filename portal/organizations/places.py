"""The place of an organization's documents, and its meaning, in words for admins."""

from collections.abc import Mapping
from dataclasses import dataclass

from humanize import intcomma

from portal import settings
from portal.database.clusters import KnownCluster, find_cluster, known_clusters
from portal.database.together import Part, Read, Stages
from portal.documents.figures import OrganizationFigures
from portal.documents.organizations import (
    MAIN_CLUSTER,
    Organization,
    OrganizationState,
    Placement,
    Strategy,
)
from portal.organizations.moving.explaining import strategy_in_words
from portal.organizations.usage.limits import Limit, LimitKind
from portal.web import template_filters

MOST_COUNTED = 1000

Limits = Mapping[LimitKind, Limit]
_Words = Mapping[Strategy, tuple[str, str]]

_OWN_TITLES = {
    Strategy.COLLECTION: "In a collection of its own",
    Strategy.DATABASE: "In a database of its own",
    Strategy.SHARED: "In a collection that it shares",
}
_LEADS = {
    Strategy.COLLECTION: (
        "No other organization’s documents are in that collection, and who may reach another one "
        "can’t reach this by it."
    ),
    Strategy.DATABASE: (
        "No other organization’s documents are in that database, and who may reach another one "
        "can’t reach this by it."
    ),
    Strategy.SHARED: (
        "Each document there carries the mark of its organization, and whatever reads or writes "
        "by this portal, its data API or its library stays within it."
    ),
}
_ALTERNATIVES = {
    Strategy.COLLECTION: (Strategy.DATABASE, "If it had a database of its own"),
    Strategy.DATABASE: (Strategy.COLLECTION, "If it had a collection of its own"),
    Strategy.SHARED: (Strategy.COLLECTION, "If it had a collection of its own"),
}
_APART = {
    Strategy.COLLECTION: ("its own collection and rights", "machine and disk are shared"),
    Strategy.DATABASE: ("its own database and rights", "machine and disk are shared"),
    Strategy.SHARED: ("a mark on each document", "collection, machine and disk are shared"),
}
_INDEXES = {
    Strategy.COLLECTION: ("its own", ""),
    Strategy.DATABASE: ("its own", ""),
    Strategy.SHARED: ("none of its own", "its documents are found by their id, or read one by one"),
}
_RULES = {
    Strategy.COLLECTION: ("its own", "MongoDB checks each write by them"),
    Strategy.DATABASE: ("its own", "MongoDB checks each write by them"),
    Strategy.SHARED: ("none of its own", "they would hold for the others’ documents too"),
}
_USERS = {
    Strategy.COLLECTION: ("reach its collection alone", ""),
    Strategy.DATABASE: ("reach its collection alone", "where the portal may make users there"),
    Strategy.SHARED: ("not offered", "they would reach the others’ documents too"),
}
_BACKUPS = {
    Strategy.COLLECTION: ("with its cluster", "can be restored alone"),
    Strategy.DATABASE: ("with its cluster", "can be restored alone"),
    Strategy.SHARED: ("with its cluster", "restored alone it has to be picked out of the others"),
}
_LOST_BACKUP = ("none that the portal knows of", "it makes none itself: ask whoever runs it")
_RENAMING = {
    Strategy.COLLECTION: ("the collection gets the new name", "MongoDB users have to use that"),
    Strategy.DATABASE: ("nothing there changes", ""),
    Strategy.SHARED: ("nothing there changes", ""),
}
_HOW_MUCH = {
    Strategy.COLLECTION: ("as much as its cluster holds", "documents of up to 16 MB each"),
    Strategy.DATABASE: ("as much as its cluster holds", "documents of up to 16 MB each"),
    Strategy.SHARED: ("as much as its cluster holds", "a large or busy one should have its own"),
}
_MEANINGS = (
    ("Kept apart by", _APART),
    ("How much", _HOW_MUCH),
    ("Indexes", _INDEXES),
    ("Rules", _RULES),
    ("MongoDB users", _USERS),
    ("Backup", _BACKUPS),
    ("When it is renamed", _RENAMING),
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """A row of the page: what it is about, what holds here, with a remark, and what would hold in
    the other place, where that differs."""

    about: str
    here: str
    remark: str
    there: str


@dataclass(frozen=True, slots=True)
class Place:
    """The place of an organization's documents: a sentence, what it means, and beside what."""

    title: str
    lead: str
    meanings: tuple[Meaning, ...]
    alternative: str
    cluster: KnownCluster
    database: str
    measured: OrganizationFigures | None = None


def reading_place(organization: Organization, limits: Limits) -> Part[Place]:
    """Reads the organization's place: of the cluster's other organizations how many they are, and
    of what was lost there how much that was when it was ``measured`` last. Raises
    UnknownCluster."""
    placement = organization.placement
    cluster, strategy = find_cluster(placement.cluster), Strategy(placement.strategy)
    other, alternative = _ALTERNATIVES[strategy]
    about: dict[str, _Words] = dict(_MEANINGS)
    about["How much"] = _within(limits)
    if cluster.lost_at:
        about["Backup"] = dict.fromkeys(Strategy, _LOST_BACKUP)
    meanings = [_meaning(name, words[strategy], words[other]) for name, words in about.items()]
    others = yield from _reading_others(placement, strategy)
    measured = (yield from _reading_figures(organization)) if cluster.lost_at else None
    return Place(
        title=_title(strategy, cluster, others),
        lead=_LEADS[strategy],
        meanings=(*meanings, _region(organization, cluster), _outage(cluster)),
        alternative=alternative,
        cluster=cluster,
        database=placement.database or settings.current().tenant_db,
        measured=measured,
    )


def in_words(placement: Placement) -> str:
    """A place in a few words, also in a cluster that isn't registered any more: “a collection of
    its own in eu-central”."""
    regions = {known.name: known.region for known in known_clusters()}
    region = regions.get(placement.cluster)
    where = f"in {region}" if region else f"on {placement.cluster}"
    return f"{strategy_in_words(placement)} {where}"


def changes_between(source: Placement, target: Placement) -> tuple[Meaning, ...]:
    """The rows of what is different at the ``target``, where ``there`` tells of that."""
    here, there = Strategy(source.strategy), Strategy(target.strategy)
    rows = [_meaning(about, words[here], words[there]) for about, words in _MEANINGS]
    if source.cluster != target.cluster:
        rows.insert(0, Meaning("Cluster", source.cluster, "", target.cluster))
    return tuple(row for row in rows if row.there != "the same")


def _meaning(about: str, here: tuple[str, str], there: tuple[str, str]) -> Meaning:
    return Meaning(about, *here, "the same" if here == there else ", ".join(filter(None, there)))


def _within(limits: Limits) -> _Words:
    """How much the organization may have, where its limits say that."""
    documents, size = (limits[kind].allowed for kind in (LimitKind.DOCUMENTS, LimitKind.BYTES))
    told = [f"{intcomma(documents)} documents"] if documents else []
    told += [template_filters.size(size)] if size else []
    if not told:
        return _HOW_MUCH
    return {strategy: (", ".join(told), remark) for strategy, (_, remark) in _HOW_MUCH.items()}


def _region(organization: Organization, cluster: KnownCluster) -> Meaning:
    if organization.region:
        kept = "nothing moves its documents out of there"
        return Meaning("Region", f"{organization.region}, bound to it", kept, "the same")
    return Meaning("Region", cluster.region or "not named", "it is bound to none", "the same")


def _outage(cluster: KnownCluster) -> Meaning:
    if cluster.lost_at:
        lost = f"it was given up as lost on {cluster.lost_at:%-d %B %Y}"
        return Meaning(
            "Its cluster", lost, "only a backup can bring its documents back", "the same"
        )
    waits = "reads and writes are answered 503 until it is back"
    return Meaning("If that cluster stops", waits, "no acknowledged write is lost", "the same")


def _title(strategy: Strategy, cluster: KnownCluster, others: str) -> str:
    where = f", in {cluster.region}" if cluster.region else ""
    if strategy == Strategy.SHARED:
        return f"{_OWN_TITLES[strategy]} with {others}{where}."
    return f"{_OWN_TITLES[strategy]}{where}, on a cluster that it shares with {others}."


def _reading_figures(organization: Organization) -> Part[OrganizationFigures | None]:
    [rows] = yield [Read(OrganizationFigures, [{"$match": {"_id": organization.id}}])]
    return next(map(OrganizationFigures._from_son, rows), None)


def _reading_others(placement: Placement, strategy: Strategy) -> Part[str]:
    """The number of other organizations there in words, counted no further than MOST_COUNTED."""
    where = {"placement.cluster": placement.cluster}
    if placement.cluster == MAIN_CLUSTER:  # the first versions wrote none
        where = {"placement.cluster": {"$in": [MAIN_CLUSTER, None]}}
    strategies: list[str | None] = [*Strategy, None]
    wanted = {"placement.strategy": {"$in": strategies}, **where}
    if strategy == Strategy.SHARED:
        wanted = {"placement.pool": placement.pool}
    counted: Stages = [
        {"$match": {**wanted, "state": {"$ne": OrganizationState.PURGED}}},
        {"$limit": MOST_COUNTED + 2},
        {"$count": "n"},
    ]
    [rows] = yield [Read(Organization, counted)]
    others = rows[0]["n"] - 1 if rows else 0
    if others > MOST_COUNTED:
        return f"more than {MOST_COUNTED:,} others"
    return {0: "no other yet", 1: "1 other"}.get(others, f"{others:,} others")
