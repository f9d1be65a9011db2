"""``flask jobs``: what an operator sees of jobs, and does to them."""

import json

from portal.jobs import runner
from portal.jobs.managing import find_job


def test_jobs_are_listed_and_shown(kind, a_job, command):
    assert "no jobs" in command("jobs", "list").stdout
    job = a_job(total=3)
    runner.run_due_jobs()
    assert command("jobs", "list").stdout == f"{job.id}  done       Counting sheep: 0 of 3\n"
    shown = command("jobs", "show", str(job.id)).stdout
    assert "state     done" in shown
    assert "attempts  1" in shown
    assert "result    counted 3" in shown
    told = json.loads(command("jobs", "show", str(job.id), "--json").stdout)
    assert (told["id"], told["state"], told["attempts"]) == (str(job.id), "done", 1)
    assert told["result"] == {"counted": 3}
    assert json.loads(command("jobs", "list", "--json").stdout) == [told]


def test_a_job_is_paused_resumed_and_cancelled(kind, a_job, command):
    job = a_job()
    told = command("jobs", "pause", str(job.id))
    assert (told.returncode, find_job(job.id).state) == (0, "paused")
    assert f"flask jobs resume {job.id}" in told.stdout
    assert "goes on by itself" in command("jobs", "resume", str(job.id)).stdout
    assert command("jobs", "cancel", str(job.id)).returncode == 0
    refused = command("jobs", "resume", str(job.id))
    assert (refused.returncode, find_job(job.id).state) == (2, "cancelled")
    assert "is cancelled, and stays so" in refused.stderr


def test_an_unknown_job_is_told(kind, command):
    told = command("jobs", "show", "sheep")
    assert (told.returncode, told.stdout) == (2, "")
    assert "There is no job sheep: flask jobs list shows them." in told.stderr


def test_what_anybody_may_have_typed_changes_no_terminal(kind, a_job, command):
    a_job("\x1b[2Jsheep")
    assert "\x1b" not in command("jobs", "list").stdout
