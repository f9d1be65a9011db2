"""The policy of placements: its text, checked, and its versions.

It is TOML, kept as its operator wrote it, comments included. ``DEFAULT`` is in force until a first
version is set.
"""

import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import time
from functools import lru_cache
from typing import Any

import marshmallow as ma
import structlog
from marshmallow import fields, validate
from mongoengine.errors import NotUniqueError

from portal import clock
from portal.audit.trail import installation, record
from portal.database.together import Part, Read, read
from portal.database.transactions import transactional
from portal.documents.installation import INSTALLATION
from portal.documents.organizations import Strategy
from portal.documents.placement_policy import PlacementPolicy
from portal.placement.errors import (
    InvalidPolicy,
    PolicyChanged,
    PolicyOfUnknownClusters,
    PolicyTooLong,
)
from portal.placement.identifiers import IDENTIFIER
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

log = structlog.get_logger()

_HOURS = re.compile(r"-".join([r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"] * 2))
_VERSION = re.compile(r"\A# Version (\d{1,9})[ \t]*\r?\n")
LONGEST_TEXT = 10_000
MOST_BYTES = 12 * LONGEST_TEXT + 8 * 1024
"""The size of a request with the longest text, if each letter is escaped, by twelve bytes."""
POLICY_SET = "placement_policy_set"

DEFAULT = """\
# Where a new organization's documents go: the first rule that matches it decides.
[[place]]
strategy = "collection"   # or "database", or "shared"
# plans = ["small"]       # only organizations of these plans
# first = 5000            # only while there are fewer organizations than this
# clusters = ["main"]     # there, unless none of them takes it; else wherever there is room

[guard]
full_at_percent = 95      # of what a cluster may hold: from there on organizations are shared
applications_follow = true  # to no cluster that an application has no URI for; false forces it

# What a cluster may hold follows from what it tells. Say it where that is wrong, or, for a hosted
# one, where it tells nothing.
# [limits.main]
# namespaces = 5000       # collections and indexes together, as hosted tiers count them
# collections = 20000
# databases = 1000

# Which should move. One that is over any of these should leave its shared collection ...
[promote]
documents = 100_000
bytes = 1_000_000_000
operations_a_day = 100_000

# ... and one that is under all of these may go into one.
[demote]
documents = 1_000
bytes = 10_000_000
operations_a_day = 100
idle_days = 90

[moves]
settled_days = 7          # as long a figure has to be over or under, and an organization has stayed
a_day = 100               # at most so many begin in 24 hours, by however many runs
hours = "22:00-05:00"     # when they may be carried out, in UTC
# offered_regions = ["eu-central"]  # owners may ask to be moved there; you decide on each
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for new organizations. ``None`` matches each plan, each number, each cluster."""

    strategy: Strategy
    plans: tuple[str, ...] | None = None
    first: int | None = None
    clusters: tuple[str, ...] | None = None

    @property
    def matches_all(self) -> bool:
        """True where no organization gets past it."""
        return self.plans is None and self.first is None

    def matches(self, plan: str | None, organizations: Callable[[], int]) -> bool:
        """Tell whether the rule is for one of this ``plan`` where there are so many already, who
        are only counted where the rule asks."""
        of_plan = self.plans is None or plan in self.plans
        return of_plan and (self.first is None or organizations() < self.first)


@dataclass(frozen=True, slots=True)
class Guard:
    """The share of its limits up to which a cluster takes another collection or database, and
    whether it takes any that an application can't follow to."""

    full_at_percent: int = 95
    applications_follow: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a cluster, as far as an operator sets them."""

    namespaces: int | None = None
    collections: int | None = None
    databases: int | None = None


@dataclass(frozen=True, slots=True)
class Promotion:
    """The figures over any of which an organization should leave its shared collection."""

    documents: int | None = None
    bytes: int | None = None
    operations_a_day: int | None = None


@dataclass(frozen=True, slots=True)
class Demotion:
    """The figures under all of which an organization may go into a shared collection."""

    documents: int | None = None
    bytes: int | None = None
    operations_a_day: int | None = None
    idle_days: int | None = None


@dataclass(frozen=True, slots=True)
class Moves:
    """Limits to moves: the days that figures have to hold, the number that begins in 24 hours, the
    hours; and the regions that owners may ask to be moved to."""

    settled_days: int = 7
    a_day: int = 100
    hours: tuple[time, time] | None = None
    offered_regions: tuple[str, ...] = ()

    def allowed_at(self, now: time) -> bool:
        """Tell whether the hours, which may go past midnight, include ``now``."""
        if self.hours is None:
            return True
        begin, end = self.hours
        return begin <= now < end if begin <= end else now >= begin or now < end


@dataclass(frozen=True, slots=True)
class Policy:
    """A version of the policy. Without ``promote`` or ``demote`` no move is proposed there."""

    place: tuple[Rule, ...]
    guard: Guard = Guard()
    limits: Mapping[str, Limits] = field(default_factory=dict)
    promote: Promotion | None = None
    demote: Demotion | None = None
    moves: Moves = Moves()
    version: int = 0

    def rule_for(self, plan: str | None, organizations: Callable[[], int]) -> Rule:
        """The first rule that matches; the last one matches all."""
        return next(rule for rule in self.place if rule.matches(plan, organizations))

    def limits_of(self, cluster: str) -> Limits:
        """The limits that the policy sets the cluster."""
        return self.limits.get(cluster, Limits())

    @property
    def clusters(self) -> set[str]:
        """The names of the clusters that it speaks of."""
        return {name for rule in self.place for name in rule.clusters or ()} | set(self.limits)


def parse_hours(text: str) -> tuple[time, time]:
    """The begin and the end, in UTC, of hours like 22:00-05:00. Raises ValueError, in words."""
    # Not all that fromisoformat takes: a time with a zone can't be compared with one without.
    if not _HOURS.fullmatch(text):
        raise ValueError("Write them as 22:00-05:00, in UTC.")
    begin, end = map(time.fromisoformat, text.split("-"))
    if begin == end:
        raise ValueError("These are no hours at all: leave them out for all day.")
    return begin, end


class _Number(fields.Integer):
    """A whole number of at least ``least``."""

    def __init__(self, least: int = 0, most: int | None = None) -> None:
        super().__init__(strict=True, validate=validate.Range(least, most))

    def _validated(self, value: Any) -> Any:
        if isinstance(value, bool):  # a number, to Python
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class _Names(fields.List):
    """One or more plans, regions or clusters."""

    def __init__(self) -> None:
        name = fields.String(
            validate=validate.Regexp(
                re.compile(rf"{IDENTIFIER.pattern}\Z"),
                error="Use 1 to 40 lowercase letters, digits and -.",
            )
        )
        super().__init__(name, validate=validate.Length(min=1, error="Name one or more."))

    def _deserialize(self, *given: Any, **options: Any) -> Any:
        return tuple(super()._deserialize(*given, **options))


class _Hours(fields.String):
    """From when until when, as 22:00-05:00."""

    def _deserialize(self, *given: Any, **options: Any) -> Any:
        text = super()._deserialize(*given, **options)
        try:
            return parse_hours(text)
        except ValueError as error:
            raise ma.ValidationError(str(error)) from error


class _Section(ma.Schema):
    made: type

    @ma.post_load
    def _make(self, values: dict[str, Any], **_: Any) -> Any:
        return self.made(**values)


class _Rule(_Section):
    made = Rule
    strategy = fields.Enum(Strategy, by_value=True, required=True)
    plans = _Names()
    first = _Number(1)
    clusters = _Names()


class _Guard(_Section):
    made = Guard
    full_at_percent = _Number(1, 100)
    applications_follow = fields.Boolean(truthy={True}, falsy={False})


class _Limits(_Section):
    made = Limits
    namespaces = _Number(1)
    collections = _Number(1)
    databases = _Number(1)


class _Promotion(_Section):
    made = Promotion
    documents = _Number(1)
    bytes = _Number(1)
    operations_a_day = _Number(1)


class _Demotion(_Section):
    made = Demotion
    documents = _Number(1)
    bytes = _Number(1)
    operations_a_day = _Number(1)
    idle_days = _Number(1)


class _Moves(_Section):
    made = Moves
    settled_days = _Number(1)
    a_day = _Number(1)
    hours = _Hours()
    offered_regions = _Names()


class _Policy(_Section):
    made = Policy
    place = fields.List(
        fields.Nested(_Rule),
        required=True,
        validate=validate.Length(min=1, error="Write one or more rules."),
    )
    guard = fields.Nested(_Guard)
    limits = fields.Dict(keys=fields.String(), values=fields.Nested(_Limits))
    promote = fields.Nested(_Promotion)
    demote = fields.Nested(_Demotion)
    moves = fields.Nested(_Moves)

    @ma.post_load
    def _make(self, values: dict[str, Any], **_: Any) -> Any:
        return Policy(**{**values, "place": tuple(values["place"])})

    @ma.validates_schema
    def _check_rules(self, values: dict[str, Any], **_: Any) -> None:
        rules = values["place"]
        for number, rule in enumerate(rules[:-1], 1):
            if rule.matches_all:
                raise ma.ValidationError({"place": {number: ["No organization gets this far."]}})
        if not rules[-1].matches_all:
            last = len(rules) - 1
            raise ma.ValidationError(
                {
                    "place": {
                        last: ["The last rule has neither plans nor first: it is for the rest."]
                    }
                }
            )

    @ma.validates_schema
    def _check_gap(self, values: dict[str, Any], **_: Any) -> None:
        promote, demote = values.get("promote"), values.get("demote")
        for name in ("documents", "bytes", "operations_a_day") if promote and demote else ():
            over, under = getattr(promote, name), getattr(demote, name)
            if over is not None and under is not None and under > over / 2:
                raise ma.ValidationError(
                    {
                        "demote": {
                            name: ["Half of what promote has, at most: else they go to and fro."]
                        }
                    }
                )


def current_policy() -> Policy:
    """The policy in force: its highest version, or the default.

    One that this portal doesn't understand was set by a newer one beside it, and is passed over for
    the one before.
    """
    return read(reading_policy())


def reading_policy() -> Part[Policy]:
    """Reads it."""
    [rows] = yield [Read(PlacementPolicy, [{"$sort": {"_id": -1}}, {"$limit": 10}])]
    for stored in rows:
        try:
            return _parsed(stored["text"], stored["_id"])
        except InvalidPolicy as error:
            log.error("placement_policy.not_understood", version=stored["_id"], error=error.listed)
    return _parsed(DEFAULT, 0)


def current_text() -> tuple[int, str]:
    """The version in force, and its text."""
    stored = PlacementPolicy.objects.order_by("-id").first()
    return (stored.id, stored.text) if stored else (0, DEFAULT)


def with_version(text: str, version: int) -> str:
    """The text with the version in its first line, where ``version_in`` reads it."""
    return f"# Version {version}\n{_VERSION.sub('', text, count=1)}"


def version_in(text: str) -> int | None:
    """The version in the first line, if it has one."""
    found = _VERSION.match(text)
    return int(found[1]) if found else None


def set_policy(
    text: str, replaces: int, known_clusters: Collection[str], context: RequestContext
) -> Policy:
    """Put the ``text`` in force in place of the version that it ``replaces``, and record that.

    Raises InvalidPolicy, also for a cluster that isn't among those known, and PolicyChanged where
    another version is in force; then nothing is changed.
    """
    if len(text) > LONGEST_TEXT:
        raise PolicyTooLong(LONGEST_TEXT)
    policy = _parsed(text, replaces + 1)
    if unknown := sorted(policy.clusters - set(known_clusters)):
        raise PolicyOfUnknownClusters(unknown)
    _insert(policy.version, text, context)
    return policy


def _insert(version: int, text: str, context: RequestContext) -> None:
    @transactional
    def insert() -> None:
        claim_key(context, INSTALLATION, POLICY_SET, INSTALLATION)
        in_force, _ = current_text()
        if version != in_force + 1:
            raise PolicyChanged(in_force)
        PlacementPolicy(id=version, text=text, set_at=clock.now()).insert()
        record(installation(), "placement_policy.set", context.origin, version=str(version))

    try:
        insert()
    except NotUniqueError as error:
        raise PolicyChanged(current_text()[0]) from error


@lru_cache(maxsize=4)
def _parsed(text: str, version: int) -> Policy:
    """Raises InvalidPolicy."""
    try:
        policy = _Policy().load(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).rstrip(")").partition(" (at ")
        raise InvalidPolicy({place or "the text": f"{reason}."}) from error
    except ma.ValidationError as error:
        raise InvalidPolicy(dict(_faults(error.normalized_messages()))) from error
    return replace(policy, version=version)


def _faults(messages: Any, *path: str) -> Iterator[tuple[str, str]]:
    """The messages by the field that each is about; rules are counted from 1."""
    if isinstance(messages, dict):
        for key, nested in messages.items():
            name = f"rule {key + 1}" if path == ("place",) and isinstance(key, int) else str(key)
            yield from _faults(nested, *path, name)
    else:
        yield ", ".join(path), " ".join(messages)
