"""Reads that go to the server together, as one command, where each would be one of its own.

To send a command costs a process more than many a read costs the server. So parts of a page are
written as generators, each of which yields what it reads next and is sent the rows: the first reads
of all of them go together, then the second ones, and so on.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from mongoengine import Document

Stages = list[dict[str, Any]]
Rows = list[dict[str, Any]]
Result = TypeVar("Result")

_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Read:
    """An aggregation over the documents of one kind."""

    document: type[Document]
    stages: Stages


Part = Generator[list[Read], list[Rows], Result]
"""Yields some reads, and is sent the rows of each."""


def read(part: Part[Result]) -> Result:
    """The result of the part."""
    try:
        reads = next(part)
        while True:
            reads = part.send(_rows_of(reads))
    except StopIteration as end:
        result: Result = end.value
        return result


def joined(*parts: Part[Any]) -> Part[list[Any]]:
    """The parts as one, whose result are theirs."""
    results: list[Any] = [None] * len(parts)
    answers: dict[int, Any] = dict.fromkeys(range(len(parts)))
    while answers:
        wanted: dict[int, list[Read]] = {}
        for number, answer in answers.items():
            try:
                wanted[number] = parts[number].send(answer)
            except StopIteration as end:
                results[number] = end.value
        if not wanted:
            break
        rows = iter((yield [read for reads in wanted.values() for read in reads]))
        answers = {number: [next(rows) for _ in reads] for number, reads in wanted.items()}
    return results


def _rows_of(reads: list[Read]) -> list[Rows]:
    """The rows of each, by one command."""
    found: list[Rows] = [[] for _ in reads]
    first, *others = (
        [*read.stages, {"$replaceWith": {"of": {"$literal": number}, "row": "$$ROOT"}}]
        for number, read in enumerate(reads)
    )
    union: Stages = [
        {"$unionWith": {"coll": read.document._get_collection_name(), "pipeline": stages}}
        for read, stages in zip(reads[1:], others, strict=True)
    ]
    collection = reads[0].document._get_collection()
    for row in collection.aggregate([*first, *union], batchSize=_AT_ONCE):
        found[row["of"]].append(row["row"])
    return found
