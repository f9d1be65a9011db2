"""``flask doctor``: finds and repairs damage to the installation."""

import json
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby

import click
from flask.cli import with_appcontext
from pymongo import MongoClient

from portal.cli.administrators import (
    admin_uri_option,
    administrators,
    cluster_admin_uri_option,
)
from portal.cli.running import on_database, plain
from portal.doctor import (
    applications,
    credentials,
    keeping,
    placements,
    restored_master,
    support,
)
from portal.doctor.examination import CHECKS, Outcome, examine, repair_finding
from portal.doctor.findings import Finding, Kind
from portal.doctor.keeping import Check
from portal.web.context import OPERATOR, RequestContext


@click.command("doctor")
@click.option(
    "--repair",
    is_flag=True,
    help="Repair what is safe to repair. Nothing is dropped but copies that moves left over.",
)
@click.option(
    "--adopt-restored",
    "adopt",
    is_flag=True,
    help="Show the collections that were restored with another UUID, ask, and take them over.",
)
@click.option(
    "--drop-users",
    is_flag=True,
    help="Show the MongoDB users of credentials that reach no organization, and those of no "
    "application, ask, and drop them.",
)
@admin_uri_option
@cluster_admin_uri_option
@click.option("--yes", is_flag=True, help="With --adopt-restored and --drop-users: don't ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line and finding.")
@click.option(
    "--keep",
    is_flag=True,
    help="Only keep what is found for the operators' console, as portals do every hour.",
)
@with_appcontext
@on_database
def examine_installation(
    repair: bool,
    adopt: bool,
    drop_users: bool,
    yes: bool,
    as_json: bool,
    keep: bool,
    admin_uri: str | None,
    cluster_admin_uris: tuple[str, ...],
) -> None:
    """Compare master data with the tenant collections, and with an administrator's URI the
    applications with MongoDB's users.

    Exit status: 0 all well, 1 something remains to be repaired, 2 the examination failed.
    """
    if keep and (adopt or repair or drop_users or admin_uri or cluster_admin_uris):
        raise click.UsageError("--keep looks at what a portal can see, and repairs nothing.")
    if adopt + repair + drop_users > 1:
        raise click.UsageError(
            "--adopt-restored goes before --repair, and --drop-users after: call them one by one."
        )
    if keep:
        keeping.lower_priority()
        remain = keeping.examine_and_keep()
        click.echo(f"Kept: {remain} to look after.")
        sys.exit(1 if remain else 0)
    write = _write_json if as_json else _write_text
    if adopt:
        restored_master.begin_epoch(RequestContext(OPERATOR))
        shown = placements.find_restored()
        examinations = [_repair_shown(shown, placements.RESTORED, "Take over", ask=not yes)]
        sys.exit(1 if write(examinations) else 0)
    with administrators(admin_uri, cluster_admin_uris) as admins:
        if drop_users:
            examinations = _drop_users(admins, ask=not yes)
        else:
            # An administrator sees users in databases of organizations' own that the portal can't.
            seeing: dict[Check, Check] = {
                check: partial(check, admins)
                for check in (credentials.find_mismatched, support.find_unrecorded)
            }
            examinations = [examine(seeing.get(check, check), repair=repair) for check in CHECKS]
            for cluster, admin in admins.items():
                of_applications = partial(applications.find_amiss, cluster, admin)
                examinations.append(examine(of_applications, repair=repair))
        sys.exit(1 if write(examinations) else 0)


def _drop_users(admins: dict[str, MongoClient], *, ask: bool) -> list[Iterator[Outcome]]:
    shown = credentials.find_dead_users(admins)
    dropped = [_repair_shown(shown, credentials.DEAD_USER, "Drop", ask=ask)]
    for cluster, admin in admins.items():
        shown = applications.find_unrecorded(cluster, admin)
        dropped.append(_repair_shown(shown, applications.UNRECORDED, "Drop", ask=ask))
    return dropped


def _repair_shown(
    findings: Iterable[Finding], kind: Kind, verb: str, *, ask: bool
) -> Iterator[Outcome]:
    """Repair what was shown, and nothing that appeared since then."""
    shown = list(findings)
    if shown and ask:
        click.echo(f"{kind.title}\n", err=True)
        for finding in shown:
            click.echo(f"  {plain(finding.subject)}  {plain(finding.words)}", err=True)
        click.confirm(f"\n{verb} these {len(shown)}?", abort=True, err=True)
    return filter(None, map(repair_finding, shown))


def _write_json(examinations: Iterable[Iterator[Outcome]]) -> int:
    """Write each outcome as a line of JSON immediately; how many remain."""
    remain = 0
    for outcomes in examinations:
        for outcome in outcomes:
            remain += outcome.remains
            click.echo(json.dumps(_as_json(outcome)))
    return remain


def _write_text(examinations: Iterable[Iterator[Outcome]]) -> int:
    """Write the outcomes of each examination grouped by kind, with advice; how many remain."""
    remain = repaired = 0
    for outcomes in examinations:
        found = sorted(outcomes, key=lambda outcome: outcome.finding.kind.name)
        for kind, group in groupby(found, key=lambda outcome: outcome.finding.kind):
            click.echo(f"{kind.title}\n  {kind.advice}")
            _write_lines(list(group))
        remain += sum(outcome.remains for outcome in found)
        repaired += sum(outcome.repaired is not None for outcome in found)
    mended = f"{repaired} repaired, " if repaired else ""
    click.echo(mended + (f"{remain} to look after." if remain else "All well."))
    return remain


def _as_json(outcome: Outcome) -> dict[str, object]:
    finding = outcome.finding
    return {
        "kind": finding.kind.name,
        "subject": finding.subject,
        "organization": str(finding.organization) if finding.organization else None,
        "words": finding.words,
        "advice": finding.kind.advice,
        "harmless": finding.kind.harmless,
        "repairable": finding.repair is not None,
        "repaired": outcome.repaired,
        "not_repaired": outcome.not_repaired,
    }


def _write_lines(outcomes: list[Outcome]) -> None:
    width = max(len(plain(outcome.finding.subject)) for outcome in outcomes)
    for outcome in outcomes:
        line = f"  {plain(outcome.finding.subject):<{width}}  {plain(outcome.finding.words)}"
        if outcome.repaired:
            line += f" -> {plain(outcome.repaired)}"
        if outcome.not_repaired:
            line += f" -> not repaired: {plain(outcome.not_repaired)}"
        click.echo(line)
    click.echo()
