"""``flask audit``: the audit trail."""

import json
import sys
from collections.abc import Iterable

import click
from bson import ObjectId
from flask.cli import AppGroup

from portal.audit.chains import BrokenChain, Tally, find_broken, verify_chain
from portal.cli.running import CommandFailed, on_database
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
