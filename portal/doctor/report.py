"""How outcomes are told, to people and to programs."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby

import click

from portal.doctor.examination import Outcome


def write_json(examinations: Iterable[Iterator[Outcome]]) -> int:
    """Write each outcome as a line of JSON as soon as it is known; how many remain."""
    remain = 0
    for outcomes in examinations:
        for outcome in outcomes:
            remain += outcome.remains
            click.echo(json.dumps(_as_json(outcome)))
    return remain


def write_text(examinations: Iterable[Iterator[Outcome]]) -> int:
    """Write what each examination found, by kinds, with what to do; how many remain."""
    count: Counter[str] = Counter()
    for outcomes in examinations:
        found = sorted(outcomes, key=lambda outcome: outcome.finding.kind.name)
        for kind, group in groupby(found, key=lambda outcome: outcome.finding.kind):
            click.echo(f"{kind.title}\n  {kind.advice}")
            _write_lines(list(group))
        count["remain"] += sum(outcome.remains for outcome in found)
        count["mended"] += sum(outcome.mended is not None for outcome in found)
    click.echo(_summary(count["remain"], count["mended"]))
    return count["remain"]


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
        "repaired": outcome.mended,
        "not_repaired": outcome.not_mended,
    }


def _write_lines(outcomes: list[Outcome]) -> None:
    width = max(len(_plain(outcome.finding.subject)) for outcome in outcomes)
    for outcome in outcomes:
        line = f"  {_plain(outcome.finding.subject):<{width}}  {_plain(outcome.finding.words)}"
        if outcome.mended:
            line += f" -> {_plain(outcome.mended)}"
        if outcome.not_mended:
            line += f" -> not repaired: {_plain(outcome.not_mended)}"
        click.echo(line)
    click.echo()


def _summary(remain: int, mended: int) -> str:
    told = [f"{mended} repaired"] if mended else []
    told += [f"{remain} to look after" if remain else "All well"]
    return ", ".join(told) + "."


def _plain(text: str) -> str:
    """Without what a terminal would obey: names of strays are anybody's."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
