"""``flask audit``: the audit trail."""

import json
import sys
from collections.abc import Iterable

import click
from bson import ObjectId
from flask.cli import AppGroup

from portal.audit.chains import BrokenChain, Tally, find_broken, verify_chain
from portal.audit.trail import ListedEvent, events_after
from portal.cli.running import CommandFailed, on_database
from portal.database.paging import BATCH_SIZE
from portal.documents.installation import INSTALLATION
from portal.documents.organizations import Organization, OrganizationState

audit = AppGroup("audit", help="The audit trail.")


@audit.command("verify")
@click.option("--organization", metavar="SLUG_OR_ID", help="Verify only this chain.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line and broken chain.")
@on_database
def verify_trail(organization: str | None, as_json: bool) -> None:
    """Find changed or removed audit events, and show the first of each broken chain.

    Exit status: 0 all chains are intact, 1 some are broken, 2 verification failed.
    """
    tally, broken = Tally(), 0
    for found in _broken_chains(organization, tally):
        broken += 1
        click.echo(json.dumps(_as_json(found)) if as_json else f"{found.subject}: {found.words}")
    if not as_json:
        result = f"{broken} broken" if broken else "all intact"
        click.echo(f"chains: {tally.chains}, events: {tally.events}, {result}.")
    sys.exit(1 if broken else 0)


@audit.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line and event.")
@on_database
def list_events_of_installation(as_json: bool) -> None:
    """List the events of the installation: what concerns no organization and no account."""
    after, found = 0, []
    while page := events_after(INSTALLATION, after, BATCH_SIZE):
        for event in map(ListedEvent.of, page):
            click.echo(json.dumps(_event_as_json(event)) if as_json else _line(event))
        found, after = page, page[-1]["seq"]
    if not found and not as_json:
        click.echo("Nothing was recorded yet.")


def _line(event: ListedEvent) -> str:
    return f"{event.seq}  {event.at:%Y-%m-%d %H:%M:%S} UTC  {event.actor_shown}  {event.words}"


def _event_as_json(event: ListedEvent) -> dict[str, object]:
    return {
        "seq": event.seq,
        "at": event.at.isoformat(),
        "action": event.action,
        "actor": event.actor_shown,
        "details": event.details,
        "words": event.words,
        "hash": event.hash,
    }


def _broken_chains(organization: str | None, tally: Tally) -> Iterable[BrokenChain]:
    if organization is None:
        return find_broken(tally)
    organizations = Organization.objects.only("id")
    found = organizations.filter(slug=organization, state=OrganizationState.ACTIVE).first()
    if found is None and ObjectId.is_valid(organization):
        found = organizations.filter(id=organization).first()
    if found is None:
        raise CommandFailed(
            f"There is no organization {organization}. Give the id of one in the trash."
        )
    broken = verify_chain(found.id, tally)
    return [broken] if broken else []


def _as_json(broken: BrokenChain) -> dict[str, object]:
    return {
        "chain": str(broken.chain),
        "subject": broken.subject,
        "organization": str(broken.organization) if broken.organization else None,
        "fault": broken.fault,
        "seq": broken.seq,
        "words": broken.words,
    }
