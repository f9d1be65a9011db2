"""``flask moves run``: many moves in a row, to empty a cluster or as the policy proposes."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import time as time_of_day
from functools import partial
from typing import Any

import click
from humanize import naturaldelta

from portal import clock
from portal.cli.job_runs import run_or_follow
from portal.cli.progress_line import ProgressLine
from portal.cli.running import CommandFailed, on_database, plain, refusals
from portal.clusters import managing as clusters
from portal.documents.jobs import Job, JobState
from portal.documents.organizations import Strategy
from portal.organizations.moving import draining, surveying
from portal.organizations.moving.draining import Pace, RunProgress
from portal.organizations.moving.surveying import Course, Left, Survey
from portal.placement.policies import current_policy, parse_hours
from portal.settings.checks import LONGEST_WAY_BACK_DAYS
from portal.web.context import OPERATOR, RequestContext
from portal.web.counting import counted

_MOST_TOLD = 20


class _Hours(click.ParamType):
    """Hours of the day, in UTC."""

    name = "hours"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return parse_hours(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("run")
@click.option("--from", "cluster", metavar="CLUSTER", help="Empty this cluster.")
@click.option("--policy", is_flag=True, help="Make the moves that the placement policy proposes.")
@click.option("--to", "target", metavar="CLUSTER", help="With --from: where to; else by weight.")
@click.option(
    "--strategy",
    type=click.Choice([strategy.value for strategy in Strategy]),
    help="With --from: how documents are kept there; as now without it.",
)
@click.option(
    "--at-once",
    type=click.IntRange(1, 100),
    default=Pace().at_once,
    show_default=True,
    help="Moves at a time.",
)
@click.option("--rate", type=click.IntRange(1), help="Documents a second, by all moves together.")
@click.option(
    "--neighbours-p99",
    type=click.IntRange(1),
    metavar="MS",
    help="Copy so slowly that the neighbours' p99 stays below.",
)
@click.option(
    "--stop-above",
    type=click.FloatRange(1),
    metavar="MS",
    default=Pace().suffering_ms,
    show_default=True,
    help="Stop where the neighbours' p99 stays above.",
)
@click.option(
    "--hours",
    type=_Hours(),
    help="Begin and switch only then, as 22:00-05:00, in UTC; with --policy by default its hours.",
)
@click.option(
    "--again",
    multiple=True,
    metavar="SLUG",
    help="Move this one although somebody stopped its move.",
)
@click.option("--leave-unfit", is_flag=True, help="Move the others although some can't be moved.")
@click.option("--without-way-back", is_flag=True, help="Switch although nobody can go back.")
@click.option(
    "--way-back-days",
    type=click.IntRange(1, LONGEST_WAY_BACK_DAYS),
    metavar="N",
    help="Keep the ways back for so long.",
)
@click.option(
    "--end-credentials",
    is_flag=True,
    help="Switch although MongoDB users have no new connection string: those end.",
)
@click.option("--dry-run", is_flag=True, help="Only look at all, and say what would be done.")
@on_database
def run_moves(
    cluster: str | None,
    policy: bool,
    target: str | None,
    strategy: str | None,
    at_once: int,
    rate: int | None,
    neighbours_p99: int | None,
    stop_above: float,
    hours: tuple[time_of_day, time_of_day] | None,
    again: tuple[str, ...],
    leave_unfit: bool,
    without_way_back: bool,
    way_back_days: int | None,
    end_credentials: bool,
    dry_run: bool,
) -> None:
    """Move all organizations off a cluster, or those that the policy proposes; smallest first.

    All are looked at before the first one moves, and each again before its turn. May be stopped or
    killed at any time: the same command goes on, and what somebody aborted stays aborted. Exit
    status: 0 all have moved, 1 some are left or it stopped, 2 the command failed.
    """
    if policy == bool(cluster) or (policy and (target or strategy)):
        raise click.UsageError("Give --from CLUSTER, or --policy by itself.")
    with refusals():
        if cluster:
            clusters.check_closed(cluster)
            course = surveying.emptying(cluster, target, Strategy(strategy) if strategy else None)
        else:
            placement_policy = current_policy()
            hours = hours or placement_policy.moves.hours
            course = surveying.by_policy(placement_policy)
        survey = _survey(course, again)
        _tell_survey(survey)
        if dry_run:
            return
        if survey.unfit and not leave_unfit:
            raise CommandFailed(
                "Nothing was moved. Mend what is in their way, or leave them: --leave-unfit."
            )
        pace = Pace(
            at_once,
            rate,
            neighbours_p99,
            stop_above,
            hours,
            without_way_back,
            way_back_days,
            end_credentials,
        )
        job = _run(course, survey, pace) if survey.total else None
    all_moved = _tell_end(job, survey)
    if cluster:
        _tell_held(cluster)
    sys.exit(0 if all_moved else 1)


def _survey(course: Course, again: Sequence[str]) -> Survey:
    line = ProgressLine()
    try:
        return surveying.survey_course(
            course, again, lambda number: line.show(f"looked at {counted(number, 'organization')}")
        )
    finally:
        line.end()


def _tell_survey(survey: Survey) -> None:
    click.echo(f"To move: {counted(survey.total, 'organization')}.")
    if survey.under_way:
        click.echo(f"  {survey.under_way:,} of them under way already.")
    _tell_left(survey.unfit, "can't be moved")
    _tell_left(survey.left_out, "left out; --again SLUG moves one all the same")


def _tell_left(left: list[Left], words: str) -> None:
    if left:
        click.echo(f"{counted(len(left), 'organization')} {words}:")
    for one in left[:_MOST_TOLD]:
        click.echo(plain(f"  {one.slug}: {one.reason}"))
    if len(left) > _MOST_TOLD:
        click.echo(f"  and {len(left) - _MOST_TOLD:,} more")


def _run(course: Course, survey: Survey, pace: Pace) -> Job:
    """Run the job, or follow the process that does, and go on where that one dies; the job at its
    end."""
    context = RequestContext(OPERATOR)
    job = draining.start_or_join(course, survey, context)
    click.echo(f"{plain(job.title)}: job {job.id}")
    line, told = ProgressLine(), _Told()
    work = partial(
        draining.run_moves,
        course=course,
        survey=survey,
        pace=pace,
        context=context,
        watch=partial(_watch, line, told),
    )
    stopped = "Stopped. What moves goes on; the same command moves the others."
    job = run_or_follow(job, work, line, stopped)
    _tell_left(told.left, "left where they are")
    return job


@dataclass(slots=True)
class _Told:
    """Facts to be told at the end of a run."""

    left: list[Left] = field(default_factory=list)


def _watch(line: ProgressLine, told: _Told, progress: RunProgress) -> None:
    told.left = list(progress.left)
    failed = f", {progress.failed:,} failed" if progress.failed else ""
    words = f"{progress.done:,} of {progress.total:,}{failed}"
    at = f"waits for {progress.waits_for}" if progress.waits_for else ", ".join(progress.at)
    line.show(f"{words}  {at}")


def _tell_end(job: Job | None, survey: Survey) -> bool:
    """Tell what became of the run; True where all have moved."""
    if job is None:
        click.echo("There is nothing to move.")
        return not survey.unfit
    took = naturaldelta((job.ended_at or clock.now()) - job.created_at)
    told = [f"{number:,} {words}" for words, number in job.result.items() if number]
    reason = f": {plain(job.reason)}" if job.reason else ""
    if job.state == JobState.PAUSED:
        click.echo(f"Paused. To go on: flask jobs resume {job.id}, then this command again.")
        return False
    click.echo(f"{job.state.capitalize()} after {took}{reason}. {', '.join(told) or 'None moved'}.")
    return job.state == JobState.DONE and {*told} <= {f"{job.result.get('moved', 0):,} moved"}


def _tell_held(cluster: str) -> None:
    """Tell all that still holds the cluster."""
    holds = clusters.holds(cluster)
    if holds is None:
        click.echo(f"{cluster} is empty: flask clusters remove {cluster}")
        return
    click.echo(f"{cluster} still holds {holds.held}.")
