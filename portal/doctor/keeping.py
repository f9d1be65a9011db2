"""Keeps what the doctor finds, for the operators' console: an examination every hour.

It looks through all master data, which at a million organizations takes a processor for minutes. So
it runs in a process of its own, with low priority, and takes nothing from the requests of the one
that starts it.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import structlog
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError

from portal import clock
from portal.database.leases import Interrupted, summary
from portal.database.periodic import Notes, Task
from portal.doctor.examination import CHECKS
from portal.doctor.findings import Finding
from portal.documents.doctor import (
    EXAMINATION,
    EXAMINED_EVERY_SECONDS,
    MOST_KEPT,
    ExaminedCheck,
    KeptFinding,
)

log = structlog.get_logger()

NICENESS = 10
_COMMAND = (sys.executable, "-m", "flask", "--app", "wsgi", "doctor", "--keep")
_LOOK_SECONDS = 1
_FINISHED = (0, 1)

Check = Callable[[], Iterator[Finding]]


def examine_and_keep(checks: tuple[Check, ...] = CHECKS) -> int:
    """Run every check and keep its findings; how many there are that aren't harmless.

    A check that is broken off by the database keeps the findings from before, and says since when.
    """
    ExaminedCheck.objects(id__nin=[name_of(check) for check in checks]).delete()
    return sum(map(_examine, checks))


def lower_priority() -> None:
    """Let every other process on this machine go first."""
    os.nice(NICENESS)


def name_of(check: Check) -> str:
    """The name of a check, by which its findings are kept."""
    return f"{check.__module__.rpartition('.')[2]}.{check.__name__}"


def _examine(check: Check) -> int:
    number, kept = 0, list[KeptFinding]()
    try:
        for finding in check():
            number += not finding.kind.harmless
            if len(kept) < MOST_KEPT:
                kept.append(_kept(finding))
    except (PyMongoError, MongoEngineException) as error:
        log.warning("doctor.check_failed", check=name_of(check), error=str(error))
        failed = {"set__failed_at": clock.now(), "set__error": summary(error)}
        ExaminedCheck.objects(id=name_of(check)).update_one(upsert=True, **failed)
        return number
    ExaminedCheck(id=name_of(check), examined_at=clock.now(), findings=kept, number=number).save()
    return number


def _kept(finding: Finding) -> KeptFinding:
    kind = finding.kind
    return KeptFinding(
        kind=kind.name,
        title=kind.title,
        advice=kind.advice,
        subject=finding.subject,
        words=finding.words,
        organization=finding.organization,
        harmless=kind.harmless or None,
        repairable=finding.repair is not None or None,
    )


def _run(check: Callable[[], None]) -> Notes:
    """Have an own process examine all. Raises Interrupted; RuntimeError where it failed."""
    with subprocess.Popen(  # noqa: S603 (nothing in it is anybody's input)
        _COMMAND, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as running:
        try:
            return _await(running, check)
        except Interrupted:
            running.terminate()
            raise


def _await(running: subprocess.Popen[bytes], check: Callable[[], None]) -> Notes:
    while True:
        try:
            _, errors = running.communicate(timeout=_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            check()
            continue
        if running.returncode not in _FINISHED:
            last = errors.decode(errors="replace").strip().rpartition("\n")[2]
            raise RuntimeError(f"flask doctor ended with {running.returncode}: {last}")
        return {}


# At the first start there is nothing to find, and something better to do.
TASK = Task(EXAMINATION, EXAMINED_EVERY_SECONDS, _run, first_after_seconds=60)
