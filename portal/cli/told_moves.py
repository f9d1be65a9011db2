"""Moves and their plans, as commands print them."""

import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

import click
from humanize import naturaldelta, naturalsize

from portal.cli.running import plain
from portal.documents.moves import Move, MoveState
from portal.documents.organizations import Placement
from portal.organizations.moving import explaining, finding
from portal.organizations.moving.planning import Plan
from portal.organizations.moving.ways_back import WayBackEnd
from portal.web.counting import counted

_LOOK_SECONDS = 2


def print_plan(plan: Plan, *, err: bool = False) -> None:
    """Print a plan: figures, what changes, what can't come along, what was checked."""
    echo = partial(click.echo, err=err)
    place = explaining.place_in_words(plan.source)
    strategy, cluster = plan.wish.strategy, plan.wish.cluster
    echo(f"{plain(plan.name)} ({plan.slug}): from {place} to {strategy} on {cluster}")
    echo(f"Plan of {plan.at:%H:%M:%S} UTC, from one read. Nothing has begun.\n")
    size = naturalsize(plan.bytes, format="%.3g")
    rate = f"{plan.documents_per_second:,.0f} a second"
    longest = f"{plan.longest_pause_ms:,.0f} ms at most; writers wait"
    for name, value in (
        ("documents", f"{plan.documents:,}, {size}"),
        ("takes about", f"{naturaldelta(plan.seconds)}, at {rate}"),
        ("pause", f"about {plan.pause_ms:.0f} ms, {longest}"),
    ):
        echo(f"  {name:<12} {value}")
    if plan.changes:
        echo("\nFrom here to there")
        for change in plan.changes:
            note = f" ({change.note})" if change.note else ""
            echo(plain(f"  {change.what}: {change.now} → {change.after}{note}"))
    if plan.left_behind:
        echo("\nWhat can't come along")
        for left in plan.left_behind:
            echo(plain(f"  {'!' if left.warning else '-'} {left.what}: {left.note}"))
    if plan.checks:
        passed = sum(check.passed for check in plan.checks)
        echo(f"\nChecked: {passed} of {counted(len(plan.checks), 'check')} passed")
        for check in sorted(plan.checks, key=lambda check: check.passed):
            echo(plain(f"  {'ok' if check.passed else 'NO'}  {check.words}"))


def print_way_back_end(plan: WayBackEnd, *, err: bool = False) -> None:
    """Print what goes with a way back."""
    copy = f"{plan.place}, {naturalsize(plan.bytes, format='%.3g')}"
    documents = f"{plan.documents:,} when they were moved, and all that was written since"
    rows = [("way back", str(plan.move)), ("old copy", copy), ("documents", documents)]
    if plan.until:
        rows.append(("open until", time_of(plan.until)))
    if plan.held:
        rows.append(("legal hold", "the old copy stays until it is released"))
    for name, value in rows:
        click.echo(f"  {name:<12} {plain(value)}", err=err)


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """A plan for programs."""
    return {
        "organization": plan.organization,
        "slug": plan.slug,
        "at": plan.at,
        "strategy": plan.wish.strategy,
        "cluster": plan.wish.cluster,
        "documents": plan.documents,
        "bytes": plan.bytes,
        "seconds": plan.seconds,
        "pause_ms": plan.pause_ms,
        "longest_pause_ms": plan.longest_pause_ms,
        "obstacles": plan.obstacles,
        "left_behind": [left.what for left in plan.left_behind],
        "plan": plan.planned.dumps(),
    }


def rows_of(move: Move) -> Iterator[tuple[str, str]]:
    """All that is told of a move, by name."""
    yield "move", f"{explaining.title_of(move)} ({move.id})"
    yield "state", explaining.describe(move)
    yield "begun", f"{time_of(move.created_at)}, by {_starter(move)}"
    if move.requested_for and move.state == MoveState.REQUESTED:
        yield "asked for", f"{move.requested_for:%Y-%m-%d}"
    size = naturalsize(move.progress.bytes, format="%.3g")
    yield "documents", f"{move.progress.documents:,}, {size}"
    if move.progress.changed_at:
        yield "last change", f"{time_of(move.progress.changed_at)}, at the source"
    if result := move.verification:
        found = f"{result.differences:,} differed, {result.repaired:,} repaired"
        yield "verified", f"{result.documents:,} documents in {result.ranges:,} ranges, {found}"
        for differing in result.ids:
            yield "", differing
    if move.switched_at:
        yield "switched", time_of(move.switched_at)
    if move.pause_ms is not None:
        yield "pause", f"{move.pause_ms:.0f} ms"
    if move.until:
        yield "open until", time_of(move.until)
    if move.ended_at:
        yield "ended", time_of(move.ended_at)
    if move.waits_for and move.open:
        yield "waits for", move.waits_for


def move_as_json(move: Move) -> dict[str, Any]:
    """A move for programs."""
    progress = explaining.progress_of(move)
    return {
        "id": move.id,
        "organization": move.organization,
        "slug": move.slug,
        "way_back_of": move.way_back_of,
        "state": move.state,
        "outcome": move.outcome,
        "reason": move.reason,
        "paused": bool(move.paused),
        "source": {"strategy": move.source.strategy, "cluster": move.source.cluster},
        "target": {"strategy": move.target.strategy, "cluster": move.target.cluster},
        "documents": progress.documents,
        "copied": progress.copied,
        "bytes": progress.bytes,
        "rate": progress.rate,
        "dirty": progress.dirty,
        "lag_seconds": progress.lag and progress.lag.total_seconds(),
        "last_change_at": progress.last_change,
        "seconds_left": progress.seconds_left,
        "standstill": progress.standstill,
        "waits_for": move.waits_for,
        "pause_ms": move.pause_ms,
        "until": move.until,
        "created_at": move.created_at,
        "switched_at": move.switched_at,
        "ended_at": move.ended_at,
    }


def watch_move(move: Move) -> None:
    """Tell how far it is, whenever that changes, until nothing will by itself."""
    told = ""
    try:
        while move.open and move.state != MoveState.REQUESTED and not move.way_back_of:
            words = explaining.describe(move)
            if words != told:
                click.echo(f"{'':<12} {plain(words)}")
                told = words
            time.sleep(_LOOK_SECONDS)
            move = finding.find_move(move.id)
    except KeyboardInterrupt:
        return
    click.echo(f"{'':<12} {plain(explaining.describe(move))}")


def place_of(placement: Placement) -> str:
    """A place in three words."""
    return f"{placement.strategy} on {placement.cluster}"


def time_of(when: datetime) -> str:
    """A time to the second."""
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def _starter(move: Move) -> str:
    return move.origin.email or move.origin.actor_name or "the portal"
