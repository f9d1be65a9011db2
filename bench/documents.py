"""Streams of documents in and out, beside PyMongo's own methods."""

import statistics
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import requests
from bson import Decimal128, Int64, ObjectId

from bench.environment import TENANT_DB, Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import seconds_of
from bench.usage import resident_mb, worker_of
from tests.visitor import PASSWORD

_NDJSON = "application/x-ndjson"
_PART_BYTES = 64 * 1024
# Goals: 0.35 of the speed of PyMongo's own methods, and 30 MB more than the worker has anyway.
_MOST, _MOST_MB = round(1 / 0.35, 2), 30


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """Export and import of many documents by a program, and the memory of the worker meanwhile."""
    program = _Program(environment.portal.url)
    plain = environment.client[TENANT_DB]["org_documents"]
    worker, made = worker_of(environment.portal), list(map(_document, range(scale.documents)))
    plain.insert_many(made)
    text = program.export()
    # The worker's first stream in.
    plain.delete_many({})
    program.send(text[:_PART_BYTES].rpartition(b"\n")[0])
    before, rounds = resident_mb(worker), []
    with _highest(lambda: resident_mb(worker)) as highest:
        for _ in range(scale.repeats):
            plain.delete_many({})
            inserting = seconds_of(lambda: plain.insert_many(made))
            finding = seconds_of(lambda: list(plain.find()))
            plain.delete_many({})
            importing = seconds_of(lambda: program.send(text))
            exporting = seconds_of(program.export)
            rounds.append((finding, exporting, inserting, importing))
    finding, exporting, inserting, importing = map(statistics.median, zip(*rounds, strict=True))
    words = f"{scale.documents:,} documents as ndjson"
    return [
        Figure.in_ms(f"export of {words}", exporting, finding, "find", _MOST),
        Figure.in_ms(f"import of {words}", importing, inserting, "insert_many", _MOST),
        Figure(
            "worker’s memory beyond its own meanwhile",
            max(highest) - before,
            "MB",
            most=_MOST_MB,
        ),
    ]


class _Program:
    """An owner's program."""

    def __init__(self, url: str) -> None:
        self.http = requests.Session()
        credentials = {"email": "documents@bench.example", "password": PASSWORD}
        named = {"organization_name": "Documents", **credentials}
        self.http.post(f"{url}/org/create", json=named).raise_for_status()
        token = self.http.post(f"{url}/admin/login", json=credentials).json()["token"]
        self.http.headers["Authorization"] = f"Bearer {token}"
        self.documents = f"{url}/org/documents/documents"

    def export(self) -> bytes:
        answer = self.http.get(self.documents, headers={"Accept": _NDJSON})
        answer.raise_for_status()
        return answer.content

    def send(self, text: bytes) -> None:
        parts = (text[at : at + _PART_BYTES] for at in range(0, len(text), _PART_BYTES))
        answer = self.http.post(self.documents, data=parts, headers={"Content-Type": _NDJSON})
        assert answer.ok, answer.text


def _document(n: int) -> dict[str, Any]:
    return {
        "_id": ObjectId(),
        "name": f"Document {n}",
        "n": n,
        "long": Int64(n * 2**33),
        "price": Decimal128("12.50"),
        "share": n / 7,
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "tags": ["red", "green", "blue"],
        "address": {"street": f"Main Street {n}", "zip": "01234", "city": "Zürich"},
        "active": True,
        "left": None,
    }


@contextmanager
def _highest(figure: Callable[[], float]) -> Iterator[list[float]]:
    """The figure every 20 ms within the block."""
    seen, stopped = [figure()], threading.Event()

    def look() -> None:
        while not stopped.wait(0.02):
            seen.append(figure())

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        stopped.set()
        looking.join()
