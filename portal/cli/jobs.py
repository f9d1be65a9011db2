"""``flask jobs``: long work, how far it is, and how to stop it."""

from typing import Any

import click
from flask.cli import AppGroup

from portal.cli.running import on_database, plain, refusals
from portal.cli.tables import json_option, print_json
from portal.documents.jobs import Job
from portal.jobs import managing
from portal.jobs.progress import describe
from portal.jobs.running import KINDS
from portal.web.context import OPERATOR, RequestContext

jobs = AppGroup("jobs", help="Long work, how far it is, and how to stop it.")

_MOST_LISTED = 50


@jobs.command("list")
@json_option
@on_database
def list_jobs(as_json: bool) -> None:
    """List the latest jobs, newest first."""
    found = list(managing.latest_jobs(_MOST_LISTED))
    if as_json:
        print_json([_job_as_json(job) for job in found])
        return
    for job in found:
        click.echo(f"{job.id}  {job.state:<9}  {plain(job.title)}: {plain(describe(job))}")
    if not found:
        click.echo("There are no jobs.")


@jobs.command("show")
@click.argument("job_id", metavar="ID")
@json_option
@on_database
def show_job(job_id: str, as_json: bool) -> None:
    """Show the job with this ID: its progress, its result, and why it stopped."""
    with refusals():
        job = managing.find_job(job_id)
    if as_json:
        print_json(_job_as_json(job))
        return
    rows = [
        ("job", job.title),
        ("state", job.state),
        ("progress", describe(job)),
        ("begun", f"{job.created_at:%Y-%m-%d %H:%M:%S} UTC, by {_starter(job)}"),
        ("ended", f"{job.ended_at:%Y-%m-%d %H:%M:%S} UTC" if job.ended_at else None),
        ("attempts", str(job.attempt - job.attempts_before)),
        ("result", ", ".join(f"{name} {value:,}" for name, value in job.result.items())),
        ("reason", job.reason),
    ]
    for name, value in rows:
        if value:
            click.echo(f"{name:<9} {plain(value)}")


@jobs.command("pause")
@click.argument("job_id", metavar="ID")
@json_option
@on_database
def pause_job(job_id: str, as_json: bool) -> None:
    """Pause the job with this ID, behind what is in hand."""
    with refusals():
        job = managing.pause_job(job_id, RequestContext(OPERATOR))
    _print_changed(job, f"Paused. To go on: flask jobs resume {job.id}", as_json=as_json)


@jobs.command("resume")
@click.argument("job_id", metavar="ID")
@json_option
@on_database
def resume_job(job_id: str, as_json: bool) -> None:
    """Have the paused job with this ID go on."""
    with refusals():
        job = managing.resume_job(job_id, RequestContext(OPERATOR))
    kind = KINDS.get(job.kind)
    words = f"Resumed; it {kind.goes_on}." if kind else "Resumed."
    _print_changed(job, words, as_json=as_json)


@jobs.command("cancel")
@click.argument("job_id", metavar="ID")
@json_option
@on_database
def cancel_job(job_id: str, as_json: bool) -> None:
    """End the job with this ID for good. What it did stays done."""
    with refusals():
        job = managing.cancel_job(job_id, RequestContext(OPERATOR))
    _print_changed(job, "Cancelled. What it did stays done.", as_json=as_json)


def _print_changed(job: Job, words: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"job": job.id, "state": job.state})
    else:
        click.echo(words)


def _job_as_json(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "title": job.title,
        "organization": job.organization,
        "state": job.state,
        "done": job.progress.done,
        "total": job.progress.total,
        "progress": describe(job),
        "attempts": job.attempt - job.attempts_before,
        "result": dict(job.result),
        "reason": job.reason,
        "created_at": job.created_at,
        "ended_at": job.ended_at,
        "by": _starter(job),
    }


def _starter(job: Job) -> str:
    return job.origin.email or job.origin.actor_name or "the portal"
