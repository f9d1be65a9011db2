"""A script is applied as a job: in waves, to several organizations at a time, each once.

What became of an organization is kept when the job is over; so the next job is for those that have
not been reached, that failed, or that are new. Whoever is killed leaves organizations as begun: the
next attempt begins with them, so a script must be idempotent.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from itertools import chain, islice
from statistics import median

import pymongo
from bson import ObjectId
from pymongo.errors import PyMongoError

from portal import clock
from portal.clusters.checking import read_identity
from portal.database import connection
from portal.database.clusters import client_of, is_available
from portal.documents.jobs import ItemState, Job, JobState
from portal.documents.organizations import MAIN_CLUSTER, Organization
from portal.documents.tenant_scripts import TenantScript
from portal.errors import NotFound, Unavailable
from portal.jobs.errors import JobExists
from portal.jobs.managing import open_job, start_job
from portal.jobs.running import JobFailed, Run
from portal.organizations.access.errors import (
    OrganizationMoving,
    OrganizationSuspended,
    OrganizationTrashed,
)
from portal.organizations.lifecycle.errors import OperationInProgress
from portal.organizations.storage import tenant_of
from portal.tenant_scripts.errors import (
    JobPaused,
    OtherContentRuns,
    OtherSelectionRuns,
    ScriptEdited,
)
from portal.tenant_scripts.loading import Script, describe_error
from portal.tenant_scripts.selecting import Selected, Selection, select
from portal.tenant_scripts.standing import KIND, Standing, items_of, standing_of
from portal.tenant_scripts.waves import CANARY, Gate, Wave, waves_of
from portal.tenants.errors import NeedsOwnPlacement
from portal.web.context import RequestContext
from portal.web.counting import counted

KINDS = (KIND,)
SKIPPED = "skipped"
MOST_WORKERS = 32
GATE_LOOKS = 3
GATE_PAUSE_SECONDS = 5
_READS = 9
_NOT_NOW = (
    OrganizationTrashed,
    OrganizationMoving,
    OrganizationSuspended,
    OperationInProgress,
    NotFound,
)
_FINISHED = (ItemState.DONE, ItemState.FAILED, ItemState.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Pace:
    """The number of organizations that are worked on at a time, and at most a second."""

    workers: int = 4
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class WaveProgress:
    """The progress of a wave."""

    wave: Wave
    finished: int
    failed: int
    at: str | None
    over: bool = False


Watch = Callable[[WaveProgress], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """The waves of a job, and those that are named to be the first one."""

    waves: tuple[Wave, ...]
    canary: tuple[ObjectId, ...]


def plan_of(
    script: Script, selection: Selection, standing: Standing, canary: tuple[ObjectId, ...] = ()
) -> Plan:
    """The plan of a job that would begin now, without waves where there is nothing to do; of the
    ``canary`` those of the selection that lack the script. Reads only."""
    named = select(selection.among(canary), items_of(script)) if canary else ()
    pending = tuple(one.id for one in named if one.is_pending)
    return Plan(tuple(waves_of(standing.pending, len(pending))), pending)


def start_or_join(
    script: Script,
    selection: Selection,
    context: RequestContext,
    *,
    canary: tuple[ObjectId, ...] = (),
    edited: bool = False,
    again: bool = False,
) -> Job | Standing:
    """The job that applies the script, started unless it is open; where nothing is to be done, how
    the script stands. With ``again`` the named ones are to have it once more, as after a restore of
    their documents.

    Raises JobPaused; ScriptRuns where an open one is of other content or for others; ScriptEdited
    where it was applied with other content, unless it was ``edited`` on purpose.
    """
    found = open_job(KIND, script.name)
    if found:
        return _same(found, script, selection)
    check_unedited(script, edited=edited)
    if again:
        items_of(script).forget(selection.named)
    standing = standing_of(script, selection)
    if not standing.pending:
        return standing
    plan = plan_of(script, selection, standing, canary)
    parameters = {
        "checksum": script.checksum,
        "selection": selection.stored,
        "canary": list(plan.canary),
        "edited": edited,
        "waves": [asdict(wave) for wave in plan.waves],
    }
    number = counted(standing.pending, "organization")
    title = f"{script.name} (sha256 {script.short_checksum}) applied to {number}"
    try:
        return start_job(
            KIND, script.name, title, context, total=standing.pending, parameters=parameters
        )
    except JobExists as error:  # another process was faster
        return _same(error.job, script, selection)


def check_unedited(script: Script, *, edited: bool) -> None:
    """Raise ScriptEdited where an organization has the script with other content."""
    stored = TenantScript.objects(id=script.name).first()
    if stored is None or stored.checksum == script.checksum or edited:
        return
    if done := items_of(script).any_done():
        raise ScriptEdited(
            script.name, counted(done, "organization"), stored.checksum[:12], script.short_checksum
        )


def apply_script(run: Run, script: Script, pace: Pace, gate: Gate, watch: Watch) -> dict[str, int]:
    """The work of the script's job; how many organizations came to which end in it.

    Raises JobFailed where the gate behind a wave stays shut.
    """
    try:
        check_unedited(script, edited=run.job.parameters["edited"])
    except ScriptEdited as error:
        raise JobFailed(error.words, {}) from error
    TenantScript.objects(id=script.name).update_one(
        set__checksum=script.checksum, set_on_insert__registered_at=clock.now(), upsert=True
    )
    return _Application(run, script, pace, gate, watch).apply()


class _Application:
    """An attempt at applying a script."""

    def __init__(self, run: Run, script: Script, pace: Pace, gate: Gate, watch: Watch) -> None:
        self.run, self.script, self.pace, self.gate, self.watch = run, script, pace, gate, watch
        self.items = items_of(script)
        parameters = run.job.parameters
        self.selection = Selection(**{k: tuple(v) for k, v in parameters["selection"].items()})
        self.canary = tuple(parameters["canary"])
        self.waves = [Wave(**wave) for wave in parameters["waves"]]
        counts = self.items.counts(after_attempt=run.job.attempts_before)
        self.tallies = [counts.get(n, Counter()) for n in range(len(self.waves))]
        for tally in self.tallies:
            del tally[ItemState.RUNNING]
        self.next_at = time.monotonic()
        self.written: set[str] = set()
        """The clusters that the wave at hand writes to."""

    def apply(self) -> dict[str, int]:
        interrupted = self._interrupted()
        for number, wave in enumerate(self.waves):
            mine = [one for one in interrupted if one.item and one.item.wave == number]
            self.written = set()
            self._apply_to_wave(number, wave, mine)
            if number + 1 < len(self.waves):
                self._check_latency(wave)
        return self._result()

    def _interrupted(self) -> list[Selected]:
        """The organizations that an earlier attempt began and did not end."""
        begun = self.items.in_state(ItemState.RUNNING, after_attempt=self.run.job.attempts_before)
        ids = tuple(item.organization for item in begun)
        return list(select(Selection(named=ids), self.items)) if ids else []

    def _apply_to_wave(self, number: int, wave: Wave, interrupted: list[Selected]) -> None:
        again = {one.id for one in interrupted}
        others = (one for one in self._choose(number, wave) if one.id not in again)
        running: dict[Future[str | None], Selected] = {}
        with ThreadPoolExecutor(self.pace.workers, thread_name_prefix="script") as pool:
            for one in chain(interrupted, others):
                while len(running) >= self.pace.workers:
                    self._collect(number, wave, running)
                self._await_turn()
                self.run.check()
                self._check_failures(number, wave)
                running[pool.submit(self._apply_to, one, number)] = one
            while running:
                self._collect(number, wave, running)
        self._check_failures(number, wave)  # also where an attempt before came to its end
        self._tell(number, wave, None, over=True)

    def _choose(self, number: int, wave: Wave) -> Iterator[Selected]:
        """The wave's unfinished organizations: named canaries; then some at even distances, so that
        old and new, small and large ones are among them; in the last wave all that are left.
        """
        missing = wave.size - self._finished(number)
        if missing <= 0:
            return iter(())
        if wave.name == CANARY and self.canary:
            named = Selection(named=self.canary)
            return islice(filter(_is_wanted(self.run.job), select(named, self.items)), missing)
        before = self.run.job.created_at
        pending: Iterator[Selected] = filter(
            _is_wanted(self.run.job), select(self.selection, self.items, created_before=before)
        )
        if wave is self.waves[-1]:
            return pending
        left = self.run.job.progress.total - sum(map(self._finished, range(len(self.waves))))
        return islice(islice(pending, 0, None, max(left // missing, 1)), missing)

    def _await_turn(self) -> None:
        """Wait so that no more organizations begin in a second than the pace allows."""
        if not self.pace.rate:
            return
        while (seconds := self.next_at - time.monotonic()) > 0:
            time.sleep(min(seconds, 1))
            self.run.check()
        self.next_at = time.monotonic() + 1 / self.pace.rate

    def _apply_to(self, one: Selected, number: int) -> str | None:
        """Apply the script to an organization; the state it came to."""
        attempt = self.run.job.attempt
        if not self.items.begin(one.id, attempt, number, one.strategy):
            return None
        state, reason = ItemState.DONE, None
        try:
            self._call(one)
        except _NOT_NOW:
            self.items.give_up(one.id, attempt)
            return SKIPPED
        except NeedsOwnPlacement as error:
            state, reason = ItemState.NOT_APPLICABLE, describe_error(self.script, error)
        except (Exception, SystemExit) as error:  # a script may raise anything
            if connection.is_unavailable(error):
                self.run.renew()  # raises where it isn't about this organization alone
            state, reason = ItemState.FAILED, describe_error(self.script, error)
        return state if self.items.end(one.id, attempt, state, reason) else None

    def _call(self, one: Selected) -> None:
        organization = Organization.objects(id=one.id).first()
        if organization is None:
            raise NotFound
        tenant = tenant_of(organization)
        if is_available(organization.placement.cluster):  # else it fails alone
            self.written.add(organization.placement.cluster)
        with pymongo.timeout(self.script.seconds):
            self.script.apply(tenant)
            if self.script.check and self.script.check(tenant) is False:
                raise CheckFailed

    def _collect(
        self, number: int, wave: Wave, running: dict[Future[str | None], Selected]
    ) -> None:
        """Wait a moment for some to end, and count them. Raises as ``_check_failures``."""
        ended, _ = wait(running, timeout=1, return_when=FIRST_COMPLETED)
        for future in ended:
            del running[future]
            state = future.result()
            if state:
                self.tallies[number][state] += 1
        self.run.check()
        self._tell(number, wave, next((one.slug for one in running.values()), None))
        self._check_failures(number, wave)

    def _check_failures(self, number: int, wave: Wave) -> None:
        """Raise JobFailed where more of the wave failed than may, of those it is applicable to."""
        tally = self.tallies[number]
        failed, size = tally[ItemState.FAILED], wave.size - tally[ItemState.NOT_APPLICABLE]
        allowed = self.gate.failures_allowed(size)
        if failed > allowed:
            words = f"{failed:,} of the wave “{wave.name}” of {size:,} failed, {allowed:,} may"
            raise JobFailed(words, self._result())

    def _tell(self, number: int, wave: Wave, at: str | None, *, over: bool = False) -> None:
        finished, tally = self._finished(number), self.tallies[number]
        skipped = sum(tally[SKIPPED] for tally in self.tallies)
        done = sum(map(self._finished, range(len(self.waves)))) + skipped
        self.run.report(done, f"wave “{wave.name}”", at)
        self.watch(WaveProgress(wave, finished, tally[ItemState.FAILED], at, over))

    def _finished(self, number: int) -> int:
        return sum(self.tallies[number][state] for state in _FINISHED)

    def _check_latency(self, wave: Wave) -> None:
        """Raise JobFailed where master data, or a cluster that the wave wrote to, are slow or away
        in each of several looks."""
        slow = sorted({MAIN_CLUSTER, *self.written})
        for look in range(GATE_LOOKS):
            taken = {cluster: _latency_ms(cluster) for cluster in slow}
            slow = [cluster for cluster, ms in taken.items() if ms > self.gate.latency_ms]
            if not slow:
                return
            if look + 1 < GATE_LOOKS:
                time.sleep(GATE_PAUSE_SECONDS)
                self.run.check()
        told = "; ".join(self._in_words(cluster, taken[cluster]) for cluster in slow)
        raise JobFailed(f"behind the wave “{wave.name}” {told}", self._result())

    def _in_words(self, cluster: str, taken_ms: float) -> str:
        where = "" if cluster == MAIN_CLUSTER else f" on {cluster}"
        if math.isinf(taken_ms):
            return f"the portal's own reads{where} are not answered"
        may = f"{self.gate.latency_ms:,.0f} may"
        return f"the portal's own reads{where} take {taken_ms:,.0f} ms, {may}"

    def _result(self) -> dict[str, int]:
        total: Counter[str] = sum(self.tallies, Counter())
        return {state: total[state] for state in (*_FINISHED, SKIPPED)}


class CheckFailed(Exception):
    """The script's check returned False."""

    def __str__(self) -> str:
        return "its check returned False"


def _same(job: Job, script: Script, selection: Selection) -> Job:
    """The open job, if it is what was asked for. Raises JobPaused, ScriptRuns."""
    if job.parameters["checksum"] != script.checksum:
        raise OtherContentRuns(script.name, job)
    if job.parameters["selection"] != selection.stored:
        raise OtherSelectionRuns(script.name, job)
    if job.state == JobState.PAUSED:
        raise JobPaused(job)
    return job


def _is_wanted(job: Job) -> Callable[[Selected], bool]:
    """Tell whether the job is to reach an organization that it has not ended with."""

    def is_wanted(one: Selected) -> bool:
        item = one.item
        ended = item and item.state != ItemState.RUNNING and item.attempt > job.attempts_before
        return one.is_pending and not ended

    return is_wanted


def _latency_ms(cluster: str) -> float:
    """The median time of a read by id on the cluster; infinite where it isn't answered."""
    taken = []
    try:
        for _ in range(_READS):
            begun = time.perf_counter()
            if cluster == MAIN_CLUSTER:
                Organization.objects.only("id").order_by("id").first()
            else:
                read_identity(client_of(cluster))
            taken.append((time.perf_counter() - begun) * 1000)
    except (PyMongoError, Unavailable):
        if cluster == MAIN_CLUSTER:
            raise
        return math.inf
    return median(taken)
