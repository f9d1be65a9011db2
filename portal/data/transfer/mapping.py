"""The page on which it is decided how a file is imported: its rows, and what was answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from portal.data.formats.evidence import Question
from portal.data.formats.examining import Proposal
from portal.data.formats.headings import parse_path, path_text
from portal.data.formats.mapping import check_mapping
from portal.data.formats.options import NUMERIC, Column, ColumnType, Empty
from portal.data.texts import visible
from portal.data.transfer.errors import EarlierImportGone
from portal.data.transfer.files import Purpose, StoredFile, files_of
from portal.data.transfer.plans import STOPS_PER_MILLE, USUAL_STOP, Existing, Plan, answered
from portal.data.transfer.stages import Import
from portal.documents.organizations import Organization

MOST_EARLIER = 3
_MOST_LOOKED_AT = 100
PROPOSED, GIVEN = "proposed", "given"
_OFFERED = tuple(each for each in ColumnType if each != ColumnType.DOCUMENT)
# The questions by whose answers a column gets its type, and those that say what a number or a date
# means, whichever type it gets.
_OF_TYPE = frozenset({"number", "day_order", "century", "id", "json"})
_OF_NUMBERS, _OF_DATES = frozenset({"number"}), frozenset({"day_order", "century"})


@dataclass(frozen=True, slots=True)
class Row:
    """A column of the file on the page: the field it becomes, the ``types`` to choose from as
    (value, words) pairs with the one ``chosen``, what an ``empty`` cell becomes, and the answers
    given to its questions; ``given`` is the column as it was decided before."""

    index: int
    proposal: Proposal
    field: str
    types: Sequence[tuple[str, str]]
    chosen: str
    empty: str
    answers: Mapping[int, str]
    given: Column | None = None
    fault: str | None = None

    @property
    def heading(self) -> str:
        """The column's heading, what can't be seen of it escaped."""
        return visible(self.proposal.column.header) or "no heading"

    @property
    def open_questions(self) -> list[Question]:
        """The questions that are still to be answered: all of what is proposed, and where a type
        was chosen those that it leaves open."""
        asked = enumerate(self.proposal.questions)
        return [
            question
            for number, question in asked
            if question.kind in self._asked and not self._is_answered(number, question)
        ]

    @property
    def _asked(self) -> frozenset[str]:
        if self.chosen in (GIVEN, ColumnType.LEFT_OUT):
            return frozenset()
        renamed = self.field not in ("", path_text(self.proposal.column.path))
        of_path = frozenset() if renamed else frozenset({"dots"})
        if self.chosen == PROPOSED:
            return of_path | _OF_TYPE | ({"word"} if renamed else {"word", "heading"})
        if self.chosen in NUMERIC:
            return of_path | _OF_NUMBERS
        return of_path | _OF_DATES if self.chosen == ColumnType.DATE else of_path

    def _is_answered(self, number: int, question: Question) -> bool:
        """Tell whether the question has an answer; that it is text is none for another type."""
        choice = question.chosen(self.answers.get(number, ""))
        if choice is None:
            return False
        is_text = choice.change.get("type") == ColumnType.STRING
        return self.chosen == PROPOSED or not is_text


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
        raise EarlierImportGone
    return found


def proposed(decided: Import, earlier: Earlier | None = None) -> Decision:
    """The decision as it is proposed, was made before, or was made for an ``earlier`` file."""
    plan = earlier.plan if earlier else decided.plan
    given = _given(decided, plan)
    drafted = {} if plan else dict((decided.draft or {}).get("columns", ()))
    rows = [
        _drafted_row(index, proposal, drafted[index], given.get(index))
        if index in drafted
        else _row(index, proposal, None, given.get(index))
        for index, proposal in enumerate(_proposals(decided))
    ]
    form = (decided.draft or {}) if plan is None else plan.stored()
    return Decision(rows, *_what_is_there(form), plan, _open_questions(rows) if not plan else ())


def decision_from(
    decided: Import, form: Mapping[str, str], earlier: Earlier | None = None
) -> Decision:
    """The decision that a form makes, of what was proposed."""
    given = _given(decided, earlier.plan if earlier else decided.plan)
    rows = [
        _row(index, proposal, form, given.get(index))
        for index, proposal in enumerate(_proposals(decided))
    ]
    columns, faults = [_column(row) for row in rows], _open_questions(rows)
    if rows and not faults:
        faults = [(f"f{each.index}", each.reason) for each in check_mapping(tuple(columns))]
    told = dict(faults)
    rows = [replace(row, fault=told.get(f"f{row.index}")) for row in rows]
    existing, key, stop = _what_is_there(form)
    options = decided.options
    if rows:
        options = replace(options, columns=tuple(columns))
    plan = None if faults else Plan(options, existing, key, stop)
    return Decision(rows, existing, key, stop, plan, faults)


def draft_from(
    decided: Import, form: Mapping[str, str], earlier: Earlier | None = None
) -> dict[str, Any]:
    """The changes of the proposal in a form, to be ``proposed`` once the file is read otherwise: by
    the numbers of columns, whose answers are kept for the same question alone. Nothing of the
    columns where another delimiter makes others of them."""
    decision, before = decision_from(decided, form, earlier), decided.options.dialect.delimiter
    are_same = form.get("delimiter") in (None, "", before)
    changed = [(row.index, _draft_of(row)) for row in decision.rows if are_same]
    return {
        "columns": [[index, draft] for index, draft in changed if draft],
        "existing": decision.existing.value,
        "key": decision.key,
        "stop": decision.stop_per_mille,
    }


def _draft_of(row: Row) -> dict[str, Any]:
    column = row.proposal.column
    draft: dict[str, Any] = {}
    if row.field not in ("", path_text(column.path)):
        draft["field"] = row.field
    if row.chosen == GIVEN and row.given is not None:
        draft["given"] = row.given.stored()
    elif row.chosen != PROPOSED:
        draft["type"] = row.chosen
    if row.empty != column.empty:
        draft["empty"] = row.empty
    answers = [
        [question.words, choice.label]
        for number, question in enumerate(row.proposal.questions)
        if (choice := question.chosen(row.answers.get(number, "")))
    ]
    return draft | ({"answers": answers} if answers else {})


def _drafted_row(
    index: int, proposal: Proposal, draft: Mapping[str, Any], given: Column | None
) -> Row:
    told, column = dict(draft.get("answers", ())), proposal.column
    form = {
        f"f{index}": draft.get("field", path_text(column.path)),
        f"t{index}": draft.get("type", GIVEN if given else PROPOSED),
        f"e{index}": draft.get("empty", column.empty.value),
    }
    for number, question in enumerate(proposal.questions):
        labels = [choice.label for choice in question.choices]
        if told.get(question.words) in labels:
            form[f"q{index}-{number}"] = str(labels.index(told[question.words]))
    return _row(index, proposal, form, given)


def _given(decided: Import, plan: Plan | None) -> dict[int, Column]:
    """The columns as they were decided: by the plan, or before the file was read otherwise."""
    if plan is not None:
        return dict(enumerate(plan.options.columns))
    drafted = (decided.draft or {}).get("columns", ())
    return {index: Column.of(draft["given"]) for index, draft in drafted if "given" in draft}


def _what_is_there(form: Mapping[str, Any]) -> tuple[Existing, str, int]:
    """The handling of documents that are there, the key that tells them, the share to stop at."""
    wanted = form.get("existing", "")
    existing = Existing(wanted) if wanted in set(Existing) else Existing.INSERT
    stop = _number(str(form.get("stop", "")), STOPS_PER_MILLE, USUAL_STOP)
    return existing, form.get("key", "").strip() or "_id", stop


def _proposals(decided: Import) -> Sequence[Proposal]:
    return decided.examined.proposals if decided.examined else ()


def _row(
    index: int, proposal: Proposal, form: Mapping[str, str] | None, given: Column | None
) -> Row:
    column = proposal.column
    is_asked = any(question.kind in _OF_TYPE for question in proposal.questions)
    types = [(PROPOSED, "as answered" if is_asked else describe_type(column))] + [
        (each.value, each.label if is_asked else describe_type(column.retyped(each)))
        for each in _OFFERED
        if is_asked or each != column.type
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
        return Row(index, proposal, field, types, known, empty, answers, given)
    if given is not None:
        field = path_text(given.path)
        return Row(index, proposal, field, types, GIVEN, given.empty.value, {}, given)
    field = path_text(column.path)
    return Row(index, proposal, field, types, PROPOSED, column.empty.value, {})


def _open_questions(rows: Sequence[Row]) -> list[tuple[str, str]]:
    return [
        (f"q{row.index}-{row.proposal.questions.index(question)}", question.words)
        for row in rows
        for question in row.open_questions
    ]


def _column(row: Row) -> Column:
    """The column that a row decides."""
    column = answered(row.proposal, row.answers)
    if row.chosen == GIVEN and row.given is not None:
        column = row.given
    elif row.chosen != PROPOSED:
        column = column.retyped(ColumnType(row.chosen))
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
    if column.zone or (column.type == ColumnType.DATE and not column.layout.endswith("Z")):
        words.append(column.zone or "UTC")
    if column.point == ",":
        words.append("comma")
    return ", ".join(words)


def _number(text: str, choices: Sequence[int], otherwise: int) -> int:
    return next((each for each in choices if str(each) == text), otherwise)
