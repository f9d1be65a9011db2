"""Whoever applies a script to tenants is killed or stopped anywhere; the next one goes on, and no
organization that has it gets it again."""

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from portal.documents.jobs import Job, JobItem
from portal.jobs import running
from portal.jobs.managing import find_job, pause_job, resume_job
from portal.organizations.storage import tenant_of
from portal.tenant_scripts import applying
from portal.tenant_scripts.applying import Pace
from portal.tenant_scripts.loading import load_script
from portal.tenant_scripts.selecting import Selection
from portal.tenant_scripts.standing import Standing
from portal.tenant_scripts.waves import Gate
from tests.conftest import TOP
from tests.factories import a_context, fresh
from tests.faults import doomed
from tests.faults.lapse import let_jobs_be_due, let_transactions_run_out
from tests.processes import at_once, wait_until
from tests.tenant_scripts.conftest import a_place

COUNT = """
def apply(tenant):
    tenant.update_one({"_id": "runs"}, {"$inc": {"n": 1}}, upsert=True)
"""
SLOW = """
import time
from pathlib import Path


def apply(tenant):
    tenant.update_one({"_id": "runs"}, {"$inc": {"n": 1}}, upsert=True)
    if Path(__file__).with_name("slow").exists():
        time.sleep(0.05)
"""
STOPPING = """
import signal
import threading
from pathlib import Path


def apply(tenant):
    tenant.update_one({"_id": "runs"}, {"$inc": {"n": 1}}, upsert=True)
    stop = Path(__file__).with_name("stop")
    if stop.exists() and stop.read_text() == str(tenant.id):
        stop.unlink()
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # it goes no further
"""


def apply_once(path):
    """As the command does, one organization at a time."""
    script = load_script(Path(path))
    job = applying.start_or_join(script, Selection(), a_context())
    leased = None if isinstance(job, Standing) else running.acquire(job.id)
    if leased:
        work = partial(
            applying.apply_script, script=script, pace=Pace(1), gate=Gate(), watch=lambda _: None
        )
        running.run(leased, work)


def runs(organizations):
    found = (tenant_of(fresh(one)).find_one({"_id": "runs"}) for one in organizations)
    return [one["n"] if one else 0 for one in found]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "count_runs.py"
    path.write_text(COUNT)
    return str(path)


@pytest.fixture
def organizations(empty_database, tenant_db):
    return [a_place(tenant_db, f"Org {n}") for n in range(4)]


@pytest.fixture
def recover(master_db, bare_client, path):
    def recover():
        let_transactions_run_out(bare_client)
        let_jobs_be_due(master_db)
        apply_once(path)

    return recover


def check_recovered(organizations, died):
    """All have it, and at most the one that was in hand got it twice."""
    counted = runs(organizations)
    assert set(counted) <= {1, 2}, died
    assert counted.count(2) <= 1, died
    assert {item.state for item in JobItem.objects} == {"done"}, died
    assert JobItem.objects.count() == len(organizations), died
    assert {job.state for job in Job.objects} <= {"done"}, died


def points_of(settings, path):
    return doomed.live(settings, apply_once, path).points


@pytest.fixture
def begin_again(empty, tenant_db):
    def begin_again(organizations):
        empty()
        return [a_place(tenant_db, one.name) for one in organizations]

    return begin_again


def test_killed_at_some_commands_it_is_carried_on(
    settings, path, organizations, recover, begin_again
):
    """A sample, ``make faults`` tries all."""
    points = points_of(settings, path)
    check_recovered(organizations, "nowhere")
    for point in random.sample(points, 3):
        organizations = begin_again(organizations)
        doomed.live(settings, apply_once, path, end=point)
        recover()
        check_recovered(organizations, point)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_killed_at_any_command_it_is_carried_on(
    settings, path, organizations, recover, begin_again, figure
):
    points = points_of(settings, path)
    for point in points:
        organizations = begin_again(organizations)
        doomed.live(settings, apply_once, path, end=point)
        recover()
        check_recovered(organizations, point)
    figure(f"{len(points)} points, each died at once, each organization done")


def command(server, path, *arguments):
    environment = {
        **os.environ,
        "MONGO_URI": server.uri,
        "MASTER_DB": "master_test",
        "TENANT_DB": "tenant_test",
        "JWT_SECRET": server.settings["jwt_secret"],
        "SECRET_KEY": server.settings["secret_key"],
    }
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "tenants", "apply", path, *arguments],
        cwd=TOP, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_of_two_at_once_one_applies_it(path, organizations):
    at_once([lambda: apply_once(path)] * 4)
    assert runs(organizations) == [1] * 4
    assert Job.objects.count() == 1


@pytest.mark.full
def test_of_two_commands_at_once_each_organization_gets_it_once(server, path, organizations):
    both = [command(server, path) for _ in range(2)]
    told = [each.communicate(timeout=60) for each in both]
    assert [each.returncode for each in both] == [0, 0], told
    assert runs(organizations) == [1] * 4
    assert Job.objects.count() == 1


def test_who_was_stopped_past_its_lease_writes_no_state(
    settings, path, organizations, recover, tmp_path
):
    """What it had in hand it did twice, which nothing can fence; so scripts are idempotent."""
    Path(path).write_text(STOPPING)
    (tmp_path / "stop").write_text(str(organizations[1].id))
    with doomed.asleep_by_itself(settings, apply_once, path):
        recover()
        [job] = Job.objects
        assert (job.state, job.attempt, job.result["done"]) == ("done", 2, 4)
        before = list(JobItem.objects.order_by("id").as_pymongo())
    assert list(JobItem.objects.order_by("id").as_pymongo()) == before
    assert find_job(job.id).to_mongo() == job.to_mongo()
    assert sorted(runs(organizations)) == [1, 1, 1, 2]


@pytest.mark.parametrize("kills", [1, pytest.param(8, marks=pytest.mark.full)])
def test_killed_at_any_moment_the_same_command_goes_on(
    server, tmp_path, tenant_db, recover, path, kills, figure
):
    organizations = [a_place(tenant_db, f"Org {n:02}") for n in range(20)]
    Path(path).write_text(SLOW)
    (tmp_path / "slow").touch()
    for _ in range(kills):
        before = JobItem.objects(state="done").count()
        killed = command(server, path, "--workers", "2")
        wait_until(lambda n=before, p=killed: p.poll() is not None or JobItem.objects(state="done").count() > n)  # fmt: skip
        time.sleep(random.uniform(0, 0.2))
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        let_jobs_be_due(Job._get_db())
    (tmp_path / "slow").unlink()
    recover()
    counted = runs(organizations)
    assert min(counted) == 1
    assert sum(counted) - 20 <= 2 * kills  # those in hand of each that was killed
    assert JobItem.objects(state="done").count() == 20
    figure(f"{kills} kills, {sum(counted) - 20} organizations got it twice")


@pytest.mark.full
def test_paused_from_another_process_it_ends_and_resumed_it_goes_on(
    server, tmp_path, tenant_db, path
):
    organizations = [a_place(tenant_db, f"Org {n:02}") for n in range(12)]
    Path(path).write_text(SLOW.replace("0.05", "1"))
    (tmp_path / "slow").touch()
    begun = command(server, path, "--workers", "1")
    wait_until(lambda: JobItem.objects(state="done").count())
    [job] = Job.objects
    pause_job(str(job.id), a_context())
    out, err = begun.communicate(timeout=30)
    assert begun.returncode == 1, (out, err)
    assert "Paused. To go on: flask jobs resume" in out
    assert 1 <= JobItem.objects(state="done").count() < 12
    assert JobItem.objects(state="running").count() == 0
    (tmp_path / "slow").unlink()
    resume_job(str(job.id), a_context())
    apply_once(path)
    assert runs(organizations) == [1] * 12
    assert find_job(job.id).state == "done"
