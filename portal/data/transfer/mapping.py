"""The page on which it is decided how a file is imported: its rows, and what was answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from portal.data.formats.evidence import Question
from portal.data.formats.examining import Proposal
from portal.data.formats.headings import parse_path, path_text
from portal.data.formats.mapping import check_mapping
from portal.data.formats.options import Column, ColumnType, Empty
from portal.data.transfer.errors import MappingRefused
from portal.data.transfer.files import Purpose, StoredFile, files_of
from portal.data.transfer.plans import STOPS_PER_MILLE, USUAL_STOP, Existing, Plan, answered
from portal.data.transfer.stages import Import
from portal.documents.organizations import Organization

MOST_EARLIER = 3
_MOST_LOOKED_AT = 100
PROPOSED, GIVEN = "proposed", "given"
_OFFERED = tuple(each for each in ColumnType if each != ColumnType.DOCUMENT)


@dataclass(frozen=True, slots=True)
class Row:
    """A column of the file on the page: the field it becomes, the ``types`` to choose from as
    (value, words) pairs with the one ``chosen``, what an ``empty`` cell becomes, and the answers
    given to its questions."""

    index: int
    proposal: Proposal
    field: str
    types: Sequence[tuple[str, str]]
    chosen: str
    empty: str
    answers: Mapping[int, str]
    fault: str | None = None

    @property
    def open_questions(self) -> list[Question]:
        """The questions that are still to be answered."""
        if self.chosen != PROPOSED:
            return []
        asked = enumerate(self.proposal.questions)
        renamed = self.field not in ("", path_text(self.proposal.column.path))
        return [
            question
            for number, question in asked
            if not self.answers.get(number) and not (renamed and question.kind == "heading")
        ]


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision by a form: the page's rows, and the plan; without one where ``faults`` remain,
    each with the id of the control to mend."""

    rows: Sequence[Row]
    existing: Existing
    key: str
    stop_per_mille: int
    plan: Plan | None
    faults: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Earlier:
    """A plan that was decided for an earlier file with the same headings."""

    file: StoredFile
    plan: Plan

    @property
    def id(self) -> str:
        """The id of that import."""
        return str(self.file.id)


def earlier_plans(organization: Organization, decided: Import) -> list[Earlier]:
    """The plans that were decided for earlier files with the same headings, the newest first;
    MOST_EARLIER of them. None for a file without headings."""
    headings = [each.column.header for each in _proposals(decided)]
    if not headings or not decided.options.dialect.header:
        return []
    found = []
    for file in files_of(organization, Purpose.IMPORT, _MOST_LOOKED_AT):
        stored = file.details.get("plan")
        if file.id == decided.file.id or not stored:
            continue
        plan = Plan.of(stored)
        same = headings == [column.header for column in plan.options.columns]
        if same and plan.options.dialect.header:
            found.append(Earlier(file, plan))
    return found[:MOST_EARLIER]


def earlier_plan(organization: Organization, decided: Import, earlier_id: str) -> Earlier | None:
    """The plan of the earlier import of this id; ``None`` where none is given. Raises
    MappingRefused where it is none of ``earlier_plans``."""
    if not earlier_id:
        return None
    plans = earlier_plans(organization, decided)
    found = next((each for each in plans if each.id == earlier_id), None)
    if found is None:
        raise MappingRefused("What was decided for that earlier file is gone.")
    return found


def proposed(decided: Import, earlier: Earlier | None = None) -> Decision:
    """The decision as it is proposed, was made before, or was made for an ``earlier`` file."""
    plan = earlier.plan if earlier else decided.plan
    given = dict(enumerate(plan.options.columns)) if plan else {}
    rows = [
        _row(index, proposal, None, given.get(index))
        for index, proposal in enumerate(_proposals(decided))
    ]
    return Decision(
        rows,
        plan.existing if plan else Existing.INSERT,
        plan.key if plan else "_id",
        plan.stop_per_mille if plan else USUAL_STOP,
        plan,
        _open_questions(rows) if plan is None else (),
    )


def decision_from(
    decided: Import, form: Mapping[str, str], earlier: Earlier | None = None
) -> Decision:
    """The decision that a form makes, of what was proposed."""
    before = earlier.plan if earlier else decided.plan
    given = dict(enumerate(before.options.columns)) if before else {}
    rows = [
        _row(index, proposal, form, given.get(index))
        for index, proposal in enumerate(_proposals(decided))
    ]
    columns, faults = [_column(row, before) for row in rows], _open_questions(rows)
    if rows and not faults:
        faults = [(f"f{each.index}", each.reason) for each in check_mapping(tuple(columns))]
    told = dict(faults)
    rows = [replace(row, fault=told.get(f"f{row.index}")) for row in rows]
    wanted = form.get("existing", "")
    existing = Existing(wanted) if wanted in set(Existing) else Existing.INSERT
    key = form.get("key", "").strip() or "_id"
    stop = _number(form.get("stop", ""), STOPS_PER_MILLE, USUAL_STOP)
    options = decided.options
    if rows:
        options = replace(options, columns=tuple(columns))
    plan = None if faults else Plan(options, existing, key, stop)
    return Decision(rows, existing, key, stop, plan, faults)


def _proposals(decided: Import) -> Sequence[Proposal]:
    return decided.examined.proposals if decided.examined else ()


def _row(
    index: int, proposal: Proposal, form: Mapping[str, str] | None, given: Column | None
) -> Row:
    column, label = proposal.column, describe_type(proposal.column)
    types = [(PROPOSED, label)] + [
        (each.value, each.label) for each in _OFFERED if each != column.type or column.layout
    ]
    if given is not None:
        types.append((GIVEN, f"{describe_type(given)}, as decided"))
    if form is not None:
        answers = {
            number: form.get(f"q{index}-{number}", "") for number in range(len(proposal.questions))
        }
        chosen = form.get(f"t{index}", PROPOSED)
        empty = form.get(f"e{index}", column.empty.value)
        field = form.get(f"f{index}", "")
        known = chosen if chosen in dict(types) else PROPOSED
        return Row(index, proposal, field, types, known, empty, answers)
    if given is not None:
        field = path_text(given.path)
        return Row(index, proposal, field, types, GIVEN, given.empty.value, {})
    field = path_text(column.path)
    return Row(index, proposal, field, types, PROPOSED, column.empty.value, {})


def _open_questions(rows: Sequence[Row]) -> list[tuple[str, str]]:
    return [
        (f"q{row.index}-{row.proposal.questions.index(question)}", question.words)
        for row in rows
        for question in row.open_questions
    ]


def _column(row: Row, before: Plan | None) -> Column:
    """The column that a row decides; ``before`` is what was decided before."""
    column = answered(row.proposal, row.answers)
    if row.chosen == GIVEN and before is not None:
        column = before.options.columns[row.index]
    elif row.chosen != PROPOSED:
        column = Column(column.header, column.path, ColumnType(row.chosen))
    empty = row.empty if row.empty in set(Empty) else Empty.MISSING
    column = replace(column, empty=Empty(empty))
    unchanged = row.chosen != GIVEN and row.field == path_text(row.proposal.column.path)
    if column.type == ColumnType.LEFT_OUT or unchanged:
        return column
    return replace(column, path=parse_path(row.field))


def describe_type(column: Column) -> str:
    """The type of a column in words, with what else is decided about it."""
    words = [column.type.label]
    if column.layout:
        words.append(column.layout)
    if column.zone:
        words.append(column.zone)
    if column.point == "," and column.type in (ColumnType.DECIMAL, ColumnType.DOUBLE):
        words.append("comma")
    return ", ".join(words)


def _number(text: str, choices: Sequence[int], otherwise: int) -> int:
    return next((each for each in choices if str(each) == text), otherwise)
