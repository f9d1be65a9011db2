"""``flask doctor``: finds and repairs damage to the installation."""

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby

import click
from flask.cli import with_appcontext

from portal.cli.running import on_database
from portal.doctor.examination import CHECKS, Outcome, examine


@click.command("doctor")
@click.option("--repair", is_flag=True, help="Repair what is safe to repair. Nothing is dropped.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line and finding.")
@with_appcontext
@on_database
def examine_installation(repair: bool, as_json: bool) -> None:
    """Compare master data with the tenant collections.

    Exit status: 0 all well, 1 something remains to be repaired, 2 the examination failed.
    """
    write = _write_json if as_json else _write_text
    remain = write(examine(check, repair=repair) for check in CHECKS)
    sys.exit(1 if remain else 0)


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
    width = max(len(_plain(outcome.finding.subject)) for outcome in outcomes)
    for outcome in outcomes:
        line = f"  {_plain(outcome.finding.subject):<{width}}  {_plain(outcome.finding.words)}"
        if outcome.repaired:
            line += f" -> {_plain(outcome.repaired)}"
        if outcome.not_repaired:
            line += f" -> not repaired: {_plain(outcome.not_repaired)}"
        click.echo(line)
    click.echo()


def _plain(text: str) -> str:
    """Without control sequences: anybody may name a stray collection."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
