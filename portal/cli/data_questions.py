"""Questions about a file that is imported by command: told with what there is to choose from, and
answered by options."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from portal.cli.running import CommandFailed, plain
from portal.data.access import DocumentAccess
from portal.data.formats.evidence import Question
from portal.data.formats.headings import parse_path
from portal.data.formats.mapping import check_mapping
from portal.data.formats.options import Column, ColumnType
from portal.data.transfer.errors import MappingRefused
from portal.data.transfer.imports import choose_reading
from portal.data.transfer.mapping import Decision, Row, decision_from, proposed
from portal.data.transfer.plans import Plan, answered
from portal.data.transfer.stages import Import, Stage


@dataclass(frozen=True, slots=True)
class Reading:
    """Options about how a file is read."""

    encoding: str | None
    delimiter: str | None
    heading: str | None
    member: str | None


@dataclass(frozen=True, slots=True)
class Columns:
    """Options about the columns of a file: answers and fields, each ``COLUMN=…``."""

    answers: tuple[str, ...]
    fields: tuple[str, ...]
    as_text: bool


def read_as(access: DocumentAccess, found: Import, given: Reading) -> Import:
    """The import once it is decided how its file is read, perhaps by a job. Raises CommandFailed
    where that has to be said, with what there is to choose from."""
    is_asked = found.stage == Stage.READING
    if given.member and not found.detected.is_dump:
        raise CommandFailed("The file is no dump of several collections: leave --member out.")
    if is_asked and found.detected.is_dump and not given.member:
        raise CommandFailed(_with_choices("Choose one of the collections in the dump:", found))
    if not (is_asked or given.delimiter or given.heading or given.member):
        return found
    try:
        return choose_reading(
            access,
            found,
            encoding=given.encoding,
            delimiter=given.delimiter,
            heading=given.heading,
            member=given.member,
        )
    except MappingRefused as error:
        raise CommandFailed(_with_choices(error.reason, found)) from error


def plan_by(found: Import, given: Columns) -> Plan:
    """The plan as it is proposed, but for the options about columns. Raises CommandFailed where
    something is still to be answered."""
    rows = proposed(found).rows
    fields = dict(_column_of(rows, each) for each in given.fields)
    form: dict[str, str] = {}
    for each in given.answers:
        index, answer = _column_of(rows, each)
        _answer(rows, rows[index], answer, form)
    if given.as_text and rows:
        columns = tuple(_as_text(row, fields.get(row.index), form) for row in rows)
        faults = [f"{_name(rows, rows[it.index])}: {it.reason}" for it in check_mapping(columns)]
        if faults:
            raise CommandFailed(_lines(_ASKED, faults))
        return Plan(replace(found.options, columns=columns))
    for row in rows:
        form |= {f"f{row.index}": fields.get(row.index, row.field), f"e{row.index}": row.empty}
    decision = decision_from(found, form)
    if decision.plan is None:
        raise CommandFailed(_lines(_ASKED, _faults(decision)))
    return decision.plan


_ASKED = (
    "Say these by --answer COLUMN=ANSWER or --field COLUMN=FIELD; with --text all that have a "
    "heading are texts:"
)


def _with_choices(asked: str, found: Import) -> str:
    """A question about how the file is read, with the options that answer it."""
    return _lines(asked, _members(found) if found.detected.is_dump else _readings(found))


def _members(found: Import) -> Iterator[str]:
    for member in found.members:
        refusal = f" can’t be imported: {member.refusal}" if member.refusal else ""
        yield f"{member.name}{refusal}" if refusal else f"--member {member.name}"


def _readings(found: Import) -> Iterator[str]:
    detected = found.detected
    for candidate in detected.candidates:
        yield f"--encoding {candidate.encoding} reads {next(iter(candidate.lines), '')}"
    for sign, name in detected.delimiters.items() if detected.dialects else ():
        yield f"--delimiter {sign!r}: {name}"
    if detected.is_heading_doubtful:
        for number, text in detected.heading_lines("utf-8").items():
            yield f"--heading {number}: {text}"
        yield "--heading no: none"


def _column_of(rows: Sequence[Row], given: str) -> tuple[int, str]:
    """The index of the column that stands before ``=``, and what stands behind it. Raises
    CommandFailed for none, and where several have that heading."""
    for at, sign in enumerate(given):
        found = _called(rows, given[:at].strip()) if sign == "=" else []
        if len(found) > 1:
            numbers = ", ".join(f"#{index + 1}" for index in found)
            raise CommandFailed(plain(f"Several columns are called so: {given}. Say {numbers}."))
        if found:
            return found[0], given[at + 1 :]
    names = ", ".join(_name(rows, row) for row in rows) or "none to decide"
    raise CommandFailed(plain(f"{given} names no column. The file has {names}."))


def _called(rows: Sequence[Row], name: str) -> list[int]:
    found = [row.index for row in rows if name and row.proposal.column.header.strip() == name]
    return found or [row.index for row in rows if name == f"#{row.index + 1}"]


def _name(rows: Sequence[Row], row: Row) -> str:
    heading = row.proposal.column.header.strip()
    return heading if len(_called(rows, heading)) == 1 else f"#{row.index + 1}"


def _as_text(row: Row, field: str | None, form: Mapping[str, str]) -> Column:
    """The column as text, unless it is left out: by itself, or by an answer."""
    numbers = range(len(row.proposal.questions))
    column = answered(row.proposal, {n: form.get(f"q{row.index}-{n}", "") for n in numbers})
    if field is not None:
        return Column(column.header, parse_path(field), ColumnType.STRING)
    if column.type == ColumnType.LEFT_OUT:
        return column
    return Column(column.header, (column.header.strip(),), ColumnType.STRING)


def _answer(rows: Sequence[Row], row: Row, answer: str, form: dict[str, str]) -> None:
    """Answer the first question of a column that has this answer; by a number, its first that has
    none yet. Raises CommandFailed."""
    questions = {
        f"q{row.index}-{number}": question for number, question in enumerate(row.proposal.questions)
    }
    unanswered = {key: question for key, question in questions.items() if key not in form}
    for key, question in unanswered.items():
        labels = [choice.label for choice in question.choices]
        if answer in labels:
            form[key] = str(labels.index(answer))
            return
    for key, question in list(unanswered.items())[:1]:
        if answer in [str(number) for number, _ in enumerate(question.choices, 1)]:
            form[key] = str(int(answer) - 1)
            return
    name = _name(rows, row)
    told = [line for question in questions.values() for line in _told(name, question)]
    raise CommandFailed(_lines(f"{name} has no question with the answer {answer}.", told))


def _faults(decision: Decision) -> Iterator[str]:
    rows = decision.rows
    asked = {
        f"q{row.index}-{number}": (row, question)
        for row in rows
        for number, question in enumerate(row.proposal.questions)
    }
    for key, words in decision.faults:
        if key in asked:
            row, question = asked[key]
            yield from _told(_name(rows, row), question)
        else:
            yield f"{_name(rows, rows[int(key[1:])])}: {words}"


def _told(name: str, question: Question) -> Iterator[str]:
    yield f"{name}: {question.words}"
    for number, choice in enumerate(question.choices, 1):
        yield f"  {number}: {choice.label}"


def _lines(first: str, others: Iterable[str]) -> str:
    return "\n".join(map(plain, [first, *(f"  {each}" for each in others)]))
