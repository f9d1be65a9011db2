"""Carries moves out: copies, verifies, follows, switches, and removes what is left over.

Threads of each worker, for all moves: one copies and compares, a move at a time; one follows, in
slices of time, those that are ready or kept current as a way back, and switches them; one removes
what is left over. Whoever acquires a move goes on from its
record. All of it may be done again, and be done by several who each believe that the move is
theirs: batches name the attempt, and every change of the record the attempt and the state.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError

from portal.audit.deletions import Deletion, refuse
from portal.database.background import start_loop, wake
from portal.database.connection import server_time
from portal.database.leases import Interrupted, Renewing, seconds_from_now, summary
from portal.documents.moves import Move, MoveState, Outcome, VerificationResult
from portal.documents.organizations import OperationKind, Organization
from portal.errors import PortalError
from portal.organizations.credentials.travelling import travelling
from portal.organizations.lifecycle import engine, moves
from portal.organizations.lifecycle.moves import QUEUE, Attempt, held
from portal.organizations.lifecycle.moving import MOST_FENCES, begin_switch
from portal.organizations.lifecycle.naming import name_after_move
from portal.organizations.lifecycle.states import check_may_follow
from portal.organizations.moving import ending, targets
from portal.organizations.moving.changes import COPY, END, FOLLOW
from portal.organizations.moving.exercising import exercise_way_back
from portal.organizations.moving.pacing import Pace
from portal.organizations.moving.stopping import Stopped, handle, is_of_a_server
from portal.placement.policies import current_policy
from portal.tenants.collections import uuid_of
from portal.tenants.moving.blockers import find_blockers
from portal.tenants.moving.copying import Copied, copy
from portal.tenants.moving.errors import Overtaken
from portal.tenants.moving.parts import Phase
from portal.tenants.moving.places import time_of
from portal.tenants.moving.verifying import Verification, verify, verify_ids

log = structlog.get_logger()

MAX_AT_ONCE = 1000
SLICE_SECONDS = 2
MOST_DIRTY = 500
"""The most ids that may be dirty when a fence begins: what is applied while writers wait."""

PATIENCE_SECONDS = 60
"""The time for which the backlog may not fall, until the source is written faster than it can be
followed."""

_RENEW_SECONDS, _STALE_SECONDS = 2, 6
_REACH_SECONDS = 5
_MOST_NEWEST = 50
_LONGEST_TOLD = 300
# Until a move is looked after again: one that shall switch, one that is written, a quiet one.
_SWITCHING_SECONDS, _BUSY_SECONDS, _QUIET_SECONDS = 1, 2, 30

_COPYING = (MoveState.COPYING, MoveState.VERIFYING, MoveState.READY)


def start() -> None:
    """Start the threads of this worker; call it after the fork."""
    start_loop(COPY, run_copies, pause_seconds=2, long_turns=True)
    start_loop(FOLLOW, run_due, pause_seconds=1)
    start_loop(END, run_endings, pause_seconds=5)


def run_once() -> int:
    """Carry on all that is due, once; how many there were."""
    return run_copies() + run_due() + run_endings()


def run_copies() -> int:
    """Carry on each move that is due and not ready yet, and each way back that is gone and not
    compared yet; how many there were."""
    copied = _in_state(MoveState.COPYING, MoveState.VERIFYING)
    return _run_each({**_UNPAUSED, "$or": [copied, {**_in_state(MoveState.SHADOW), **_UNCOMPARED}]})


def run_endings() -> int:
    """Carry on each move that is ending, and due; how many there were. None is paused, but by an
    earlier version, of which nobody could resume it."""
    return _run_each(_in_state(MoveState.ENDING))


def run_due() -> int:
    """Finish each switch whose process is gone, and look after each move that is ready or kept as a
    way back, and due; how many there were."""
    finished = 0
    while finished < MAX_AT_ONCE and (found := engine.acquire_lease(OperationKind.MOVE)):
        finished += 1
        log.warning("operation.taken_over", **engine.log_context(found))
        _finish_switch(found)
    followed = _in_state(MoveState.READY, MoveState.SHADOW)
    return finished + _run_each({**_UNPAUSED, **followed, "$nor": [_UNCOMPARED]})


def _in_state(*states: MoveState) -> dict[str, Any]:
    return {"state": {"$in": list(states)}}


_UNPAUSED: dict[str, Any] = {"paused": {"$ne": True}}
_UNCOMPARED = {"way_back_of": {"$exists": True}, "switch_wanted": True, "verification": None}


def _run_each(wanted: dict[str, Any]) -> int:
    ran = 0
    wanted = {"open": True, **wanted}
    while ran < MAX_AT_ONCE and (move := QUEUE.acquire(wanted, sort={"due_at": 1})):
        ran += 1
        carry_on(move)
    return ran


def carry_on(move: Move) -> None:
    """Carry an acquired move on, as far as that goes now. What goes wrong is written into it."""
    run = Run(move)
    try:
        with run.lease:
            _WORK[MoveState(move.state)](run)
    except (Interrupted, Overtaken, engine.LeaseLost) as over:
        log.info("move.interrupted", move=str(move.id), reason=repr(over))
    except Exception as error:  # the other moves must not wait for it
        log.log(_level_of(error), "move.failed", exc_info=error, move=str(move.id))
        try:
            handle(run.move, error)
        except (PyMongoError, MongoEngineException) as again:  # its lease runs out
            log.warning("move.not_put_off", move=str(move.id), error=summary(again))


def _finish_switch(organization: Organization) -> None:
    try:
        engine.run_now(organization)
    except PortalError as error:
        log.warning("move.rolled_back", reason=repr(error), **engine.log_context(organization))
    except Exception as error:  # the other moves must not wait for it
        log.exception("operation.failed", **engine.log_context(organization))
        engine.reschedule(organization, error)


def _level_of(error: Exception) -> int:
    return 30 if is_of_a_server(error) or isinstance(error, Stopped) else 40


class Run:
    """An attempt at a move: the record as it was last read or written, and its lease."""

    def __init__(self, move: Move) -> None:
        self.move = move
        states = _COPYING if move.state in _COPYING else (move.state,)
        unpaused = {} if move.state == MoveState.ENDING else {"paused__ne": True}
        self.lease = Renewing(
            QUEUE,
            held(move).filter(state__in=states, open=True, **unpaused),
            f"move {move.id}",
            renew_seconds=_RENEW_SECONDS,
            stale_seconds=_STALE_SECONDS,
        )
        self.lease.report({"last_error": "$$REMOVE"})

    @property
    def organization(self) -> Organization:
        """The organization as it is now."""
        return Organization.objects.get(id=self.move.organization)

    def reload(self) -> Move:
        """The record as it is now. Raises Interrupted."""
        return self._own(held(self.move).filter(state=self.move.state, paused__ne=True).first())

    def change(self, **changes: Any) -> Move:
        """Change the record, if this attempt may. Raises Interrupted."""
        if following := changes.get("set__state"):
            check_may_follow(MoveState(self.move.state), following)
        kept = held(self.move).filter(state=self.move.state, open=True, paused__ne=True)
        return self._own(kept.modify(new=True, **changes))

    def release(self, seconds: int, **values: Any) -> None:
        """Write what was reported, and have the move be due again."""
        self.lease.report({"due_at": seconds_from_now(seconds), **values})
        self.lease.renew()

    def _own(self, found: Move | None) -> Move:
        if found is None:
            raise Interrupted(str(self.move.id))
        self.move = found
        return found


def _copy(run: Run) -> None:
    organization = run.organization
    targets.check_source(organization, run.move)
    targets.ensure_target(organization, run)
    with Attempt.at(run.move, organization) as attempt:
        run.lease.report({"waits_for": "$$REMOVE"})
        if not run.move.token:  # before the first document is read
            run.change(set__token=dict(attempt.follower.token))
        if run.move.state == MoveState.COPYING:
            moves.run_parts(Phase.PREPARE, attempt.sides)
            _copy_documents(run, attempt)
            run.change(set__state=MoveState.VERIFYING)
        catch_up(run, attempt)
        attempt.bring_parts(lambda: _keep_up(run, attempt))
        _verify(run, attempt)
        run.change(set__state=MoveState.READY, unset__tries=True, unset__cause=True)
        _follow(run, attempt)


def _copy_documents(run: Run, attempt: Attempt) -> None:
    copied, pace, kept_up = run.move.progress.copied, Pace(run), time.monotonic()

    def on_progress(far: Copied) -> bool:
        nonlocal copied, kept_up
        copied += far.documents
        if far.caught_up:
            kept_up = time.monotonic()
        elif time.monotonic() - kept_up > PATIENCE_SECONDS:
            raise _written_too_fast(len(attempt.follower.dirty))
        moved = {"progress.moved_at": "$$NOW", "progress.last_written_at": "$$NOW"}
        run.lease.report(
            {
                "copied_to": {"$literal": far.after},
                "token": {"$literal": dict(far.token)},
                "progress.copied": copied,
                "progress.dirty": len(attempt.follower.dirty),
                "progress.rate": round(pace.rate_of(far.documents), 1),
                **(moved if far.documents or far.applied else {}),
            }
        )
        _report_lag(run, attempt)
        return _still_held(run)

    source, target, follower = attempt.source, attempt.target, attempt.follower
    finished = copy(
        source,
        target,
        follower,
        after=run.move.copied_to,
        on_progress=on_progress,
        throttle=pace.documents_per_second,
    )
    run.lease.renew()
    if not finished:
        raise Interrupted(str(run.move.id))


def _still_held(run: Run) -> bool:
    try:
        run.lease.check()
    except Interrupted:
        return False
    return True


def catch_up(run: Run, attempt: Attempt) -> None:
    """Apply what was written until few ids are dirty. Raises Stopped where the source is written
    faster than that."""
    least, since = float("inf"), time.monotonic()
    while True:
        run.lease.check()
        caught_up = attempt.follower.pump()
        backlog = len(attempt.follower.dirty)
        if caught_up and backlog <= MOST_DIRTY:
            return
        _keep_up(run, attempt)
        if backlog < 0.9 * least:
            least, since = backlog, time.monotonic()
        elif time.monotonic() - since > PATIENCE_SECONDS:
            raise _written_too_fast(backlog)


def _written_too_fast(backlog: int) -> Stopped:
    return Stopped(
        f"it is written faster than it can be followed: {backlog:,} documents are to be applied, "
        f"and that was no less {PATIENCE_SECONDS} s ago",
        at_once=True,
    )


def _keep_up(run: Run, attempt: Attempt) -> None:
    """Apply what is dirty."""
    applied = attempt.apply()
    report: dict[str, Any] = {"progress.dirty": len(attempt.follower.dirty)}
    if applied:
        run.move.progress.applied += applied
        report |= {
            "progress.applied": run.move.progress.applied,
            "progress.last_written_at": "$$NOW",
            "progress.moved_at": "$$NOW",
        }
    _report_stream(run, attempt)
    run.lease.report(report)


def _report_stream(run: Run, attempt: Attempt) -> None:
    run.lease.report({"token": {"$literal": dict(attempt.follower.token)}})
    _report_lag(run, attempt)


def _report_lag(run: Run, attempt: Attempt) -> None:
    follower = attempt.follower
    behind = {"progress.behind_seconds": follower.behind_seconds}
    run.lease.report({"progress.last_event_at": "$$NOW", **behind})
    if follower.last_event_at != attempt.told_change:
        attempt.told_change = follower.last_event_at
        run.lease.report({"progress.changed_at": "$$NOW"})


def _verify(run: Run, attempt: Attempt) -> None:
    """Compare every document. Raises VerificationFailed."""

    def on_progress(far: Verification) -> bool:
        run.lease.report({"progress.verified": far.documents, "progress.moved_at": "$$NOW"})
        _report_stream(run, attempt)
        return _still_held(run)

    found = verify(
        attempt.source,
        attempt.target.place,
        attempt.follower,
        attempt.apply,
        on_progress=on_progress,
        throttle=Pace(run).documents_per_second,
    )
    if not found.complete:
        raise Interrupted(str(run.move.id))
    result = VerificationResult(
        ranges=found.ranges,
        documents=found.documents,
        differences=found.differences,
        repaired=found.repaired,
        ids=found.shown_ids,
        digest=found.digest,
        at=server_time(),
    )
    run.change(set__verification=result, set__progress__documents=found.documents)


def _ready(run: Run) -> None:
    if run.move.abort_wanted:  # since it was fenced, which is over
        run.change(
            set__state=MoveState.ENDING,
            set__outcome=Outcome.ABORTED,
            set__due_at=ending.AT_ONCE,
            unset__abort_wanted=True,
        )
        return
    organization = run.organization
    targets.check_source(organization, run.move)
    with Attempt.at(run.move, organization) as attempt:
        _undo_preparations(run, attempt)
        _follow(run, attempt)


def _shadow(run: Run) -> None:
    over = run.move.until <= server_time() and not run.move.switch_wanted
    if over and run.organization.held:
        refuse(run.organization.id, Deletion.COPY)
    elif over:
        ending.end_shadow(run.move, Outcome.ENDED)
        wake(END)
        return
    organization = run.organization
    targets.check_source(organization, run.move)
    with Attempt.at(run.move, organization) as attempt:
        _undo_preparations(run, attempt)
        if not run.move.prepared:
            moves.run_parts(Phase.PREPARE, attempt.sides)
            run.change(set__prepared=True)
        if run.move.switch_wanted and not run.move.verification:
            targets.rename_target(run)
            catch_up(run, attempt)
            attempt.bring_parts(lambda: _keep_up(run, attempt))
            _verify(run, attempt)
        _follow(run, attempt)


def _undo_preparations(run: Run, attempt: Attempt) -> None:
    """Undo what a fence that failed had prepared at the target."""
    if run.move.undo:
        moves.run_parts(Phase.UNDO, attempt.sides)
        run.change(unset__undo=True)


def _follow(run: Run, attempt: Attempt) -> None:
    """Keep the target current for a slice of time, compare what is applied, and switch if that is
    wanted now."""
    until = time.monotonic() + SLICE_SECONDS
    while True:
        run.lease.check()
        caught_up = attempt.follower.pump()
        _apply_compared(run, attempt)
        run.reload()
        if caught_up and is_switch_due(run.move, server_time()):
            if (obstacle := _try_to_switch(run, attempt)) is None:
                return
            run.lease.report({"waits_for": {"$literal": obstacle}})
            break
        if not run.move.fences_failed:
            run.lease.report({"waits_for": "$$REMOVE"})
        if caught_up or time.monotonic() > until:
            break
    run.release(_pause_of(run.move, attempt))


def _pause_of(move: Move, attempt: Attempt) -> int:
    if move.switch_wanted or move.switch_at or move.switch_in_hours:
        return _SWITCHING_SECONDS
    return _BUSY_SECONDS if attempt.follower.last_event_at else _QUIET_SECONDS


def _apply_compared(run: Run, attempt: Attempt) -> None:
    """Apply what is dirty, and compare it."""
    ids = list(attempt.follower.dirty)
    _keep_up(run, attempt)
    if not ids:
        return
    attempt.newest = (*attempt.newest, *ids)[-_MOST_NEWEST:]
    found = verify_ids(attempt.source, attempt.target.place, attempt.follower, attempt.apply, ids)
    if found.differences:
        log.error("move.differed", move=str(run.move.id), ids=found.shown_ids)
    if found.differences and run.move.verification:
        run.change(
            inc__verification__differences=found.differences,
            inc__verification__repaired=found.repaired,
            push_all__verification__ids=found.shown_ids,
        )


def is_switch_due(move: Move, now: datetime) -> bool:
    """Tell whether the move shall switch now, as persons and the policy want it."""
    if move.next_fence_at and move.next_fence_at > now:
        return False
    if move.switch_at:
        return move.switch_at <= now
    if move.switch_in_hours:
        return current_policy().moves.allowed_at(now.time())
    return bool(move.switch_wanted)


def _try_to_switch(run: Run, attempt: Attempt) -> str | None:
    """Switch, like ``_switch``. What stops it is tried again, and the third time a person has to
    say that it is: the target is kept current meanwhile."""
    try:
        return _switch(run, attempt)
    except Stopped as stopped:
        if stopped.at_once:
            raise
        failed = (run.move.fences_failed or 0) + 1
        later = server_time() + timedelta(seconds=2**failed)
        run.change(set__fences_failed=failed, set__next_fence_at=later)
        if failed >= MOST_FENCES:
            run.change(
                unset__switch_wanted=True, unset__switch_at=True, unset__switch_in_hours=True
            )
        return str(stopped)


def _switch(run: Run, attempt: Attempt) -> str | None:
    """Switch, if nothing stands in the way; else what does, in words. Whatever comes of the switch,
    this attempt at the move is over then."""
    organization, wanted = run.organization, run.move
    if obstacle := _obstacle(organization, wanted, attempt):
        return obstacle
    attempt.bring_parts(lambda: _keep_up(run, attempt))
    if not wanted.way_back_of and not wanted.without_way_back:
        token = exercise_way_back(wanted, attempt)
        run.change(set__reverse_token=token)
    catch_up(run, attempt)
    attempt.follower.reach(time_of(attempt.source), _REACH_SECONDS)
    attempt.apply()
    begun = begin_switch(attempt, wanted)
    if begun is None:
        return _other_operation(run.organization)
    with moves.at_hand(attempt):
        _finish_switch(begun)
    wake(FOLLOW)
    return None


def _obstacle(organization: Organization, move: Move, attempt: Attempt) -> str | None:
    if organization.operation:
        return _other_operation(organization)
    if not move.ends_credentials and (lacking := travelling(organization, move.target)):
        names = ", ".join(sorted(each.name for each in lacking))
        return f"owners, who have to make new strings of these MongoDB users: {names}"
    # Long ones: what ends soon is waited for by the fence.
    if blockers := find_blockers(attempt.source):
        return ", ".join(map(str, blockers))[:_LONGEST_TOLD]
    target = attempt.target.place
    final = name_after_move(organization, move.target)
    if final and uuid_of(target.database, final) not in (None, target.uuid):
        return f"a collection {target.database.name}.{final} that the portal did not make"
    return None


def _other_operation(organization: Organization) -> str:
    if organization.operation is None:
        return "its organization, which was changed just now"
    return f"its organization, which is {engine.doing(organization.operation.kind)}"


_WORK: dict[MoveState, Callable[[Run], None]] = {
    MoveState.COPYING: _copy,
    MoveState.VERIFYING: _copy,
    MoveState.READY: _ready,
    MoveState.SHADOW: _shadow,
    MoveState.ENDING: ending.end,
}
