"""Whatever happens while a file is written, each of its records is there exactly once."""

import itertools
import random
from collections import Counter

import pytest

from portal.data.transfer import importing, passes
from portal.data.transfer.files import pieces_of
from portal.data.transfer.imports import start_write
from portal.data.transfer.stages import Stage, find_import
from portal.documents.jobs import Job
from portal.jobs import runner
from portal.jobs.managing import find_job
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from tests.data.transfer.conftest import checked, lines
from tests.factories import a_context, fresh

RECORDS = [{"_id": n % 90, "n": n} for n in range(100)]  # the last ten are there already


class Killed(BaseException):
    """A process that ends in the middle."""


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(passes, "BATCH_RECORDS", 7)
    monkeypatch.setattr(importing, "SMALLEST_BATCH", 2)


@pytest.fixture
def started(seen, stored):
    ready = checked(seen, lines(*RECORDS), stop_per_mille=1000)
    return start_write(seen, ready)


def is_whole(seen, stored, started):
    """Each record is there once, and each that failed once among the errors."""
    done = find_import(seen.organization, started.file.id)
    assert done.stage == Stage.DONE
    assert sorted(doc["n"] for doc in stored.find()) == list(range(90))
    assert done.written.counts == {"inserted": 90, "errors": 10}
    errors = b"".join(
        pieces_of(seen.organization, done.file.details["write_errors"], 0, done.written.pieces)
    )
    failed = Counter(line for line in errors.splitlines() if b"$error" not in line)
    assert failed == Counter(lines(*RECORDS[90:]).splitlines())
    return True


def test_killed_at_every_command_it_is_whole_in_the_end(
    seen, stored, started, monkeypatch, master_db
):
    """Before or after each of a transaction's commands, its commit included."""
    chance = random.Random(7)
    tries = itertools.count()
    append = importing.append

    def kill_sometimes(*args, **kwargs):
        before, after = chance.random() < 0.3, chance.random() < 0.3
        if before:
            raise Killed
        made = append(*args, **kwargs)
        if after:
            raise Killed
        return made

    commit = importing._Write._commit

    def kill_after_commit(self, *args, **kwargs):
        commit(self, *args, **kwargs)
        if chance.random() < 0.2:
            raise Killed

    monkeypatch.setattr(importing, "append", kill_sometimes)
    monkeypatch.setattr(importing._Write, "_commit", kill_after_commit)
    while find_job(started.job.id).state == "running":
        try:
            runner.run_due_jobs()
        except Killed:
            next(tries)
    assert next(tries) > 10
    assert is_whole(seen, stored, started)


def test_two_that_think_it_is_theirs_write_each_record_once(
    seen, stored, started, master_db, monkeypatch
):
    """The first one slept while its lease ran out."""
    commit, woken = importing._Write._commit, []

    def sleep_once(self, *args, **kwargs):
        if not woken:
            woken.append(True)
            due = {"$set": {"due_at": started.job.created_at}}
            master_db.jobs.update_one({"_id": started.job.id}, due)
            assert runner.run_due_jobs() == 1  # another worker, to the end
        return commit(self, *args, **kwargs)

    monkeypatch.setattr(importing._Write, "_commit", sleep_once)
    runner.run_due_jobs()
    assert is_whole(seen, stored, started)
    assert Job.objects(kind="import", state="done").count() == 2  # the check, and this


def test_renamed_on_its_way_it_goes_on(acme, seen, stored, started, tenant_db, monkeypatch):
    commit, renamed = importing._Write._commit, []

    def rename_once(self, *args, **kwargs):
        commit(self, *args, **kwargs)
        if not renamed:
            renamed.append(rename_organization(fresh(acme), "Acme and Daughters", a_context()))

    monkeypatch.setattr(importing._Write, "_commit", rename_once)
    runner.run_due_jobs()
    assert is_whole(seen, tenant_db[fresh(acme).placement.collection], started)


def test_in_the_trash_it_waits_and_restored_it_goes_on(
    acme, seen, stored, started, tenant_db, monkeypatch, master_db
):
    commit, trashed = importing._Write._commit, []

    def trash_once(self, *args, **kwargs):
        commit(self, *args, **kwargs)
        if not trashed:
            trashed.append(trash_organization(fresh(acme), None, a_context()))

    monkeypatch.setattr(importing._Write, "_commit", trash_once)
    runner.run_due_jobs()
    waits = find_job(started.job.id)
    assert (waits.state, waits.last_error) == ("running", "the organization is in the trash")
    restore_organization(fresh(acme), None, a_context())
    master_db.jobs.update_one({"_id": waits.id}, {"$set": {"due_at": waits.created_at}})
    runner.run_due_jobs()
    assert is_whole(seen, tenant_db[fresh(acme).placement.collection], started)


def test_purged_it_ends_with_its_organization(acme, seen, started, monkeypatch):
    commit = importing._Write._commit

    def purge(self, *args, **kwargs):
        commit(self, *args, **kwargs)
        trashed = trash_organization(fresh(acme), None, a_context())
        purge_organization(trashed, "Acme Corp", a_context())

    monkeypatch.setattr(importing._Write, "_commit", purge)
    runner.run_due_jobs()
    assert Job.objects.count() == 0
