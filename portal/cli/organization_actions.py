"""``flask organizations``: acts of operators on one, told first and applied as told."""

from collections.abc import Callable
from typing import Any

import click
from humanize import intcomma

from portal.cli.moves import find_organization
from portal.cli.running import on_database, plain, refusals
from portal.cli.tables import json_option, print_json
from portal.documents.organizations import Organization
from portal.operators.organizations.acting import apply_action
from portal.operators.organizations.planning import (
    ActionPlan,
    PlannedAction,
    check_possible,
    plan_action,
)
from portal.operators.organizations.reading import as_told
from portal.web.context import OPERATOR, RequestContext

DONE = {
    PlannedAction.RENAME: "is renamed",
    PlannedAction.TRASH: "is in the trash; its owners are told by mail",
    PlannedAction.RESTORE: "is back, with all of its documents and members",
    PlannedAction.PURGE: "and all of its documents are gone",
}


def planned_command(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that plans an action on an organization and applies it."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Tell what would happen, and do nothing."),
        click.option("--plan", "text", help="The plan to apply, as --dry-run --json told it."),
        click.option("--yes", is_flag=True, help="Apply the plan that is shown, unasked."),
        json_option,
    ):
        command = option(command)
    return on_database(command)


def act(
    action: PlannedAction,
    slug: str,
    *,
    dry_run: bool,
    text: str | None,
    yes: bool,
    as_json: bool,
    typed_name: str | None = None,
    typed_slug: str | None = None,
) -> None:
    """Plan the action, show it, and apply it: unasked with ``yes``, or as the plan in ``text``."""
    named = {"typed_name": typed_name, "typed_slug": typed_slug}
    with refusals():
        organization = find_organization(slug)
        check_possible(organization, action)
        if not text:
            plan = plan_action(organization, action, **named)
            if dry_run and as_json:
                print_json(plan.as_told())
                return
            print_plan(plan, err=as_json)
            if dry_run:
                click.echo("\nNothing was changed.")
                return
            if not yes:
                click.confirm(f"\n{action.capitalize()} it?", abort=True, err=True)
            text = plan.planned.dumps()
        done = apply_action(organization, action, RequestContext(OPERATOR), plan=text, **named)
    tell(done, action, as_json=as_json)


def print_plan(plan: ActionPlan, *, err: bool = False) -> None:
    """Print what an action would do."""
    click.echo(f"{plan.action.capitalize()} {plain(plan.name)} ({plan.organization})", err=err)
    click.echo(f"Plan of {plan.at:%H:%M:%S} UTC. Nothing has begun.\n", err=err)
    for effect in plan.effects:
        click.echo(f"  {effect.about:<12} {plain(effect.words)}", err=err)


def tell(organization: Organization, action: PlannedAction, *, as_json: bool) -> None:
    """Tell what became of it."""
    if as_json:
        print_json(as_told(organization))
    elif organization.operation:
        click.echo(f"{plain(organization.name)}: it is under way, and the portals finish it.")
    else:
        click.echo(f"{plain(organization.name)} {DONE[action]}.")


def print_organization(organization: Organization) -> None:
    """Print all that is known of an organization but its documents."""
    told = as_told(organization)
    told["owners"] = ", ".join(owner.email for owner in told["owners"])
    told["earlier_slugs"] = ", ".join(told["earlier_slugs"])
    told["metadata"] = ", ".join(f"{name}={value}" for name, value in told["metadata"].items())
    operation = told.pop("operation")
    told["running"] = operation and operation["kind"]
    for name, value in told.items():
        if value not in (None, ""):
            shown = intcomma(value) if name in ("documents", "bytes", "members") else str(value)
            click.echo(f"{name.replace('_', ' '):<16} {plain(shown)}")
