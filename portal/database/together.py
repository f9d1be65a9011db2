"""Reads that go to the server together, as one command, where each would be one of its own.

To send a command costs a process more than many a read costs the server. So parts of a page are
written as generators, each of which yields what it reads next and is sent the rows: the first reads
of all of them go together, then the second ones, and so on.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from mongoengine import Document
from pymongo.command_cursor import CommandCursor

Stages = list[dict[str, Any]]
Rows = list[dict[str, Any]]
Hint = str | dict[str, int]
Result = TypeVar("Result")

_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Read:
    """An aggregation over the documents of one kind. One that names its index by a ``hint`` goes
    with others that don't: a command has one."""

    document: type[Document]
    stages: Stages
    hint: Hint | None = None


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
    """The rows of each, by one command; by as many as have a hint where those are several."""
    found: list[Rows] = [[] for _ in reads]
    numbers = sorted(range(len(reads)), key=lambda number: reads[number].hint is None)
    hinted = sum(read.hint is not None for read in reads)
    alone = [[number] for number in numbers[: max(hinted - 1, 0)]]
    for together in (*alone, numbers[len(alone) :]):
        for row in _aggregate([(number, reads[number]) for number in together]):
            found[row["of"]].append(row["row"])
    return found


def _aggregate(reads: list[tuple[int, Read]]) -> CommandCursor[dict[str, Any]]:
    """The rows of all, each with the number of the read that it is of; the first read's hint."""
    first, *others = (
        [*read.stages, {"$replaceWith": {"of": {"$literal": number}, "row": "$$ROOT"}}]
        for number, read in reads
    )
    union: Stages = [
        {"$unionWith": {"coll": read.document._get_collection_name(), "pipeline": stages}}
        for (_, read), stages in zip(reads[1:], others, strict=True)
    ]
    [_, leading] = reads[0]
    options = {"hint": leading.hint} if leading.hint else {}
    collection = leading.document._get_collection()
    return collection.aggregate([*first, *union], batchSize=_AT_ONCE, **options)
