"""``flask moves``: moves of organizations from one place to another, and their ways back."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from flask.cli import AppGroup

from portal.cli.running import CommandFailed, on_database, plain, refusals
from portal.cli.runs import run_moves
from portal.cli.tables import json_option, print_json, print_table
from portal.cli.told_moves import (
    move_as_json,
    place_of,
    plan_as_json,
    print_plan,
    print_way_back_end,
    rows_of,
    time_of,
    watch_move,
)
from portal.documents.moves import Move, MoveState
from portal.documents.organizations import Organization, Strategy
from portal.errors import NotFound
from portal.organizations import planning as organizations
from portal.organizations.moving import explaining, finding, managing, planning, starting, ways_back
from portal.organizations.moving.changes import check_state
from portal.organizations.moving.options import Options, Switch, Throttle
from portal.organizations.moving.planning import Plan, Planned, Wish
from portal.settings.checks import LONGEST_WAY_BACK_DAYS
from portal.web.context import OPERATOR, RequestContext

moves = AppGroup("moves", help="Moves of organizations to other places, and the ways back.")

moves.add_command(run_moves)

_MOST_LISTED = 1000


class _When(click.ParamType):
    """A time; in UTC unless it says otherwise."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            self.fail("Write it as 2026-12-24T03:00, in UTC, or with +01:00 behind it.", param, ctx)
        return when if when.tzinfo else when.replace(tzinfo=UTC)


_to = click.option(
    "--to",
    "strategy",
    type=click.Choice([strategy.value for strategy in Strategy]),
    help="How its documents are kept there; as now without it.",
)
_cluster = click.option("--cluster", help="Where; the present cluster without it.")
_rate = click.option(
    "--rate", type=click.IntRange(1), metavar="N", help="Copy at most so many documents a second."
)
_p99 = click.option(
    "--neighbours-p99",
    type=click.IntRange(1),
    metavar="MS",
    help="Copy so slowly that the neighbours' p99 stays below so many milliseconds.",
)
_without_way_back = click.option(
    "--without-way-back", is_flag=True, help="Switch although nobody will be able to go back."
)
_way_back_days = click.option(
    "--way-back-days",
    type=click.IntRange(1, LONGEST_WAY_BACK_DAYS),
    metavar="N",
    help="Keep the way back for so long; WAY_BACK_DAYS without it.",
)
_end_credentials = click.option(
    "--end-credentials",
    is_flag=True,
    help="Switch although MongoDB users have no other string yet: those end.",
)
_named = click.argument("move", metavar="MOVE")


@moves.command("plan")
@click.argument("organization", metavar="ORGANIZATION")
@_to
@_cluster
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
@on_database
def plan_move(organization: str, strategy: str | None, cluster: str | None, as_json: bool) -> None:
    """Say what a move of ORGANIZATION, by its slug, would do, and what speaks against it.

    Nothing begins. Exit status: 0 it may start, 1 something speaks against it, 2 the command
    failed.
    """
    with refusals():
        found = find_organization(organization)
        plan = planning.plan_move(found, _wish(found, strategy, cluster))
    if as_json:
        click.echo(json.dumps(plan_as_json(plan), default=str))
    else:
        print_plan(plan)
        if not plan.obstacles:
            click.echo(
                f"\nTo start it: flask moves start {plan.slug} --plan {plan.planned.dumps()}"
            )
    if plan.obstacles:
        raise click.exceptions.Exit(1)


@moves.command("start")
@click.argument("organization", metavar="ORGANIZATION")
@_to
@_cluster
@click.option("--plan", "text", help="The plan to apply, as flask moves plan printed it.")
@click.option("--yes", is_flag=True, help="Without --plan: start the plan that is shown, unasked.")
@click.option("--at", type=_When(), help="Switch at this time, or as soon after as it can.")
@click.option("--in-hours", is_flag=True, help="Switch in the hours of the placement policy.")
@click.option("--on-command", is_flag=True, help="Switch only by flask moves switch.")
@_rate
@_p99
@_without_way_back
@_way_back_days
@_end_credentials
@json_option
@on_database
def start_move(
    organization: str,
    strategy: str | None,
    cluster: str | None,
    text: str | None,
    yes: bool,
    at: datetime | None,
    in_hours: bool,
    on_command: bool,
    rate: int | None,
    neighbours_p99: int | None,
    without_way_back: bool,
    way_back_days: int | None,
    end_credentials: bool,
    as_json: bool,
) -> None:
    """Move ORGANIZATION as planned; refused, with the difference, where something has changed.

    The portals carry it out. Without --plan it is planned, shown and asked for.
    """
    switch = _switch(at, in_hours=in_hours, on_command=on_command)
    options = Options(
        switch or Switch.VERIFIED,
        at,
        Throttle(rate, neighbours_p99),
        without_way_back,
        way_back_days,
        ends_credentials=end_credentials,
    )
    with refusals():
        found = find_organization(organization)
        if text:
            planned = Planned.loads(text)
        else:
            plan = planning.plan_move(found, _wish(found, strategy, cluster))
            planned = _confirmed(plan, yes, as_json)
        move = starting.start_move(found, planned, options, RequestContext(OPERATOR))
    _tell_started(move, as_json)


@moves.command("approve")
@_named
@_to
@_cluster
@click.option("--yes", is_flag=True, help="Start the plan that is shown, unasked.")
@click.option("--now", is_flag=True, help="Switch as soon as it is ready.")
@click.option("--at", type=_When(), help="Switch at this time, instead of on the requested day.")
@_rate
@_p99
@_without_way_back
@_way_back_days
@_end_credentials
@json_option
@on_database
def approve_move(
    move: str,
    strategy: str | None,
    cluster: str | None,
    yes: bool,
    now: bool,
    at: datetime | None,
    rate: int | None,
    neighbours_p99: int | None,
    without_way_back: bool,
    way_back_days: int | None,
    end_credentials: bool,
    as_json: bool,
) -> None:
    """Start MOVE, which owners have asked for: by its id, or its organization's slug.

    It switches on the day that they named.
    """
    switch = _switch(at, in_hours=False, on_command=False, now=now)
    options = Options(
        switch or Switch.VERIFIED,
        at,
        Throttle(rate, neighbours_p99),
        without_way_back,
        way_back_days,
        ends_credentials=end_credentials,
    )
    with refusals():
        requested = finding.find_move(move)
        check_state(requested, (MoveState.REQUESTED,), "approved")
        found = Organization.objects.get(id=requested.organization)
        asked = planning.wish_of(requested)
        wish = Wish(Strategy(strategy or asked.strategy), cluster or asked.cluster)
        planned = _confirmed(planning.plan_move(found, wish), yes, as_json)
        if switch is None:
            options = starting.on_requested_day(requested, options)
        started = starting.approve_move(
            str(requested.id), planned, options, RequestContext(OPERATOR)
        )
    _tell_started(started, as_json)


@moves.command("decline")
@_named
@click.option("--reason", required=True, help="Why, for the owners who asked for it.")
@json_option
@on_database
def decline_move(move: str, reason: str, as_json: bool) -> None:
    """Decline MOVE, which owners have asked for."""
    with refusals():
        declined = starting.decline_move(move, reason, RequestContext(OPERATOR))
    _tell(declined, f"Declined. The owners of {declined.slug} are told by mail.", as_json)


@moves.command("list")
@click.option("--all", "every", is_flag=True, help="Those that have ended as well.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object for each, a line each.")
@on_database
def list_moves(every: bool, as_json: bool) -> None:
    """List the open moves, ways back and requests, newest first."""
    found = list(finding.list_moves(only_open=not every, most=_MOST_LISTED))
    if as_json:
        for move in found:
            click.echo(json.dumps(move_as_json(move), default=str))
    elif found:
        heads = ("id", "organization", "from", "to", "how far")
        rows = [
            (
                move.id,
                move.slug,
                place_of(move.source),
                place_of(move.target),
                f"way back: {explaining.describe(move)}"
                if move.way_back_of
                else explaining.describe(move),
            )
            for move in found
        ]
        print_table(heads, rows)
    if not found:
        click.echo("There are none.", err=True)


@moves.command("show")
@_named
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
@click.option("--watch", is_flag=True, help="Go on telling how far it is until it is over.")
@on_database
def show_move(move: str, as_json: bool, watch: bool) -> None:
    """Show MOVE, by its id or its organization's slug: how far it is, and what was verified."""
    with refusals():
        found = finding.find_move(move)
    if as_json:
        click.echo(json.dumps(move_as_json(found), default=str))
        return
    for name, value in rows_of(found):
        click.echo(f"{name:<12} {plain(value)}")
    if watch:
        watch_move(found)


@moves.command("explain")
@_named
@json_option
@on_database
def explain_move(move: str, as_json: bool) -> None:
    """Say what state MOVE is in, who or what is waited for, and what will happen."""
    with refusals():
        found = finding.find_move(move)
    explained = explaining.explain(found)
    if as_json:
        print_json({"move": found.id, **asdict(explained)})
        return
    rows = [
        ("move", f"{explaining.title_of(found)} ({found.id})"),
        ("state", explained.state),
        ("waits for", explained.waited_for or "nobody"),
        ("then", explained.happens_next),
        ("possible", ", ".join(f"flask moves {verb}" for verb in explained.possible) or "nothing"),
    ]
    for name, value in rows:
        click.echo(f"{name:<12} {plain(value)}")


@moves.command("pause")
@_named
@json_option
@on_database
def pause_move(move: str, as_json: bool) -> None:
    """Pause MOVE behind the batch in hand; what was copied stays."""
    with refusals():
        paused = managing.pause_move(move, RequestContext(OPERATOR))
    _tell(paused, f"Paused. To go on: flask moves resume {paused.id}", as_json)


@moves.command("resume")
@_named
@json_option
@on_database
def resume_move(move: str, as_json: bool) -> None:
    """Have MOVE go on that was paused, or that stopped."""
    with refusals():
        resumed = managing.resume_move(move, RequestContext(OPERATOR))
    _tell(resumed, "Resumed.", as_json)


@moves.command("throttle")
@_named
@_rate
@_p99
@click.option("--none", "unlimited", is_flag=True, help="As fast as it goes.")
@json_option
@on_database
def throttle_move(
    move: str, rate: int | None, neighbours_p99: int | None, unlimited: bool, as_json: bool
) -> None:
    """Change how fast MOVE copies."""
    if unlimited == bool(rate or neighbours_p99):
        raise click.UsageError("Give --rate, --neighbours-p99 or both; or --none.")
    with refusals():
        throttle = Throttle(rate, neighbours_p99)
        throttled = managing.throttle_move(move, throttle, RequestContext(OPERATOR))
    _tell(throttled, "The portals go by that within seconds.", as_json)


@moves.command("switch")
@_named
@click.option("--now", is_flag=True, help="As soon as it is ready.")
@click.option("--at", type=_When(), help="At this time, or as soon after as it can.")
@click.option("--in-hours", is_flag=True, help="In the hours of the placement policy.")
@click.option("--on-command", is_flag=True, help="Not before flask moves switch --now.")
@_without_way_back
@_end_credentials
@json_option
@on_database
def switch_move(
    move: str,
    now: bool,
    at: datetime | None,
    in_hours: bool,
    on_command: bool,
    without_way_back: bool,
    end_credentials: bool,
    as_json: bool,
) -> None:
    """Say when MOVE switches: now, without any option."""
    switch = _switch(at, in_hours=in_hours, on_command=on_command, now=now) or Switch.VERIFIED
    with refusals():
        changed = managing.switch_move(
            move,
            RequestContext(OPERATOR),
            switch=switch,
            at=at,
            without_way_back=True if without_way_back else None,
            ends_credentials=True if end_credentials else None,
        )
    _tell(changed, f"{changed.slug}: {plain(explaining.describe(changed))}", as_json)


@moves.command("abort")
@_named
@click.option("--reason", help="Why, for the record.")
@json_option
@on_database
def abort_move(move: str, reason: str | None, as_json: bool) -> None:
    """End MOVE before its switch: the documents are where they were, the copy is removed."""
    with refusals():
        aborted = managing.abort_move(move, reason, RequestContext(OPERATOR))
    _tell(aborted, f"{aborted.slug} stays where it is. The portals remove the copy.", as_json)


@moves.command("back")
@_named
@json_option
@on_database
def go_back(move: str, as_json: bool) -> None:
    """Go back by the way back of MOVE; nothing that was written since is lost."""
    with refusals():
        way_back = ways_back.go_back(move, RequestContext(OPERATOR))
    place = explaining.place_in_words(way_back.target)
    words = f"{way_back.slug} goes back to {place} as soon as that has all that was written."
    _tell(way_back, words, as_json)


@moves.command("end")
@_named
@click.option("--dry-run", is_flag=True, help="Tell what would go, and do nothing.")
@click.option("--yes", is_flag=True, help="End the way back that is shown, unasked.")
@json_option
@on_database
def end_way_back(move: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """End the way back of MOVE now. The old copy is removed."""
    with refusals():
        plan = ways_back.plan_end(move)
        if dry_run and as_json:
            print_json(plan)
            return
        print_way_back_end(plan, err=as_json)
        if dry_run:
            click.echo("\nNothing was changed.")
            return
        if not yes:
            click.confirm("\nEnd the way back?", abort=True, err=True)
        ended = ways_back.end_way_back(str(plan.move), RequestContext(OPERATOR))
    words = f"The way back of {ended.slug} has ended. The portals remove the old copy."
    _tell(ended, words, as_json)


@moves.command("extend")
@_named
@click.option("--days", type=click.IntRange(1, LONGEST_WAY_BACK_DAYS), required=True, metavar="N")
@json_option
@on_database
def extend_way_back(move: str, days: int, as_json: bool) -> None:
    """Keep the way back of MOVE for so many days from now."""
    with refusals():
        extended = ways_back.extend_way_back(move, days, RequestContext(OPERATOR))
    words = f"The way back of {extended.slug} is open until {time_of(extended.until)}."
    _tell(extended, words, as_json)


def find_organization(slug: str) -> Organization:
    """The organization with this slug, or id. Raises CommandFailed."""
    try:
        return organizations.find_organization(slug)
    except NotFound as error:
        raise CommandFailed(f"There is no organization {slug}.") from error


def _wish(organization: Organization, strategy: str | None, cluster: str | None) -> Wish:
    if strategy is None and cluster is None:
        raise click.UsageError("Say where to: by --to, --cluster or both.")
    present = organization.placement
    return Wish(Strategy(strategy or present.strategy), cluster or present.cluster)


def _switch(
    at: datetime | None, *, in_hours: bool, on_command: bool, now: bool = False
) -> Switch | None:
    chosen = [
        switch
        for switch, given in (
            (Switch.AT, at),
            (Switch.IN_HOURS, in_hours),
            (Switch.ON_COMMAND, on_command),
            (Switch.VERIFIED, now),
        )
        if given
    ]
    if len(chosen) > 1:
        raise click.UsageError("It switches at one time: give one option for that.")
    return chosen[0] if chosen else None


def _confirmed(plan: Plan, unasked: bool, as_json: bool) -> Planned:
    """Show the plan, beside the output for programs, and ask. Raises CommandFailed where something
    speaks against it."""
    print_plan(plan, err=as_json)
    if plan.obstacles:
        raise CommandFailed(f"{plan.slug} was not moved: see what isn't checked above.")
    if not unasked:
        click.confirm("\nStart this move?", abort=True, err=True)
    return plan.planned


def _tell(move: Move, words: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(move_as_json(move), default=str))
    else:
        click.echo(words)


def _tell_started(move: Move, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(move_as_json(move), default=str))
        return
    click.echo(f"Started: {plain(explaining.title_of(move))}, {move.id}.")
    click.echo(f"To see how far it is: flask moves show {move.slug} --watch")
