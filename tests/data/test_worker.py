"""Streams and hang-ups at a real worker."""

import json
import socket
import time
from contextlib import ExitStack

import pytest
import requests
from bson import ObjectId

from tests.processes import portal, wait_until
from tests.stopwatch import takes_less
from tests.visitor import PASSWORD

pytestmark = pytest.mark.processes
NDJSON = "application/x-ndjson"
SLOW = 3
ENDED = 0.7
# Work for minutes on 500 documents.
SLOW_CHANGE = json.dumps(
    {"filter": {}, "update": [{"$set": {"changed": {"$size": {"$range": [0, 1_000_000]}}}}]}
)
# Hours of work for the server, which may stop at each document.
LONG = json.dumps(
    {
        "pipeline": [
            *(
                stage
                for name in ("a", "b", "c")
                for stage in ({"$set": {name: {"$range": [0, 10_000]}}}, {"$unwind": f"${name}"})
            ),
            # Of all three, so that it isn't matched before the last one is unwound.
            {"$match": {"$expr": {"$eq": [{"$add": ["$a", "$b", "$c"]}, -1]}}},
        ]
    }
)

# Work for minutes on 500 documents, too.
SLOW_FILTER = json.dumps(
    {"filter": {"$expr": {"$eq": [{"$size": {"$range": [0, {"$add": ["$_id", 1_000_000]}]}}, -1]}}}
)
# A document with a thousand million keys.
CROWDED_INDEX = json.dumps({"keys": {"a": 1, "b": 1, "c": 1}, "unique": True})
CROWDED = {"_id": 50_000} | {key: list(range(1000)) for key in "abc"}


class Remote:
    """An owner's program, at a portal of one worker."""

    def __init__(self, url):
        self.url, self.http = url, requests.Session()
        credentials = {"email": "mara@acme.example", "password": PASSWORD}
        made = self.http.post(
            f"{url}/org/create", json={"organization_name": "Acme Corp", **credentials}
        )
        assert made.status_code == 201
        token = self.http.post(f"{url}/admin/login", json=credentials).json()["token"]
        self.http.headers["Authorization"] = f"Bearer {token}"
        self.documents = f"{url}/org/acme-corp/documents"

    def insert(self, data):
        return self.http.post(self.documents, data=data, headers={"Content-Type": NDJSON})

    def count(self):
        return self.http.post(f"{self.documents}/count", json={}).json()["count"]

    def open(self, path, body, *headers):
        """A connection on which so much of a request was sent."""
        host, port = self.url.removeprefix("http://").split(":")
        connection = socket.create_connection((host, int(port)), timeout=30)
        head = [
            f"POST /org/acme-corp{path} HTTP/1.1",
            f"Host: {host}:{port}",
            f"Authorization: {self.http.headers['Authorization']}",
            *headers,
        ]
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        return connection


@pytest.fixture(scope="module")
def remote(server):
    with portal(server, f"data_{ObjectId()}", workers=1) as running:
        yield Remote(running.url)


@pytest.fixture(scope="module")
def crowd(remote):
    """Documents that are much work to read."""
    assert remote.insert(json.dumps(CROWDED).encode()).status_code == 200
    assert remote.insert(lines(50_001, 50_501)).status_code == 200


def lines(first, last):
    return "".join(json.dumps({"_id": n}) + "\n" for n in range(first, last)).encode()


CHUNKED = ("Transfer-Encoding: chunked", f"Content-Type: {NDJSON}")


def chunk(part):
    return b"%x\r\n%s\r\n" % (len(part), part)


def test_a_body_of_unknown_length_is_read_as_it_comes(remote):
    before = remote.count()
    answer = remote.insert(lines(n, n + 100) for n in range(0, 3000, 100))
    assert answer.json() == {"status": "success", "inserted": 3000, "repeated": 0}
    assert remote.count() == before + 3000
    elsewhere = remote.http.put(f"{remote.url}/org/update", data=iter([b"{}"]))
    assert elsewhere.status_code == 411


def test_a_stream_that_breaks_off_is_not_taken_for_whole(remote):
    before = remote.count()
    with remote.open("/documents", chunk(lines(10_000, 20_000)), *CHUNKED) as connection:
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    inserted = remote.count() - before
    assert "import_stopped" in answer
    assert f" {inserted} documents are inserted" in answer.replace('"', " ")
    assert 0 < inserted < 10_000


@pytest.mark.attack("D4")
def test_slow_senders_take_no_thread_that_others_need(remote):
    with ExitStack() as open_ones:
        for _ in range(8):
            open_ones.enter_context(remote.open("/documents", b"5\r\n", *CHUNKED))
        wait_until(lambda: remote.insert(lines(30_000, 30_001)).status_code == 503)
        answers = []
        assert takes_less(SLOW, lambda: answers.append(remote.http.get(remote.documents)))
        assert {answer.status_code for answer in answers} == {200}
    wait_until(lambda: remote.insert(lines(30_000, 30_001)).status_code in (200, 422))


def running(bare_client):
    reads = {"ns": {"$regex": r"\.org_acme_corp$"}, "command.comment": {"$exists": True}}
    return list(
        bare_client.admin.aggregate([{"$currentOp": {"allUsers": True}}, {"$match": reads}])
    )


def changing(bare_client):
    updates = {"op": "update", "ns": {"$regex": r"\.org_acme_corp$"}}
    return list(
        bare_client.admin.aggregate([{"$currentOp": {"allUsers": True}}, {"$match": updates}])
    )


@pytest.mark.attack("D4")
@pytest.mark.parametrize(
    ("path", "text", "form"),
    [
        ("/documents/aggregate", LONG, "application/json"),
        ("/documents/query", SLOW_FILTER, NDJSON),
        ("/indexes/check", CROWDED_INDEX, "application/json"),
    ],
    ids=["aggregation", "export", "check of an index"],
)
def test_who_hangs_up_ends_their_query_in_the_server(remote, bare_client, crowd, path, text, form):
    body = text.encode()
    head = (f"Content-Length: {len(body)}", "Content-Type: application/json", f"Accept: {form}")

    def seconds_to_its_end():
        with remote.open(path, body, *head):
            wait_until(lambda: running(bare_client))
        began = time.monotonic()
        wait_until(lambda: not running(bare_client))
        return time.monotonic() - began

    # By the limit of a request it would end as well, but later; a machine may stand still.
    assert any(seconds_to_its_end() < ENDED for _ in range(5))


@pytest.mark.attack("D4")
def test_who_hangs_up_ends_their_change_of_many_documents_in_the_server(remote, bare_client):
    body = SLOW_CHANGE.encode()
    assert remote.insert(lines(60_000, 60_500)).status_code == 200

    def seconds_to_its_end():
        with remote.open(
            "/documents/update",
            body,
            f"Content-Length: {len(body)}",
            "Content-Type: application/json",
        ):
            wait_until(lambda: changing(bare_client))
        began = time.monotonic()
        wait_until(lambda: not changing(bare_client))
        return time.monotonic() - began

    assert any(seconds_to_its_end() < ENDED for _ in range(5))
    changed = remote.http.post(
        f"{remote.documents}/count", json={"filter": {"changed": {"$exists": True}}}
    )
    assert changed.json()["count"] == 0


def test_two_lengths_of_one_body_are_refused(remote):
    """A proxy before the portal may believe the other one."""
    both = ("Content-Length: 5", *CHUNKED)
    with remote.open(
        "/documents", chunk(lines(40_000, 40_001)) + b"0\r\n\r\n", *both
    ) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 400")
