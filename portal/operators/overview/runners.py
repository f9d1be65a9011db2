"""The processes of the portal, by what each told of itself last."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from humanize import naturaldelta

from portal.audit.trail import installation, record
from portal.database.together import Part, Read, read
from portal.database.transactions import transactional
from portal.documents.installation import INSTALLATION
from portal.documents.processes import Process
from portal.operators.overview.needs import Need, Source, Way, source_of
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key
from portal.web.traffic import percentile_ms

FORGOTTEN = "process_forgotten"
SILENT_SECONDS = 60
FAILING_SECONDS = 60
HANGING_SECONDS = 900
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Loop:
    """A background loop of a process: what it is about, and for how long."""

    name: str
    running_seconds: float | None
    failing_seconds: float | None
    error: str | None
    long_turns: bool
    ended: bool

    @property
    def trouble(self) -> str | None:
        """The reason why it does nothing."""
        if self.ended:
            return f"has ended: {self.error}"
        if self.failing_seconds and self.failing_seconds > FAILING_SECONDS:
            return f"fails for {naturaldelta(self.failing_seconds)}: {self.error}"
        if self.running_seconds and self.running_seconds > HANGING_SECONDS and not self.long_turns:
            return f"hangs for {naturaldelta(self.running_seconds)}"
        return None


@dataclass(frozen=True, slots=True)
class Runner:
    """A process of the portal, ``age_seconds`` after it last told of itself."""

    id: ObjectId
    host: str
    pid: int
    version: str
    started_at: datetime
    beat_at: datetime
    age_seconds: float
    loops: tuple[Loop, ...]
    requests_a_second: float
    durations: tuple[int, ...]

    @property
    def is_silent(self) -> bool:
        """True where it was killed, or hangs as a whole."""
        return self.age_seconds > SILENT_SECONDS

    @property
    def troubles(self) -> list[Loop]:
        """The loops that do nothing."""
        return [loop for loop in self.loops if loop.trouble]


@dataclass(frozen=True, slots=True)
class Runners:
    """All processes. One that was killed is left out once another one began on its host."""

    all: tuple[Runner, ...]

    @property
    def living(self) -> list[Runner]:
        """The processes that told of themselves lately."""
        return [runner for runner in self.all if not runner.is_silent]

    @property
    def slowest_seconds(self) -> float:
        """The age of the oldest heartbeat of those that live."""
        return max((runner.age_seconds for runner in self.living), default=0)

    @property
    def requests_a_second(self) -> float:
        """The requests of all, in the last seconds."""
        return sum(runner.requests_a_second for runner in self.living)

    @property
    def p99_ms(self) -> float | None:
        """The duration that 99 % of those did not exceed."""
        each = [runner.durations for runner in self.living if runner.durations]
        return percentile_ms([sum(numbers) for numbers in zip(*each, strict=False)], 99)


def look() -> Runners:
    """Read what all processes told last; ages are by the server's clock."""
    return read(looking())


def looking() -> Part[Runners]:
    """Reads that."""
    age = {"$divide": [{"$subtract": ["$$NOW", "$beat_at"]}, 1000]}
    by_host = {"host": 1, "started_at": 1}
    stages: list[dict[str, Any]] = [
        {"$limit": _MOST},
        {"$sort": by_host},
        {"$addFields": {"age": age}},
    ]
    [rows] = yield [Read(Process, stages)]
    found = [_runner(row) for row in rows]
    began: dict[str, datetime] = {}
    for runner in found:
        if not runner.is_silent:
            latest = began.get(runner.host, runner.started_at)
            began[runner.host] = max(latest, runner.started_at)
    return Runners(tuple(runner for runner in found if not _is_replaced(runner, began)))


def source(at: datetime, runners: Runners) -> Source:
    """The needs of the portal's processes."""
    needs = list(_needs(runners))
    return source_of("runners", "Runners", needs, at, page=".show_operations")


@transactional
def forget(runner: ObjectId, context: RequestContext) -> bool:
    """Tell of a process no more that fell silent; one that lives comes back by itself."""
    claim_key(context, INSTALLATION, FORGOTTEN, runner)
    found = Process.objects(id=runner).first()
    if found is None:
        return True
    found.delete()
    record(installation(), "process.forgotten", context.origin, host=found.host, pid=str(found.pid))
    return True


def _is_replaced(runner: Runner, began: dict[str, datetime]) -> bool:
    """Tell whether another process ``began`` on the host of one that fell silent since."""
    return runner.is_silent and began.get(runner.host, runner.beat_at) > runner.beat_at


def _needs(runners: Runners) -> Iterator[Need]:
    if not runners.living:
        yield Need(
            "No runner runs",
            "No portal tells of itself: nothing is done in the background, no mail leaves.",
            failed=True,
        )
    for runner in runners.all:
        if runner.is_silent:
            yield Need(
                f"A portal on {runner.host} stopped",
                f"Process {runner.pid} was last heard of {naturaldelta(runner.age_seconds)} ago, "
                "and didn’t say that it ends. Others take over what it did.",
                ways=(Way("Forget it", ".forget_runner", {"runner_id": runner.id}, posts=True),),
            )
    troubles: dict[str, list[Loop]] = defaultdict(list)
    for runner in runners.living:
        for loop in runner.troubles:
            troubles[loop.name].append(loop)
    for name, loops in troubles.items():
        words = f"In {len(loops)} of {len(runners.living)} processes it {loops[0].trouble}."
        yield Need(f"The background loop “{name}” gets nothing done", words, failed=True)


def _runner(row: dict[str, Any]) -> Runner:
    traffic = row.get("traffic") or {}
    seconds = traffic.get("seconds") or 0
    return Runner(
        id=row["_id"],
        host=row["host"],
        pid=row["pid"],
        version=row["version"],
        started_at=row["started_at"],
        beat_at=row["beat_at"],
        age_seconds=row["age"],
        loops=tuple(_loop(loop) for loop in row.get("loops", ())),
        requests_a_second=traffic.get("requests", 0) / seconds if seconds else 0,
        durations=tuple(traffic.get("durations", ())),
    )


def _loop(told: dict[str, Any]) -> Loop:
    return Loop(
        told["name"],
        told.get("running_seconds"),
        told.get("failing_seconds"),
        told.get("error"),
        bool(told.get("long_turns")),
        bool(told.get("ended")),
    )
