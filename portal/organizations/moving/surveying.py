"""Selections of organizations that are to move: all on a cluster, or those that the policy
proposes. All are looked at before the first one moves."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace

from bson import ObjectId
from pymongo.errors import PyMongoError

from portal.documents.moves import Move, Outcome
from portal.documents.organizations import MAIN_CLUSTER, Organization, OrganizationState, Strategy
from portal.errors import PortalError, Unavailable
from portal.organizations.access.errors import UnknownStrategy
from portal.organizations.access.strategies import check_strategy
from portal.organizations.moving.planning import Plan, Wish, plan_move
from portal.placement import capacity
from portal.placement.choosing import choose_other
from portal.placement.policies import Policy, current_policy
from portal.placement.proposals import BY_POLICY, Reason, propose_moves
from portal.web.counting import counted


@dataclass(frozen=True, slots=True)
class Candidate:
    """An organization that is to move; ``obstacle`` where there is no place for it. ``bytes`` is
    its size, once it is planned."""

    organization: ObjectId
    slug: str
    wish: Wish | None
    obstacle: str = ""
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Course:
    """The moves that a run is to make. Of a ``subject`` there is one run at a time."""

    subject: str
    title: str
    candidates: Callable[[], Iterator[Candidate]]


@dataclass(frozen=True, slots=True)
class Left:
    """An organization that stays where it is, and why."""

    slug: str
    reason: str


@dataclass(slots=True)
class Survey:
    """All organizations of a course: those that may move, the smallest first; those that something
    speaks against; those that are ``left_out``, since somebody stopped their move; and the number
    of those that are under way already."""

    movable: list[Candidate] = field(default_factory=list)
    unfit: list[Left] = field(default_factory=list)
    left_out: list[Left] = field(default_factory=list)
    under_way: int = 0

    @property
    def total(self) -> int:
        """The number of organizations that the run is to move."""
        return len(self.movable) + self.under_way


def emptying(cluster: str, target: str | None = None, strategy: Strategy | None = None) -> Course:
    """All organizations leave the cluster: for the ``target``, or for others that take
    organizations, each for one of its region. They are kept there as before, unless by another
    ``strategy``."""

    def candidates() -> Iterator[Candidate]:
        for found in organizations_on(cluster):
            try:
                check_strategy(found)
            except UnknownStrategy as newer:
                yield Candidate(found.id, found.slug, None, newer.words)
                continue
            kept = strategy or Strategy(found.placement.strategy)
            yield _candidate(found, kept, target)

    return Course(f"from {cluster}", f"Moves off {cluster}", candidates)


def by_policy(policy: Policy) -> Course:
    """The moves that the policy proposes."""

    def candidates() -> Iterator[Candidate]:
        for proposal in propose_moves(policy):
            found = Organization.objects(id=proposal.organization).first()
            if found:
                stays = proposal.reason != Reason.REGION
                yield _candidate(found, proposal.to, found.placement.cluster if stays else None)

    return Course(BY_POLICY, "Moves by the placement policy", candidates)


def organizations_on(cluster: str) -> Iterator[Organization]:
    """The organizations whose place is on the cluster, those in the trash too, in the order of
    their ids."""
    here = [cluster, None] if cluster == MAIN_CLUSTER else [cluster]
    kept = [OrganizationState.ACTIVE, OrganizationState.TRASHED]
    wanted = {"placement.cluster": {"$in": here}, "state": {"$in": kept}}
    return iter(Organization.objects(__raw__=wanted).order_by("id").no_cache())


def survey_course(
    course: Course, again: Collection[str] = (), watch: Callable[[int], None] | None = None
) -> Survey:
    """Look at each organization of the course, and plan its move. Whose last move somebody stopped,
    or went back on, is left out, but for the slugs in ``again``."""
    survey = Survey()
    for number, candidate in enumerate(course.candidates(), 1):
        if watch:
            watch(number)
        latest = _latest_move(candidate.organization)
        stopped = _stopped_by_somebody(latest) if latest else None
        if latest and latest.open and latest.drain == course.subject and not latest.way_back_of:
            survey.under_way += 1
        elif stopped and candidate.slug not in again:
            survey.left_out.append(Left(candidate.slug, stopped))
        elif isinstance(planned := plan_of(candidate), Plan):
            survey.movable.append(replace(candidate, bytes=planned.bytes))
        else:
            survey.unfit.append(planned)
    survey.movable.sort(key=lambda one: (one.bytes, one.organization))
    _leave_room(survey)
    return survey


def plan_of(candidate: Candidate) -> Plan | Left:
    """The plan of the candidate's move as it is now, or what speaks against it."""
    if candidate.wish is None:
        return Left(candidate.slug, candidate.obstacle)
    organization = Organization.objects(id=candidate.organization).first()
    if organization is None:
        return Left(candidate.slug, "it is gone")
    try:
        plan = plan_move(organization, candidate.wish)
    except PortalError as error:
        return Left(candidate.slug, error.words)
    return Left(candidate.slug, "; ".join(plan.obstacles)) if plan.obstacles else plan


def _candidate(organization: Organization, to: Strategy, cluster: str | None) -> Candidate:
    """``cluster`` is chosen where it isn't given."""
    present = organization.placement.cluster
    try:
        cluster = cluster or choose_other(present, organization.region)
    except PortalError as error:
        return Candidate(organization.id, organization.slug, None, error.words)
    return Candidate(organization.id, organization.slug, Wish(to, cluster))


def _latest_move(organization: ObjectId) -> Move | None:
    return Move.objects(organization=organization).order_by("-created_at").first()


def _stopped_by_somebody(move: Move) -> str | None:
    """The words on a person's decision against the move, if there was one."""
    if move.open or not move.ended_at:
        return None
    if move.outcome == Outcome.WENT_BACK:
        return f"it went back on {move.ended_at:%Y-%m-%d}"
    if move.outcome in (Outcome.ABORTED, Outcome.DECLINED):
        return f"its move was aborted on {move.ended_at:%Y-%m-%d}"
    return None


def _leave_room(survey: Survey) -> None:
    """Declare those unfit that are too many for their targets: each alone has room."""
    policy, taken = current_policy(), Counter[str]()
    rooms: dict[str, int | None] = {}
    fitting = []
    for one in survey.movable:
        if one.wish is None or one.wish.strategy == Strategy.SHARED:
            fitting.append(one)
            continue
        cluster = one.wish.cluster
        room = rooms.setdefault(cluster, _room_on(cluster, policy))
        if room is not None and taken[cluster] >= room:
            words = f"{cluster} has room for {counted(room, 'collection')} of those that come"
            survey.unfit.append(Left(one.slug, words))
            continue
        taken[cluster] += 1
        fitting.append(one)
    survey.movable = fitting


def _room_on(cluster: str, policy: Policy) -> int | None:
    """The number of collections that the cluster takes, none where it tells no limit; ``None``
    where it doesn't answer."""
    try:
        reading = capacity.read(cluster, databases=True)
    except (PyMongoError, Unavailable):
        return None
    gauges = capacity.gauges_of(reading, policy.limits_of(cluster))
    full_at = policy.guard.full_at_percent
    return min((max(gauge.room(full_at), 0) for gauge in gauges), default=0)
