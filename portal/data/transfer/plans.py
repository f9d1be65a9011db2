"""Plans of imports: how a file is read, what becomes of documents that exist, when it stops."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

import bson

from portal.data.formats.detection import Detected
from portal.data.formats.dumps import Member, Metadata
from portal.data.formats.encodings import Candidate
from portal.data.formats.evidence import Choice, Question
from portal.data.formats.examining import Examined, Proposal
from portal.data.formats.options import Column, ColumnType, Empty, Format, ReadOptions
from portal.data.transfer.errors import (
    DelimiterNotChosen,
    EncodingNotChosen,
    FileUnreadable,
    FormatUnknown,
    HeadingNotChosen,
)

STOPS_PER_MILLE = (0, 1, 10, 50, 1000)
"""The shares of records that may fail, in thousandths: 1000 never stops."""

USUAL_STOP = 10


class Existing(StrEnum):
    """The fate of a record whose document is there already."""

    INSERT = "insert"
    """It is an error."""
    REPLACE = "replace"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Plan:
    """A decided import. Where it replaces or skips, documents are the same that have the same value
    in the field ``key``."""

    options: ReadOptions
    existing: Existing = Existing.INSERT
    key: str = "_id"
    stop_per_mille: int = USUAL_STOP

    def may_fail(self, records: int) -> int:
        """The number of records that may fail, of so many."""
        return records * self.stop_per_mille // 1000

    def stored(self) -> dict[str, Any]:
        """A document from which ``Plan.of`` makes it again."""
        return {
            "options": self.options.stored(),
            "existing": self.existing.value,
            "key": self.key,
            "stop": self.stop_per_mille,
        }

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """The plan that was ``stored``."""
        return cls(
            ReadOptions.of(stored["options"]),
            Existing(stored["existing"]),
            stored["key"],
            stored["stop"],
        )


def stored_detection(found: Detected) -> dict[str, Any]:
    """A document from which ``detection_of`` makes it again."""
    return {
        "options": found.options and found.options.stored(),
        "refusal": found.refusal,
        "candidates": [_stored_candidate(each) for each in found.candidates],
        "dialects": list(found.dialects),
        "headers": list(found.headers),
        "is_heading_doubtful": found.is_heading_doubtful,
        "likely_heading": list(found.likely_heading),
        "first_lines": list(found.first_lines),
        "is_dump": found.is_dump,
        "typed": found.typed,
        "notes": list(found.notes),
    }


def detection_of(stored: Mapping[str, Any]) -> Detected:
    """The findings that were ``stored``."""
    return Detected(
        options=stored["options"] and ReadOptions.of(stored["options"]),
        refusal=stored["refusal"],
        candidates=tuple(map(_candidate_of, stored["candidates"])),
        dialects=tuple(stored["dialects"]),
        headers=tuple(stored["headers"]),
        is_heading_doubtful=stored["is_heading_doubtful"],
        likely_heading=tuple(stored.get("likely_heading", ())),
        first_lines=tuple(stored.get("first_lines", ())),
        is_dump=stored["is_dump"],
        typed=stored["typed"],
        notes=tuple(stored["notes"]),
    )


_COUNTS = (
    "records",
    "lines",
    "blank",
    "separators_only",
    "too_few",
    "too_many",
    "unreadable",
    "fault",
)


def stored_examination(found: Examined) -> dict[str, Any]:
    """A document from which ``examination_of`` makes it again."""
    return {
        **{name: getattr(found, name) for name in _COUNTS},
        "proposals": [_stored_proposal(each) for each in found.proposals],
        "candidates": [_stored_candidate(each) for each in found.candidates],
    }


def examination_of(stored: Mapping[str, Any]) -> Examined:
    """The findings that were ``stored``."""
    return Examined(
        **{name: stored[name] for name in _COUNTS},
        proposals=tuple(map(_proposal_of, stored["proposals"])),
        candidates=tuple(map(_candidate_of, stored["candidates"])),
    )


def stored_members(members: Sequence[Member]) -> list[dict[str, Any]]:
    """The files in a dump, as documents from which ``members_of`` makes them again."""
    return [
        {
            **{name: getattr(each, name) for name in _MEMBER},
            "metadata_fault": each.metadata_fault,
            "options": each.options and each.options.stored(),
            "indexes": [bson.encode(index) for index in each.metadata.indexes]
            if each.metadata
            else [],
        }
        for each in members
    ]


def members_of(stored: Sequence[Mapping[str, Any]]) -> list[Member]:
    """The files that were ``stored``, without their collections' own options."""
    return [
        Member(
            **{name: each[name] for name in _MEMBER},
            metadata_fault=each.get("metadata_fault"),
            options=each["options"] and ReadOptions.of(each["options"]),
            metadata=Metadata(
                each["collection"], tuple(bson.decode(index) for index in each["indexes"]), {}
            ),
        )
        for each in stored
    ]


_MEMBER = ("name", "size_bytes", "database", "collection", "refusal")


def needs_mapping(options: ReadOptions) -> bool:
    """Tell whether it must be decided first which column becomes which field."""
    return options.format == Format.CSV and not options.columns


def answered(proposal: Proposal, answers: Mapping[int, str]) -> Column:
    """The proposed column as the ``answers`` make it: the numbers of choices, by question."""
    column = proposal.column
    for number, question in enumerate(proposal.questions):
        if choice := question.chosen(answers.get(number, "")):
            column = choice.answered(column)
    return column


def detected_as(
    found: Detected, encoding: str | None, delimiter: str | None, heading: str | None
) -> ReadOptions:
    """The options that were detected, by these answers. Without being asked, too, a delimiter may
    be chosen, and the heading: the number of a line, ``yes`` for the first row, ``no`` for none.
    Raises MappingRefused for a question without an answer, and for what can't be chosen."""
    options = found.options
    if options is None:
        raise FileUnreadable(found.refusal) if found.refusal else FormatUnknown
    if found.candidates:
        if encoding not in {each.encoding for each in found.candidates}:
            raise EncodingNotChosen
        options = replace(options, encoding=encoding)
    if options.format != Format.CSV:
        return options
    dialect = options.dialect
    if found.dialects or delimiter:
        if delimiter is None or delimiter not in found.delimiters:
            raise DelimiterNotChosen
        dialect = replace(dialect, delimiter=delimiter)
    if found.is_heading_doubtful or heading:
        lines = found.heading_lines(options.encoding)
        if heading not in ("yes", "no", *map(str, lines)):
            raise HeadingNotChosen
        is_first = heading in ("yes", "no", str(min(lines, default=0)))
        skipped = 0 if is_first else int(heading) - 1
        dialect = replace(dialect, header=heading != "no", skipped_lines=skipped)
    columns = options.columns if dialect == options.dialect else ()
    return replace(options, dialect=dialect, columns=columns)


def reading_chosen(options: ReadOptions) -> dict[str, str]:
    """The answers by which ``detected_as`` makes these options."""
    dialect = options.dialect
    heading = str(dialect.skipped_lines + 1) if dialect.skipped_lines else "yes"
    return {
        "encoding": options.encoding,
        "delimiter": dialect.delimiter,
        "heading": heading if dialect.header else "no",
    }


def _stored_candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "encoding": candidate.encoding,
        "label": candidate.label,
        "lines": list(candidate.lines),
    }


def _candidate_of(stored: Mapping[str, Any]) -> Candidate:
    return Candidate(stored["encoding"], stored["label"], tuple(stored["lines"]))


def _stored_proposal(proposal: Proposal) -> dict[str, Any]:
    return {
        "column": proposal.column.stored(),
        "first": proposal.first,
        "filled": proposal.filled,
        "empty": proposal.empty,
        "quoted": proposal.quoted,
        "found": list(proposal.found),
        "questions": [
            {
                "kind": question.kind,
                "words": question.words,
                "choices": [
                    {"label": choice.label, "change": _stored_change(choice.change)}
                    for choice in question.choices
                ],
            }
            for question in proposal.questions
        ],
    }


def _proposal_of(stored: Mapping[str, Any]) -> Proposal:
    questions = (
        Question(
            each["kind"],
            each["words"],
            tuple(
                Choice(choice["label"], _change_of(choice["change"])) for choice in each["choices"]
            ),
        )
        for each in stored["questions"]
    )
    return Proposal(
        column=Column.of(stored["column"]),
        first=stored["first"],
        filled=stored["filled"],
        empty=stored["empty"],
        quoted=stored["quoted"],
        found=tuple(stored["found"]),
        questions=tuple(questions),
    )


def _stored_change(change: Mapping[str, Any]) -> list[list[Any]]:
    plain: dict[str, Callable[[Any], Any]] = {
        "path": list,
        "words": lambda words: [list(pair) for pair in words.items()],
        "type": str,
        "empty": str,
    }
    return [[name, plain.get(name, _same)(value)] for name, value in change.items()]


def _change_of(stored: Sequence[Sequence[Any]]) -> dict[str, Any]:
    made: dict[str, Callable[[Any], Any]] = {
        "path": tuple,
        "words": dict,
        "type": ColumnType,
        "empty": Empty,
    }
    return {name: made.get(name, _same)(value) for name, value in stored}


def _same(value: Any) -> Any:
    return value
