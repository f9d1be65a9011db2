"""Files of documents in and out by jobs, beside PyMongo's own methods."""

import csv
import io
import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import bson
import requests
from bson import ObjectId

from bench.environment import TENANT_DB, Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import seconds_of
from bench.usage import forget_peak, peak_mb, worker_of
from tests.visitor import PASSWORD

_OCTETS = "application/octet-stream"
_LOOK_SECONDS = 0.05


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """Import and export of many small documents in each format: the write beside insert_many, the
    export beside find, all phases together, and how much the worker grew meanwhile."""
    program = _Program(environment.portal.url)
    plain = environment.client[TENANT_DB]["org_files"]
    made = [{"_id": ObjectId(), "name": f"Document {n}", "n": n} for n in range(scale.documents)]
    worker = worker_of(environment.portal)
    figures = []
    for kind, content in _files(made).items():
        before = forget_peak(worker)
        rounds = []
        for _ in range(scale.repeats):
            plain.delete_many({})
            inserting = seconds_of(lambda: plain.insert_many(made))
            finding = seconds_of(lambda: list(plain.find()))
            exporting = seconds_of(lambda kind=kind: program.export(kind))
            plain.delete_many({})
            begin = time.perf_counter()
            one = program.check_file(f"a.{kind}", content)
            writing = seconds_of(lambda one=one: program.write(one))
            rounds.append((finding, exporting, inserting, writing, time.perf_counter() - begin))
        finding, exporting, inserting, writing, whole = map(
            statistics.median, zip(*rounds, strict=True)
        )
        words = f"{scale.documents:,} documents as {kind}"
        figures += [
            Figure.in_ms(f"export of a file, {words}", exporting, finding, "find"),
            Figure.in_ms(f"write of a checked file, {words}", writing, inserting, "insert_many"),
            Figure.in_ms(f"import of a file, {words}", whole, inserting, "insert_many"),
            Figure(f"growth of the worker, {words}", peak_mb(worker) - before, "MB"),
        ]
    return figures


def _files(made: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(made[0])
    writer.writerows(each.values() for each in made)
    return {
        "bson": b"".join(map(bson.encode, made)),
        "jsonl": "".join(json.dumps(each, default=_extended) + "\n" for each in made).encode(),
        "csv": rows.getvalue().encode(),
    }


class _Program:
    """An owner's program."""

    def __init__(self, url: str) -> None:
        self.http = requests.Session()
        credentials = {"email": "files@bench.example", "password": PASSWORD}
        named = {"organization_name": "Files", **credentials}
        self.http.post(f"{url}/org/create", json=named).raise_for_status()
        token = self.http.post(f"{url}/admin/login", json=credentials).json()["token"]
        self.http.headers["Authorization"] = f"Bearer {token}"
        self.organization = f"{url}/org/files"

    def check_file(self, name: str, content: bytes) -> str:
        """The path of an import that is ready to be written."""
        begun = self._post("imports", {"file_name": name})
        one = f"imports/{begun['id']}"
        sent = self.http.put(
            f"{self.organization}/{one}/content", content, headers={"Content-Type": _OCTETS}
        )
        assert sent.ok, sent.text
        self._await(one, lambda found: found["import"]["stage"] == "decide")
        self._post(f"{one}/check", {})
        self._await(one, lambda found: found["import"]["stage"] == "ready")
        return one

    def write(self, one: str) -> None:
        self._post(f"{one}/write", {})
        self._await(one, lambda found: found["import"]["stage"] == "done")

    def export(self, kind: str) -> bytes:
        one = f"exports/{self._post('exports', {'format': kind})['export']['id']}"
        self._await(one, lambda found: found["export"]["state"] == "done")
        return self.http.get(f"{self.organization}/{one}/file").content

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.http.post(f"{self.organization}/{path}", json=body)
        assert answer.ok, answer.text
        return answer.json()

    def _await(self, path: str, is_there: Callable[[Any], bool]) -> None:
        while not is_there(self.http.get(f"{self.organization}/{path}").json()):
            time.sleep(_LOOK_SECONDS)


def _extended(value: ObjectId) -> dict[str, str]:
    return {"$oid": str(value)}
