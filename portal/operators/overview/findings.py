"""The doctor's findings, as its last examination left them."""

from dataclasses import dataclass
from datetime import datetime

from portal.audit.trail import installation, record
from portal.database import periodic
from portal.database.transactions import transactional
from portal.documents.doctor import EXAMINATION, ExaminedCheck, KeptFinding
from portal.documents.installation import INSTALLATION
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

EXAMINED = "examination_asked"


@dataclass(frozen=True, slots=True)
class KindOfFinding:
    """The kept findings of one kind, with what to do about them."""

    title: str
    advice: str
    harmless: bool
    found: tuple[KeptFinding, ...]


@dataclass(frozen=True, slots=True)
class BrokenCheck:
    """A check that was broken off since it last came to its end at ``examined_at``."""

    name: str
    examined_at: datetime | None
    error: str


@dataclass(frozen=True, slots=True)
class Examination:
    """The last examination: its findings, those to look after first. ``since`` is when the check
    that was looked at longest ago came to its end."""

    since: datetime | None
    checks: int
    kinds: tuple[KindOfFinding, ...]
    broken: tuple[BrokenCheck, ...]


def last_examination() -> Examination:
    """The findings of the doctor, as they were kept last."""
    checks = list(ExaminedCheck.objects.order_by("id"))
    by_kind: dict[str, list[KeptFinding]] = {}
    for check in checks:
        for finding in check.findings:
            by_kind.setdefault(finding.kind, []).append(finding)
    kinds = [
        KindOfFinding(found[0].title, found[0].advice, bool(found[0].harmless), tuple(found))
        for found in by_kind.values()
    ]
    examined = [check.examined_at for check in checks]
    return Examination(
        since=min(examined) if examined and all(examined) else None,
        checks=len(checks),
        kinds=tuple(sorted(kinds, key=lambda kind: kind.harmless)),
        broken=tuple(
            BrokenCheck(check.id, check.examined_at, check.error) for check in checks if check.error
        ),
    )


@transactional
def examine_now(context: RequestContext) -> bool:
    """Have the doctor examine all as soon as a portal looks, unless it does already."""
    claim_key(context, INSTALLATION, EXAMINED, INSTALLATION)
    periodic.have_due(EXAMINATION)
    record(installation(), "doctor.examination_asked", context.origin)
    return True
