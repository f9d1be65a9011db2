"""Imports and exports in words, for their pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId
from humanize import intcomma, naturalsize

from portal.bidi import isolated
from portal.data.formats.options import Format
from portal.data.formats.written import Written
from portal.data.literal_fields import words_of_field
from portal.data.reading import Count
from portal.data.transfer.exports import Export
from portal.data.transfer.passes import Reached
from portal.data.transfer.plans import reading_chosen
from portal.data.transfer.stages import Import, Stage
from portal.documents.jobs import Job, JobState
from portal.jobs.progress import ShownJob, Station, shown_job
from portal.web.counting import counted

_WORK = {
    Stage.EXAMINE: "Examining all rows",
    Stage.CHECK: "Checking, {done} read",
    Stage.WRITE: "Writing, {done} of {total} records",
}
_ENDED = {
    JobState.CANCELLED: "{work} was cancelled",
    JobState.FAILED: "{work} stopped",
    JobState.PAUSED: "{work} is paused",
}
_NOUNS = {Stage.EXAMINE: "The examination", Stage.CHECK: "The check", Stage.WRITE: "The import"}


_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class ShownImport:
    """An import as its page shows it: its job if one works, or worked, on the stage that it is at,
    the three phases, and what the pass of that stage came to."""

    title: str
    job: ShownJob | None
    stations: Sequence[Station]
    reached: Reached | None
    records: int
    may_fail: int
    took_seconds: float | None
    tried: str | None


@dataclass(frozen=True, slots=True)
class ShownReading:
    """How a CSV file is read, as its page asks: the ``lines`` of which one may be its heading, each
    by the answer that chooses it with its number and text; the answers as they are, empty where
    none is given yet."""

    lines: Sequence[tuple[str, int, str]]
    heading: str
    delimiter: str
    delimiters: Mapping[str, str]


def reading_of(found: Import) -> ShownReading | None:
    """The reading of an import's file; ``None`` where it is no CSV."""
    details = found.file.details
    if not details.get("detected"):
        return None
    detected, is_chosen = found.detected, details["options"] is not None
    options = found.options if is_chosen else detected.options
    if options is None or options.format != Format.CSV:
        return None
    lines = detected.heading_lines(options.encoding)
    first = min(lines, default=0)
    chosen = reading_chosen(options) if is_chosen else {"heading": "", "delimiter": ""}
    return ShownReading(
        [
            ("yes" if number == first else str(number), number, text)
            for number, text in lines.items()
        ],
        chosen["heading"],
        chosen["delimiter"],
        detected.delimiters,
    )


def shown_import(found: Import) -> ShownImport:
    """The import for its page."""
    stage, stations = found.stage, _stations(found)
    reached = found.written if stage in (Stage.WRITE, Stage.DONE) else found.checked
    records = found.checked.records if found.checked else 0
    return ShownImport(
        title=_title(found),
        job=shown_job(found.job, _work_title(found, found.job), stations) if found.job else None,
        stations=stations,
        reached=reached,
        records=records,
        may_fail=found.plan.may_fail(records) if found.plan else 0,
        took_seconds=_seconds_of(found.job),
        tried=tried_words(found),
    )


def state_of(found: Import) -> str:
    """The stage of an import in a few words, for a list."""
    match found.stage:
        case Stage.UPLOAD:
            return "Upload not finished"
        case Stage.READING | Stage.DECIDE:
            return "To be decided"
        case Stage.READY:
            return "Checked, not written"
        case Stage.DONE:
            return _title(found)
    return _work_title(found, found.job)


def tried_words(found: Import) -> str | None:
    """The number of records that the check tried on more than their key, and on what; ``None``
    where nothing else could refuse one."""
    trial = (found.file.details.get("check") or {}).get("trial")
    if not trial or found.checked is None:
        return None
    names = [isolated(name) for name in trial["indexes"]]
    tried_on = ["the rules"] if trial["rules"] else []
    if names:
        noun = "index" if len(names) == 1 else "indexes"
        tried_on.append(f"the unique {noun} {', '.join(names)}")
    if not tried_on:
        return None
    counts = found.checked.counts
    tried = counts.get("tried", 0)
    rest = found.checked.records - counts.get("existing", 0) - tried
    others = "; the others when they are written" if rest > found.checked.errors else ""
    return f"{counted(tried, 'record')} tried on {' and '.join(tried_on)}{others}."


def errors_of(found: Import) -> tuple[ObjectId | None, int]:
    """The content that has the failed records of the last pass, and the number of its pieces."""
    if found.written is not None:
        return found.file.details["write_errors"], found.written.pieces
    if found.checked is not None:
        return found.file.details["check"]["errors"], found.checked.pieces
    return None, 0


def shown_export(found: Export) -> ShownJob | None:
    """The job of an export for its page."""
    if found.job is None:
        return None
    done = intcomma(found.job.progress.done)
    titles = {
        JobState.RUNNING: f"Writing, {done} documents so far",
        JobState.DONE: f"{counted(found.written.documents, 'document')} exported",
    }
    state = JobState(found.job.state)
    title = titles.get(state) or _ENDED[state].format(work="The export")
    return shown_job(found.job, title)


def count_words(found: Count | None, *, are_all: bool) -> str:
    """A number of documents in words."""
    if found is None:
        return "Not counted: that takes too long"
    number = counted(found.count, "document")
    return f"More than {number}" if found.more else f"All {number}" if are_all else number


def fields_words(fields: Sequence[str]) -> str:
    """Some fields in words, of many the first."""
    named = ", ".join(isolated(words_of_field(name)) for name in fields[:_MOST_NAMED])
    more = len(fields) - _MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def left_out_words(written: Written) -> str | None:
    """The fields that have no column in the file, with the number of documents that have each;
    ``None`` where there is none."""
    if not written.left_out:
        return None
    most = sorted(written.left_out.items(), key=lambda each: -each[1])
    named = [
        f"{isolated(name)} of {counted(number, 'document')}" for name, number in most[:_MOST_NAMED]
    ]
    more = len(most) - _MOST_NAMED
    rest = [f"{counted(more, 'more field')}"] if more > 0 else []
    return f"Not in the file: {', '.join([*named, *rest])}."


def _title(found: Import) -> str:
    if found.stage != Stage.DONE or found.written is None:
        return found.file.name
    counts = found.written.counts
    written = counts.get("inserted", 0) + counts.get("replaced", 0)
    if not written:
        return f"Nothing of {counted(found.written.records, 'record')} was imported"
    return f"Imported {intcomma(written)} of {counted(found.written.records, 'record')}"


def _work_title(found: Import, job: Job | None) -> str:
    stage = found.stage
    if job is None or job.state == JobState.RUNNING or stage not in _NOUNS:
        done = intcomma(job.progress.done) if job else "0"
        if stage == Stage.CHECK:
            done = naturalsize(job.progress.done if job else 0, format="%.3g")
        total = intcomma(job.progress.total) if job else "0"
        return _WORK.get(stage, "Working").format(done=done, total=total)
    state = JobState(job.state)
    return _ENDED.get(state, "{work} is done").format(work=_NOUNS[stage])


def _stations(found: Import) -> list[Station]:
    stage = found.stage
    checks = stage in (Stage.READING, Stage.EXAMINE, Stage.DECIDE, Stage.CHECK, Stage.READY)
    writes = stage == Stage.WRITE
    done = stage == Stage.DONE
    size = naturalsize(found.file.size_bytes, format="%.3g")
    percent = _percent_of(found.job)
    return [
        Station("Upload", size, done=found.file.complete, current=stage == Stage.UPLOAD),
        Station(
            "Check",
            _check_note(found),
            done=writes or done,
            current=checks,
            percent=100 if stage == Stage.READY else percent if found.is_running else 0,
        ),
        Station(
            "Write",
            _write_note(found),
            done=done,
            current=writes,
            percent=percent if writes else None,
        ),
    ]


def _check_note(found: Import) -> str:
    checked = found.checked
    if checked is None or not checked.records:
        return "all records are tried"
    return f"{counted(checked.records, 'record')}, {intcomma(checked.errors)} wrong"


def _write_note(found: Import) -> str:
    if found.written is not None:
        return f"{intcomma(found.written.records)} done"
    checked = found.checked
    return counted(checked.records, "record") if checked and checked.records else "nothing yet"


def _percent_of(job: Job | None) -> int:
    progress = job and job.progress
    if not progress or not progress.total:
        return 0
    return min(100, progress.done * 100 // progress.total)


def _seconds_of(job: Job | None) -> float | None:
    if job is None or job.ended_at is None:
        return None
    begun: datetime = job.created_at
    return float((job.ended_at - begun).total_seconds())
