"""``flask usage``, ``flask limits``: what organizations use, and what they may."""

from typing import Any

import click
from flask.cli import AppGroup

from portal.cli.running import on_database, refusals
from portal.cli.tables import json_option, print_json, print_table
from portal.operators.usage.planning import MOST_COUNTED, LimitsPlan, plan_limits
from portal.organizations.planning import find_organization
from portal.organizations.usage import limits as limiting
from portal.organizations.usage import reading, rolling
from portal.organizations.usage.limits import LimitKind
from portal.organizations.usage.measuring import Kept
from portal.organizations.usage.reading import Span
from portal.placement.identifiers import parse_plan
from portal.web.context import OPERATOR, RequestContext

usage = AppGroup("usage", help="What organizations use, as processes reported it.")
limits = AppGroup("limits", help="How much organizations may keep, and do in a second.")

_COUNTING_SECONDS = 3600
_amounts = (
    click.option("--documents", type=int, help="At most so many; 0 for none of its own."),
    click.option("--bytes", "size_bytes", type=int, help="At most so large; 0 for none."),
    click.option("--operations", type=int, help="At most so many a second; 0 for none."),
)


def _with_amounts(command: Any) -> Any:
    for option in reversed(_amounts):
        command = option(command)
    return command


@usage.command("loud")
@click.option("--cluster", help="Of this cluster alone.")
@click.option("--count", type=click.IntRange(1, reading.MOST_LOUD), default=20, show_default=True)
@json_option
@on_database
def loud(cluster: str | None, count: int, as_json: bool) -> None:
    """List the organizations with the most operations in the last hour."""
    found = reading.loudest(count, cluster=cluster)
    if as_json:
        print_json(found)
        return
    if found.known_until is None:
        click.echo("Nothing was counted yet.")
        return
    rows = [
        (
            one.slug,
            one.cluster,
            f"{one.share:.0%}",
            f"{one.operations_per_second:.3g}",
            one.counts.bytes_in,
            one.counts.slow,
            one.limit,
        )
        for one in found.organizations
    ]
    print_table(("SLUG", "CLUSTER", "SHARE", "OPERATIONS/S", "WRITTEN", "SLOW", "LIMIT"), rows)
    click.echo(f"As of {found.known_until:%H:%M:%S} UTC.", err=True)


@usage.command("show")
@click.argument("slug")
@click.option(
    "--span", type=click.Choice([str(span) for span in Span]), default=Span.DAY, show_default=True
)
@json_option
@on_database
def show(slug: str, span: str, as_json: bool) -> None:
    """Tell what the organization with this SLUG, or id, used."""
    with refusals():
        found = reading.usage_of(find_organization(slug), Span(span))
    if as_json:
        print_json(found)
        return
    rows = [
        (f"{at:%Y-%m-%d %H:%M}", "not measured" if counts is None else counts.operations,
         counts and counts.bytes_in, counts and counts.slow, counts and counts.waited)
        for at, counts in found.points
    ]  # fmt: skip
    print_table(("FROM, UTC", "OPERATIONS", "WRITTEN", "SLOW", "WAITED MS"), rows)


@usage.command("roll-up")
@on_database
def roll_up() -> None:
    """Add up now what processes reported, as a portal does every 20 seconds."""
    rolling.roll_up(lambda: None)


@limits.command("show")
@click.argument("slug")
@json_option
@on_database
def show_limits(slug: str, as_json: bool) -> None:
    """Tell the limits of the organization with this SLUG, or id, and how much is used."""
    with refusals():
        organization = find_organization(slug)
    found = list(limiting.limits_of(organization).values())
    if as_json:
        print_json(found)
    else:
        _print(found)


@limits.command("set")
@click.argument("slug")
@_with_amounts
@json_option
@on_database
def set_limits(slug: str, as_json: bool, **amounts: int | None) -> None:
    """Set limits of the organization with this SLUG, or id. What is left out stays."""
    with refusals():
        organization = limiting.set_limits(
            find_organization(slug), _wanted(amounts), RequestContext(OPERATOR)
        )
    found = list(limiting.limits_of(organization).values())
    if as_json:
        print_json(found)
    else:
        _print(found)


@limits.command("count")
@click.argument("slug")
@json_option
@on_database
def count(slug: str, as_json: bool) -> None:
    """Recount, one by one, what the organization with this SLUG, or id, keeps."""
    with refusals():
        counted = limiting.recount(
            find_organization(slug), RequestContext(OPERATOR), _COUNTING_SECONDS
        )
    if as_json:
        print_json(counted)
    else:
        rows = [("known before", *_cells(counted.before)), ("counted", *_cells(counted.now))]
        print_table(("", "DOCUMENTS", "BYTES"), rows)


@limits.command("plans")
@json_option
@on_database
def plans(as_json: bool) -> None:
    """List the plans that have limits."""
    _tell_plans(as_json)


@limits.command("set-plan")
@click.argument("plan")
@_with_amounts
@click.option("--dry-run", is_flag=True, help="Tell what it will do, and do nothing.")
@json_option
@on_database
def set_plan(plan: str, dry_run: bool, as_json: bool, **amounts: int | None) -> None:
    """Set limits of all organizations with this PLAN that have none of their own. What is left out
    stays."""
    wanted = _wanted(amounts)
    with refusals():
        if dry_run:
            _tell_planned(plan_limits(parse_plan(plan), wanted), as_json)
            return
        limiting.set_plan_limits(parse_plan(plan), wanted, RequestContext(OPERATOR))
    _tell_plans(as_json)


def _tell_planned(planned: LimitsPlan, as_json: bool) -> None:
    if as_json:
        print_json(planned.as_told())
        return
    number = f"more than {MOST_COUNTED:,}" if planned.more else f"{planned.organizations:,}"
    click.echo(f"Organizations with the plan {planned.plan}: {number}")
    rows = [
        (one.kind, one.before or "none", one.after or "none", one.organizations, one.above)
        for one in planned.changes
    ]
    print_table(("LIMIT OF", "NOW", "THEN", "REACHES", "ABOVE"), rows)
    for load in planned.clusters:
        most = "nothing known" if load.most is None else f"{load.most:,.3g}"
        click.echo(
            f"{load.cluster}: limits of {load.limited:,} operations a second together; "
            f"the most it did: {most}"
        )
    click.echo("Nothing was changed.")


def _tell_plans(as_json: bool) -> None:
    rows = [
        {"plan": each.id, **{kind: getattr(each.limits, kind) for kind in LimitKind}}
        for each in limiting.plans_with_limits()
    ]
    if as_json:
        print_json(rows)
    else:
        heads = ("PLAN", *(str(kind).upper() for kind in LimitKind))
        print_table(heads, [tuple(row.values()) for row in rows])


def _wanted(amounts: dict[str, int | None]) -> limiting.Wanted:
    given = {
        LimitKind.DOCUMENTS: amounts["documents"],
        LimitKind.BYTES: amounts["size_bytes"],
        LimitKind.OPERATIONS: amounts["operations"],
    }
    return {kind: value or None for kind, value in given.items() if value is not None}


def _print(found: list[limiting.Limit]) -> None:
    rows = [
        (one.kind, one.used if one.used is None else f"{one.used:.10g}", one.allowed,
         "plan" if one.by_plan else "",
         f"{one.measured_at:%Y-%m-%d %H:%M} UTC" if one.measured_at else "now")
        for one in found
    ]  # fmt: skip
    print_table(("LIMIT OF", "USED", "ALLOWED", "BY", "AS OF"), rows)


def _cells(kept: Kept | None) -> tuple[object, object]:
    return (None, None) if kept is None else (kept.documents, kept.bytes)
