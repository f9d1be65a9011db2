"""``flask placements``: where organizations are, how much fits, and the policy."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, TextIO

import click
from bson import ObjectId
from flask.cli import AppGroup
from pymongo.errors import PyMongoError

from portal.cli.running import CommandFailed, on_database, plain, refusals
from portal.cli.tables import json_option, print_json, print_table
from portal.database import directory
from portal.database.clusters import known_clusters
from portal.database.connection import master_database
from portal.documents.organizations import MAIN_CLUSTER, Strategy
from portal.errors import NotFound, Unavailable
from portal.organizations import planning
from portal.placement import capacity, listing, measuring, policies, proposals
from portal.placement.capacity import Gauge
from portal.placement.policies import Policy
from portal.web.context import OPERATOR, RequestContext
from portal.web.counting import counted

placements = AppGroup("placements", help="Where organizations' documents are, and may be.")
policy_group = AppGroup("policy", help="Where new organizations go, and which should move.")
placements.add_command(policy_group)

_MOST_ROWS = 10_000
_SOON_DAYS = 1000


@placements.command("list")
@click.option("--strategy", type=click.Choice([strategy.value for strategy in Strategy]))
@click.option("--cluster")
@click.option("--pool", type=int)
@click.option("--plan")
@click.option("--region")
@click.option("--limit", type=click.IntRange(1, _MOST_ROWS), default=50, show_default=True)
@click.option("--after", help="The id of the last one of the page before.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object for each, a line each.")
@on_database
def list_placements(limit: int, after: str | None, as_json: bool, **wanted: Any) -> None:
    """List where organizations are, in the order of their creation."""
    if after is not None and not ObjectId.is_valid(after):
        raise CommandFailed("Give the id of an organization to --after: 24 digits and letters.")
    page = listing.list_placements(
        listing.Filter(**wanted), size=limit, after=ObjectId(after) if after else None
    )
    told = [_told(row) for row in page.rows]
    if as_json:
        for row in told:
            click.echo(json.dumps(row))
    elif told:
        print_table([*told[0]], [[*row.values()] for row in told])
    if page.after is not None:
        click.echo(f"There are more: --after {page.after}", err=True)
    if not page.rows:
        click.echo("There are none.", err=True)


@placements.command("show")
@click.argument("slug")
@on_database
def show_placement(slug: str) -> None:
    """Show where the organization with this SLUG is, as applications read it, as JSON.

    Give the id of an organization in the trash as SLUG.
    """
    try:
        organization = planning.find_organization(slug)
    except NotFound as error:
        raise CommandFailed(
            f"There is no organization {slug}. Give the id of one in the trash."
        ) from error
    entry = directory.find_organization(master_database(), organization.id) or {}
    told = {"plan": organization.plan, "region": organization.region, **entry}
    click.echo(json.dumps(told, indent=2, default=str))


@placements.command("capacity")
@json_option
@on_database
def show_capacity(as_json: bool) -> None:
    """Show how full each cluster is, and when it will be full at the rate of the last 30 days."""
    policy = policies.current_policy()
    if as_json:
        print_json([_capacity_as_json(cluster.name, policy) for cluster in known_clusters()])
        return
    for cluster in known_clusters():
        for line in _capacity_of(cluster.name, policy):
            click.echo(f"{cluster.name}  {line}")


@placements.command("measure")
@on_database
def measure() -> None:
    """Measure how large and how busy organizations are, for proposals.

    Run it every night. Shared collections are read whole, on a secondary where there is one. What
    could not be measured is told, and ends it with 1.
    """
    measurement = measuring.measure_organizations()
    click.echo(f"{counted(measurement.count, 'organization')} measured.")
    for place, reason in measurement.missed.items():
        click.echo(f"Not measured: {place}: {plain(reason)}", err=True)
    if measurement.missed:
        sys.exit(1)


@placements.command("proposals")
@click.option("--json", "as_json", is_flag=True, help="A JSON object for each, a line each.")
@on_database
def list_proposals(as_json: bool) -> None:
    """Say which organizations should move by the policy, and move none."""
    policy = policies.current_policy()
    found = proposals.propose_moves(policy)
    for proposal in found:
        if as_json:
            click.echo(json.dumps(asdict(proposal), default=str))
        else:
            since = f" since {proposal.since:%Y-%m-%d}" if proposal.since else ""
            click.echo(
                f"{proposal.slug}  {proposal.strategy} → {proposal.to}  {proposal.reason}{since}"
            )
    begun = proposals.begun_lately()
    lately = f" Of {policy.moves.a_day} moves in 24 hours {begun} were begun." if begun else ""
    click.echo(f"{counted(len(found), 'organization')} should move.{lately}", err=True)


@policy_group.command("show")
@on_database
def show_policy() -> None:
    """Show the policy in force, as `set` takes it back."""
    version, text = policies.current_text()
    click.echo(policies.with_version(text, version), nl=False)


@policy_group.command("set")
@click.argument("file", type=click.File())
@json_option
@on_database
def set_policy(file: TextIO, as_json: bool) -> None:
    """Put the policy in FILE in force, or from standard input where that is -.

    The file is what `show` told, changed: its first line has the version that it replaces, and
    where another one is in force meanwhile, nothing is changed. Organizations stay where they are.
    """
    text = file.read()
    version = policies.version_in(text)
    if version is None:
        raise CommandFailed(
            "The first line has to name the version that the policy replaces, as `flask placements "
            "policy show` tells it. Nothing was changed."
        )
    known = {cluster.name for cluster in known_clusters()}
    with refusals():
        policy = policies.set_policy(text, version, known, RequestContext(OPERATOR))
    if as_json:
        print_json({"version": policy.version})
    else:
        click.echo(f"Version {policy.version} is in force.")


def _told(row: dict[str, Any]) -> dict[str, Any]:
    placement = row["placement"]
    return {
        "id": str(row["_id"]),
        "slug": row["slug"],
        "state": row["state"],
        "strategy": placement.get("strategy", Strategy.COLLECTION),
        "cluster": placement.get("cluster", MAIN_CLUSTER),
        "database": placement.get("database"),
        "collection": placement.get("collection"),
        "pool": placement.get("pool"),
        "plan": row.get("plan"),
        "region": row.get("region"),
    }


def _capacity_of(cluster: str, policy: Policy) -> Iterator[str]:
    try:
        reading = capacity.read(cluster, databases=True)
    except (PyMongoError, Unavailable) as error:
        yield f"can't be read: {error}"
        return
    gauges = capacity.gauges_of(reading, policy.limits_of(cluster))
    if not gauges:
        yield (
            "tells no limit, so new organizations share collections: give the portal's role "
            "hostInfo and serverStatus on the cluster, or write [limits] into the policy"
        )
    full_at = policy.guard.full_at_percent
    for gauge in gauges:
        yield (
            f"{gauge.what}: {gauge.held:,} of {gauge.limit:,}, {gauge.wall}; "
            f"{gauge.percent:.0f} %, full at {full_at} %{_forecast(cluster, gauge, full_at)}"
        )


def _capacity_as_json(cluster: str, policy: Policy) -> dict[str, Any]:
    full_at = policy.guard.full_at_percent
    told: dict[str, Any] = {"cluster": cluster, "full_at_percent": full_at, "gauges": []}
    try:
        reading = capacity.read(cluster, databases=True)
    except (PyMongoError, Unavailable) as error:
        return {**told, "unreadable": str(error)}
    for gauge in capacity.gauges_of(reading, policy.limits_of(cluster)):
        days = capacity.days_until_full(cluster, gauge, full_at)
        told["gauges"].append({**asdict(gauge), "percent": gauge.percent, "days_until_full": days})
    return {**told, "unreadable": None}


def _forecast(cluster: str, gauge: Gauge, full_at: int) -> str:
    days = capacity.days_until_full(cluster, gauge, full_at)
    if days is None or days > _SOON_DAYS:
        return ""
    return f", at this rate in {days:.0f} days"
