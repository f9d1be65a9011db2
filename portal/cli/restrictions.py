"""``flask restrictions`` and ``flask holds``: suspensions and legal holds of organizations."""

from collections.abc import Sequence
from datetime import date, datetime

import click
from bson import ObjectId
from flask.cli import AppGroup

from portal.cli.moves import find_organization
from portal.cli.running import CommandFailed, on_database, refusals
from portal.cli.tables import json_option, print_json, print_table
from portal.documents.organizations import Organization, Restriction
from portal.documents.restrictions import Cause
from portal.operators.restrictions.setting import hold
from portal.organizations.lifecycle.restricting import lift_suspension, suspend_organization
from portal.organizations.restrictions.holding import release_hold
from portal.organizations.restrictions.listing import Restrictions, restrictions_of
from portal.organizations.restrictions.reasons import parse_reason
from portal.web.context import OPERATOR, RequestContext

restrictions = AppGroup("restrictions", help="Suspensions of organizations.")
holds = AppGroup("holds", help="Legal holds on organizations.")

_organization = click.argument("slug", metavar="ORGANIZATION")
_json = json_option


@restrictions.command("list")
@_organization
@_json
@on_database
def list_suspensions(slug: str, as_json: bool) -> None:
    """List the suspensions of ORGANIZATION, a slug or id."""
    _print_suspensions(find_organization(slug), as_json=as_json)


@restrictions.command("suspend")
@_organization
@click.option("--kind", type=click.Choice([str(kind) for kind in Restriction]), required=True)
@click.option("--cause", type=click.Choice([str(cause) for cause in Cause]), required=True)
@click.option("--contact", required=True, help="Whom members write to.")
@click.option("--message", help="What members are told.")
@click.option("--note", help="For operators alone.")
@_json
@on_database
def suspend(
    slug: str,
    kind: str,
    cause: str,
    contact: str,
    message: str | None,
    note: str | None,
    as_json: bool,
) -> None:
    """Suspend ORGANIZATION, a slug or id."""
    organization = find_organization(slug)
    with refusals():
        reason = parse_reason(cause, contact, message, note)
        suspend_organization(organization, Restriction(kind), reason, RequestContext(OPERATOR))
    _print_suspensions(organization, as_json=as_json)


@restrictions.command("lift")
@_organization
@click.argument("suspension")
@_json
@on_database
def lift(slug: str, suspension: str, as_json: bool) -> None:
    """Lift the SUSPENSION of ORGANIZATION with this id; others stay."""
    organization = find_organization(slug)
    with refusals():
        lift_suspension(organization, _id(suspension), RequestContext(OPERATOR))
    _print_suspensions(organization, as_json=as_json)


@holds.command("list")
@_organization
@_json
@on_database
def list_holds(slug: str, as_json: bool) -> None:
    """List the legal holds on ORGANIZATION, a slug or id."""
    _print_holds(find_organization(slug), as_json=as_json)


@holds.command("set")
@_organization
@click.option("--reason", required=True, help="Why, for operators alone.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="When to look at it again.")
@click.option("--read-only-contact", help="Make it read-only as well, and say whom to write to.")
@_json
@on_database
def set_hold(
    slug: str, reason: str, until: datetime | None, read_only_contact: str | None, as_json: bool
) -> None:
    """Hold ORGANIZATION, a slug or id: the portal deletes nothing of it for good.

    Members' and applications' own deletions go on, and documents expire by indexes.
    """
    organization, day = find_organization(slug), until.date() if until else None
    with refusals():
        hold(
            organization,
            reason,
            day,
            RequestContext(OPERATOR),
            read_only_contact=read_only_contact,
        )
    _print_holds(organization, as_json=as_json)


@holds.command("release")
@_organization
@click.argument("hold_id", metavar="HOLD")
@_json
@on_database
def release(slug: str, hold_id: str, as_json: bool) -> None:
    """Release the HOLD on ORGANIZATION with this id; others stay."""
    organization = find_organization(slug)
    with refusals():
        release_hold(organization, _id(hold_id), RequestContext(OPERATOR))
    _print_holds(organization, as_json=as_json)


def _id(text: str) -> ObjectId:
    if not ObjectId.is_valid(text):
        raise CommandFailed(f"{text} is no id: the list has them.")
    return ObjectId(text)


def _print_suspensions(organization: Organization, *, as_json: bool) -> None:
    found = restrictions_of(organization.id)
    if as_json:
        print_json(found.suspensions)
        return
    rows = [
        (one.id, one.kind, one.cause, _day(one.at), _end(one.lifted_at, one.failure))
        for one in found.suspensions
    ]
    _print(rows, ("ID", "KIND", "CAUSE", "SINCE", "STATE"), "It was never suspended.")


def _print_holds(organization: Organization, *, as_json: bool) -> None:
    found: Restrictions = restrictions_of(organization.id)
    if as_json:
        print_json(found.holds)
        return
    rows = [
        (one.id, one.reason, _day(one.at), one.until and _day(one.until), _end(one.released_at))
        for one in found.holds
    ]
    _print(rows, ("ID", "WHY", "SINCE", "LOOK AGAIN", "STATE"), "There was never a hold on it.")
    if found.deletions_until:
        click.echo(f"A deletion that had begun may run until {found.deletions_until:%H:%M:%S} UTC.")


def _print(rows: Sequence[Sequence[object]], heads: Sequence[str], none: str) -> None:
    if rows:
        print_table(heads, rows)
    else:
        click.echo(none)


def _day(at: date) -> str:
    return f"{at:%Y-%m-%d}"


def _end(at: datetime | None, failure: str | None = None) -> str:
    if failure:
        return f"never began: {failure}"
    return f"over since {_day(at)}" if at else "open"
