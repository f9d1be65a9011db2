"""Many moves in a row: a cluster is emptied, or the proposals of the placement policy are carried
out.

A run is a job that a command works on. Each of its moves is a move like any other, which the
portals carry out, and names the run as its ``drain``. So what a run has done is read from its
moves: whoever calls the command again goes on, and what somebody aborted is not begun again.
"""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import time as time_of_day

import structlog
from bson import ObjectId
from mongoengine import QuerySet

from portal import clock
from portal.documents.jobs import Job, JobState
from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import Organization
from portal.errors import PortalError
from portal.jobs.errors import JobExists
from portal.jobs.managing import start_job
from portal.jobs.running import JobFailed, JobKind, Run
from portal.organizations.lifecycle.moving import MOST_FENCES
from portal.organizations.moving import managing, starting
from portal.organizations.moving.errors import DrainPaused
from portal.organizations.moving.neighbours import Neighbours
from portal.organizations.moving.options import Options, Switch, Throttle
from portal.organizations.moving.planning import Plan
from portal.organizations.moving.surveying import Candidate, Course, Left, Survey, plan_of
from portal.placement.policies import Moves
from portal.web.context import RequestContext
from portal.web.counting import counted

log = structlog.get_logger()

KIND = JobKind("moves", goes_on="goes on when flask moves run is called again")
KINDS = (KIND,)

MOST_FAILURES = 2
"""The number of moves that fail until the run does."""

MOST_TRIES = 10
"""The tries to begin a move, each behind all others, until the organization is left."""

SUFFERING_LOOKS = 3
LOOK_SECONDS = 1.0
_COPIES = (MoveState.COPYING, MoveState.VERIFYING)


@dataclass(frozen=True, slots=True)
class Pace:
    """The pace of a run: moves ``at_once``; documents a second by all of them together, or so slow
    that the neighbours' p99 stays below. Where that is above ``suffering_ms``, the run stops.
    Outside of the ``hours``, in UTC, no move begins, and none switches."""

    at_once: int = 2
    documents_per_second: int | None = None
    neighbours_p99_ms: int | None = None
    suffering_ms: float = 250
    hours: tuple[time_of_day, time_of_day] | None = None
    without_way_back: bool = False
    way_back_days: int | None = None
    ends_credentials: bool = False

    @property
    def throttle(self) -> Throttle:
        """The limit of each move."""
        rate = self.documents_per_second
        return Throttle(rate and max(rate // self.at_once, 1), self.neighbours_p99_ms)

    @property
    def in_hours(self) -> bool:
        """True where it may go on now."""
        return Moves(hours=self.hours).allowed_at(clock.now().time())


@dataclass(frozen=True, slots=True)
class RunProgress:
    """The progress of a run: ``at`` are those that move, and what each waits for; ``left`` those
    that could not begin."""

    done: int
    total: int
    failed: int
    at: tuple[str, ...]
    waits_for: str | None = None
    left: tuple[Left, ...] = ()


Watch = Callable[[RunProgress], None]


def start_or_join(course: Course, survey: Survey, context: RequestContext) -> Job:
    """The job of the run, started unless it is open. Raises DrainPaused."""
    under_way = _moves_of(course).filter(open=True).order_by("created_at").first()
    since = under_way.created_at if under_way else clock.now()
    title = f"{course.title}: {counted(survey.total, 'organization')}"
    parameters = {"since": since}
    try:
        return start_job(
            KIND, course.subject, title, context, total=survey.total, parameters=parameters
        )
    except JobExists as error:
        if error.job.state == JobState.PAUSED:
            raise DrainPaused(str(error.job.id)) from error
        return error.job


def run_moves(
    run: Run, course: Course, survey: Survey, pace: Pace, context: RequestContext, watch: Watch
) -> dict[str, int]:
    """The work of the run's job; how many organizations came to which end.

    Raises JobFailed where MOST_FAILURES moves failed, or where neighbours suffer: no further move
    begins, those that copy are paused, and what is done stays.
    """
    return _Attempt(run, course, survey, pace, context, watch).follow()


class _Attempt:
    """An attempt at a run."""

    def __init__(
        self,
        run: Run,
        course: Course,
        survey: Survey,
        pace: Pace,
        context: RequestContext,
        watch: Watch,
    ) -> None:
        self.run, self.pace, self.context, self.watch = run, pace, context, watch
        self.course, self.queue = course, deque(survey.movable)
        self.moves = _moves_of(course).filter(created_at__gte=run.job.parameters["since"])
        self.tries: Counter[ObjectId] = Counter()
        self.left: list[Left] = []
        self.neighbours = [Neighbours(name) for name in sorted(self._clusters(survey))]
        self.suffered = 0

    def follow(self) -> dict[str, int]:
        while True:
            self.run.check()
            under_way = [move for move in self.moves.filter(open=True) if not _has_stopped(move)]
            self._check_failures()
            if not self.queue and not under_way:
                self._tell(under_way, None)
                return self._result()
            self._check_neighbours()
            self._tell(under_way, self._advance(under_way))
            time.sleep(LOOK_SECONDS)

    def _clusters(self, survey: Survey) -> set[str]:
        """All clusters that are moved from or to."""
        ids = [one.organization for one in survey.movable]
        return {
            *(one.wish.cluster for one in survey.movable if one.wish),
            *Organization.objects(id__in=ids).distinct("placement.cluster"),
            *self.moves.distinct("source.cluster"),
            *self.moves.distinct("target.cluster"),
        }

    def _advance(self, under_way: list[Move]) -> str | None:
        """Switch what is ready, and begin what is next; what it waits for, if that is no move."""
        if not self.pace.in_hours:
            return "its hours"
        if self.pace.hours:
            for move in under_way:
                if move.state == MoveState.READY and not move.switch_wanted and not move.paused:
                    self._switch(move)
        for _ in range(self.pace.at_once - len(under_way)):
            if not self.queue:
                break
            self._start(self.queue.popleft())
        return None

    def _switch(self, move: Move) -> None:
        try:
            managing.switch_move(str(move.id), self.context)
        except PortalError as error:  # somebody aborted it, say: the next look tells
            log.info("drain.not_switched", move=str(move.id), reason=error.words)

    def _start(self, candidate: Candidate) -> None:
        """Look at it once more, and start its move; what is in its way may be over in a while."""
        planned = plan_of(candidate)
        reason = planned.reason if isinstance(planned, Left) else self._try_start(planned)
        if reason is None:
            return
        self.tries[candidate.organization] += 1
        if self.tries[candidate.organization] < MOST_TRIES:
            self.queue.append(candidate)
        else:
            self.left.append(Left(candidate.slug, reason))

    def _try_start(self, plan: Plan) -> str | None:
        """The reason why it did not start, if it didn't."""
        options = Options(
            switch=Switch.ON_COMMAND if self.pace.hours else Switch.VERIFIED,
            throttle=self.pace.throttle,
            without_way_back=self.pace.without_way_back,
            way_back_days=self.pace.way_back_days,
            ends_credentials=self.pace.ends_credentials,
            drain=self.course.subject,
        )
        organization = Organization.objects(id=plan.organization).first()
        if organization is None:
            return "it is gone"
        try:
            starting.start_move(organization, plan.planned, options, self.context)
        except PortalError as error:
            return error.words
        return None

    def _check_failures(self) -> None:
        failed = list(filter(_has_failed, self.moves.filter(outcome__ne=Outcome.MOVED)))
        if len(failed) < MOST_FAILURES:
            return
        told = "; ".join(f"{move.slug}: {_why(move)}" for move in failed[:MOST_FAILURES])
        raise JobFailed(f"{counted(len(failed), 'move')} failed. {told}", self._result())

    def _check_neighbours(self) -> None:
        p99 = {one.cluster: taken for one in self.neighbours if (taken := one.look()) is not None}
        worst = max(p99, key=p99.__getitem__, default=None)
        if worst is None or p99[worst] <= self.pace.suffering_ms:
            self.suffered = 0
            return
        self.suffered += 1
        if self.suffered < SUFFERING_LOOKS:
            return
        for move in self.moves.filter(open=True, state__in=_COPIES):
            self._pause(move)
        raise JobFailed(
            f"reads on {worst} take {p99[worst]:,.0f} ms (p99), {self.pace.suffering_ms:,.0f} may. "
            "What copies is paused",
            self._result(),
        )

    def _pause(self, move: Move) -> None:
        try:
            managing.pause_move(str(move.id), self.context)
        except PortalError as error:  # it is further meanwhile
            log.info("drain.not_paused", move=str(move.id), reason=error.words)

    def _tell(self, under_way: list[Move], waits_for: str | None) -> None:
        result = self._result()
        done = sum(result.values())
        at = tuple(map(_at, under_way))
        self.run.report(done, "moving", waits_for or ", ".join(at))
        failed = result["failed"]
        total, left = self.run.job.progress.total, tuple(self.left)
        self.watch(RunProgress(done, total, failed, at, waits_for, left))

    def _result(self) -> dict[str, int]:
        ended = list(self.moves.filter(open__ne=True))
        return {
            "moved": sum(move.outcome == Outcome.MOVED for move in ended),
            "aborted": sum(
                move.outcome != Outcome.MOVED and not _has_failed(move) for move in ended
            ),
            "failed": sum(map(_has_failed, self.moves)),
            "left": len(self.left),
        }


def _moves_of(course: Course) -> QuerySet:
    """The moves of all runs of the course, without the ways back."""
    return Move.objects(drain=course.subject, way_back_of=None)


def _has_failed(move: Move) -> bool:
    """Tell whether a move was given up, or stopped by itself. Only persons abort one."""
    return _has_stopped(move) if move.open else move.outcome == Outcome.GIVEN_UP


def _has_stopped(move: Move) -> bool:
    """Tell whether a move failed again and again, so that it waits for somebody."""
    if (move.fences_failed or 0) >= MOST_FENCES:
        return not (move.switch_wanted or move.switch_at or move.switch_in_hours)
    return bool(move.paused and move.last_error)


def _at(move: Move) -> str:
    return f"{move.slug} (waits for {move.waits_for})" if move.waits_for else move.slug


def _why(move: Move) -> str:
    return move.reason or move.last_error or move.cause or "it stopped"
