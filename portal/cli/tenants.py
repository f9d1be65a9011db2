"""``flask tenants``: scripts for the documents of all organizations, or of some."""

import sys
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup
from humanize import naturaldelta

from portal import clock
from portal.cli.job_runs import run_or_follow
from portal.cli.progress_line import ProgressLine
from portal.cli.running import on_database, plain, refusals
from portal.documents.jobs import ItemState, Job, JobState
from portal.documents.organizations import Strategy
from portal.jobs import managing
from portal.jobs.progress import describe
from portal.tenant_scripts import applying, selecting
from portal.tenant_scripts.applying import MOST_WORKERS, Pace, WaveProgress
from portal.tenant_scripts.loading import Script, load_script
from portal.tenant_scripts.selecting import Selection
from portal.tenant_scripts.standing import MOST_TOLD, Standing, Told, standing_of
from portal.tenant_scripts.waves import Gate
from portal.web.context import OPERATOR, RequestContext
from portal.web.counting import counted

tenants = AppGroup("tenants", help="The documents of all organizations, or of some.")

_NAMED_AT_ONCE = 5
_REASONS_AT_END = 10


@tenants.command("apply")
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--organization", "-o", multiple=True, metavar="SLUG", help="Only this; or its id.")
@click.option(
    "--from-file",
    type=click.File(),
    help="Only those in this file, a slug or id on each line; - reads them from standard input.",
)
@click.option("--plan", multiple=True, help="Only organizations on this plan.")
@click.option("--region", multiple=True, help="Only organizations in this region.")
@click.option("--cluster", multiple=True, help="Only organizations in this cluster.")
@click.option(
    "--strategy",
    type=click.Choice([str(strategy) for strategy in Strategy]),
    multiple=True,
    help="Only organizations whose documents are placed so.",
)
@click.option("--canary", multiple=True, metavar="SLUG", help="Begin with this one.")
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=Pace().workers,
    show_default=True,
    help="Organizations at a time.",
)
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="At most so many a second.")
@click.option(
    "--max-failures",
    type=click.FloatRange(0, 100),
    default=Gate().failures_percent,
    show_default=True,
    help="Percent of a wave that may fail; one more, and no other begins.",
)
@click.option(
    "--max-latency",
    type=click.FloatRange(0),
    default=Gate().latency_ms,
    show_default=True,
    help="Milliseconds that the portal's reads may take between two waves.",
)
@click.option(
    "--again", is_flag=True, help="Those that are named get it once more, though they have it."
)
@click.option("--edited", is_flag=True, help="Those that are done need nothing of the edit.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--status", is_flag=True, help="Only say which organizations have it.")
@on_database
def apply_script(
    script: Path,
    organization: tuple[str, ...],
    from_file: Any,
    plan: tuple[str, ...],
    region: tuple[str, ...],
    cluster: tuple[str, ...],
    strategy: tuple[str, ...],
    canary: tuple[str, ...],
    workers: int,
    rate: float | None,
    max_failures: float,
    max_latency: float,
    again: bool,
    edited: bool,
    dry_run: bool,
    status: bool,
) -> None:
    """Apply SCRIPT, a Python file with a function apply(tenant), to each active organization that
    doesn't have it: to one first, then to 1 %, to 10 %, to the rest.

    May be stopped or killed at any time: the same command goes on. Exit status: 0 all have it, 1
    some failed or it was stopped, 2 the command failed.
    """
    with refusals():
        loaded = load_script(script)
        named = [*organization, *(_lines(from_file) if from_file else ())]
        if from_file and not named:
            raise click.UsageError("The file names no organization.")
        if len(named) > selecting.MOST_NAMED:
            raise click.UsageError(f"Name {selecting.MOST_NAMED:,} organizations at most.")
        if again and not named:
            raise click.UsageError("--again needs --organization or --from-file.")
        selection = Selection(selecting.find_ids(named), plan, region, cluster, strategy)
        canaries = selecting.find_ids(canary)
        if status:
            sys.exit(_tell_standing(loaded, standing_of(loaded, selection)))
        if dry_run:
            applying.check_unedited(loaded, edited=edited)
            standing = standing_of(loaded, selection)
            _tell_plan(loaded, standing, applying.plan_of(loaded, selection, standing, canaries))
            return
        started = applying.start_or_join(
            loaded, selection, RequestContext(OPERATOR), canary=canaries, edited=edited, again=again
        )
    if isinstance(started, Standing):
        _tell_nothing_to_do(loaded, started)
        return
    _run(started, loaded, Pace(workers, rate), Gate(max_failures, max_latency))
    sys.exit(_tell_end(managing.find_job(started.id), loaded, selection))


def _lines(file: Any) -> Iterator[str]:
    return filter(None, (line.partition("#")[0].strip() for line in file))


def _run(job: Job, script: Script, pace: Pace, gate: Gate) -> None:
    """Run the job, or follow the process that does, and go on where that one dies."""
    click.echo(f"{plain(job.title)}: job {job.id}")
    line = ProgressLine()
    watch = partial(_watch, line)
    work = partial(applying.apply_script, script=script, pace=pace, gate=gate, watch=watch)
    run_or_follow(job, work, line, "Stopped. The same command goes on.")


def _watch(line: ProgressLine, progress: WaveProgress) -> None:
    """Show how far a wave is."""
    failed = f", {progress.failed:,} failed" if progress.failed else ""
    words = f"{progress.wave.name:<6}  {progress.finished:,} of {progress.wave.size:,}{failed}"
    if progress.over:
        line.keep(words)
    else:
        line.show(f"{words}  {progress.at or ''}")


def _tell_nothing_to_do(script: Script, standing: Standing) -> None:
    done = counted(standing.done, "organization")
    click.echo(f"Nothing to do for {script.name}: done for {done}{_not_applicable(standing)}.")
    _tell_trashed(standing)


def _tell_plan(script: Script, standing: Standing, plan: applying.Plan) -> None:
    if not plan.waves:
        _tell_nothing_to_do(script, standing)
        return
    click.echo(f"{script.name} would be applied to {counted(standing.pending, 'organization')}:")
    for wave in plan.waves:
        click.echo(f"{wave.name:<6}  {wave.size:,}")
    _tell_trashed(standing)


def _tell_standing(script: Script, standing: Standing) -> int:
    click.echo(f"{script.name} (sha256 {script.short_checksum})")
    for words, number in (
        ("have it", standing.done),
        ("failed", standing.failed),
        ("not applicable", standing.not_applicable),
        ("begun, not ended", standing.begun),
        ("not yet", standing.missing),
        ("in the trash", standing.trashed),
    ):
        click.echo(f"{number:>9,}  {words}")
    _tell_organizations(standing.told)
    _tell_cut(standing)
    if standing.job:
        job = standing.job
        reason = f", {job.reason}" if job.reason else ""
        click.echo(plain(f"Last job: {job.id}, {job.state}: {describe(job)}{reason}"))
    return 1 if standing.pending else 0


def _tell_end(job: Job, script: Script, selection: Selection) -> int:
    standing = standing_of(script, selection)
    failed = [told for told in standing.told if told.item.state == ItemState.FAILED]
    took = naturaldelta((job.ended_at or clock.now()) - job.created_at)
    if job.state == JobState.DONE:
        counts = job.result
        click.echo(
            f"Applied to {counted(counts[ItemState.DONE], 'organization')} in {took}, failed for "
            f"{counts[ItemState.FAILED]:,}{_not_applicable(standing)}."
        )
    elif job.state == JobState.PAUSED:
        click.echo(f"Paused. To go on: flask jobs resume {job.id}, then this command again.")
    else:
        reason = f": {plain(job.reason)}" if job.reason else ""
        click.echo(f"{job.state.capitalize()} after {took}{reason}.")
        click.echo("What was applied stays. Called again, this starts over with one organization.")
    _tell_organizations(failed, _REASONS_AT_END)
    _tell_cut(standing)
    _tell_trashed(standing)
    return 0 if job.state == JobState.DONE and not standing.failed else 1


def _tell_organizations(told: list[Told], most: int | None = None) -> None:
    """A line for each reason, at most so many, and some organizations that it is of."""
    by_reason: dict[str, list[str]] = {}
    for one in told:
        reason = f": {one.item.reason}" if one.item.reason else ""
        by_reason.setdefault(f"{one.item.state}{reason}", []).append(one.slug)
    for reason, slugs in islice(by_reason.items(), most):
        more = len(slugs) - _NAMED_AT_ONCE
        others = f" and {more:,} more" if more > 0 else ""
        click.echo(plain(f"  {', '.join(slugs[:_NAMED_AT_ONCE])}{others}  {reason}"))
    if most is not None and len(by_reason) > most:
        click.echo(f"  and for {len(by_reason) - most:,} other reasons: --status tells them")


def _tell_cut(standing: Standing) -> None:
    if len(standing.told) == MOST_TOLD:
        click.echo(f"  These are of the first {MOST_TOLD:,}.")


def _not_applicable(standing: Standing) -> str:
    number = standing.not_applicable
    return f", not applicable to {number:,}" if number else ""


def _tell_trashed(standing: Standing) -> None:
    if standing.trashed:
        click.echo(
            f"{standing.trashed:,} in the trash are left out: call this again when one is restored."
        )
