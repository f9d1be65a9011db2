"""An import and an export, in processes that are killed ten times on their way at any moment."""

import random
import time
from collections import Counter

import bson
import pytest

from portal.data.formats.options import Format, WriteOptions
from portal.data.queries import Query
from portal.data.transfer import exports, passes
from portal.data.transfer.files import pieces_of
from portal.data.transfer.imports import start_write
from portal.data.transfer.stages import Stage, find_import
from portal.jobs import runner
from portal.jobs.managing import find_job
from tests.data.transfer.conftest import checked, lines
from tests.data.transfer.test_exports import digests
from tests.faults import doomed
from tests.faults.lapse import let_jobs_be_due, let_transactions_run_out
from tests.processes import wait_until

pytestmark = [pytest.mark.full, pytest.mark.processes]
KILLS, RECORDS = 10, 60_000


def work():
    """Do what there is to do, in batches of which there are many."""
    passes.BATCH_RECORDS, exports._LARGEST_PAGE = 500, 100
    runner.run_due_jobs()


def began(job, attempt):
    """A condition: a later attempt has begun."""
    return lambda: find_job(job.id).attempt > attempt


def kill_on_the_way(settings, master_db, bare_client, job):
    """Have processes work on the job; each of ten is killed a while after it began to get on."""
    chance, kills = random.Random(19), 0
    while find_job(job.id).state == "running":
        let_jobs_be_due(master_db)
        let_transactions_run_out(bare_client)
        before = find_job(job.id).attempt
        process, told = doomed._start(settings, work, (), {})
        told.close()
        if kills < KILLS:
            wait_until(began(job, before))
            time.sleep(chance.uniform(0.05, 0.6))
            kills += process.is_alive()
            process.kill()
        process.join()
    return kills


def test_each_record_is_there_once_and_each_error_told_once(
    seen, stored, settings, master_db, bare_client
):
    records = [{"_id": n % (RECORDS - 100), "n": n} for n in range(RECORDS)]
    ready = checked(seen, lines(*records), stop_per_mille=1000)
    job = start_write(seen, ready).job
    assert kill_on_the_way(settings, master_db, bare_client, job) == KILLS
    done = find_import(seen.organization, ready.file.id)
    assert done.stage == Stage.DONE, done.job.reason
    assert sorted(each["n"] for each in stored.find()) == list(range(RECORDS - 100))
    assert done.written.counts == {"inserted": RECORDS - 100, "errors": 100}
    assert done.edit.documents == RECORDS - 100
    content = done.file.details["write_errors"]
    errors = b"".join(pieces_of(seen.organization, content, 0, done.written.pieces))
    failed = Counter(line for line in errors.splitlines() if b"$error" not in line)
    assert failed == Counter(lines(*records[-100:]).splitlines())


def test_what_is_exported_is_equal_by_hash(seen, stored, settings, master_db, bare_client):
    stored.insert_many({"_id": n, "n": n, "text": "x" * (n % 50)} for n in range(RECORDS))
    asked = exports.start_export(seen, Query({}, {"_id": 1}), WriteOptions(Format.BSON), "all")
    assert kill_on_the_way(settings, master_db, bare_client, asked.job) == KILLS
    made = exports.find_export(seen.organization, asked.file.id)
    content = b"".join(exports.export_content(seen, made))
    before = digests(stored)
    stored.delete_many({})
    stored.insert_many(bson.decode_all(content))
    assert digests(stored) == before
    assert made.file.size_bytes == len(content)
