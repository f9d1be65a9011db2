"""Clients that read an export a little at a time."""

import socket
import threading
from contextlib import ExitStack

import pytest

from portal.web import streaming
from tests.processes import Person, at_once, portal, wait_until

TWO = streaming.AT_ONCE
RECEIVED_BYTES = 4096
DOCUMENTS, DOCUMENT_BYTES = 400, 50_000  # more than the kernel takes for a client
EXPORTS = "/organizations/acme-corp/data/exports"


def test_a_slice_that_is_not_taken_in_its_time_ends_the_response(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(streaming.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(streaming, "SLICE_BYTES", 4)
    content = streaming.bytes_in_parts([b"0123456789", b"abc"])
    assert [next(content) for _ in range(2)] == [b"0123", b"4567"]
    now[0] += streaming.SLICE_SECONDS
    assert next(content) == b"89"
    now[0] += streaming.SLICE_SECONDS + 1
    with pytest.raises(ConnectionResetError):
        next(content)
    assert streaming._slots.acquire(blocking=False)  # it was released
    streaming._slots.release()
    assert b"".join(streaming.bytes_in_parts([b"0123456789", b"abc"])) == b"0123456789abc"


def read_slowly(person, path, stopped, told):
    """Read a kilobyte each second, as long as there is anything."""
    host, port = person.url.removeprefix("http://").split(":")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
        connection.connect((host, int(port)))
        cookies = "; ".join(f"{each.name}={each.value}" for each in person.session.cookies)
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookies}\r\n\r\n"
        connection.sendall(head.encode())
        connection.recv(1)
        told.release()
        while not stopped.wait(1):
            if not connection.recv(1024):
                return


@pytest.mark.full
@pytest.mark.processes
@pytest.mark.attack("D2")
def test_slow_readers_hold_no_thread_for_ever(server, databases, admin):
    with portal(server, databases, workers=1) as running, ExitStack() as stack:
        person = Person(running.url)
        person.sign_up()
        documents = admin[f"tenant_{databases}"]["org_acme_corp"]
        documents.insert_many({"_id": n, "x": "x" * DOCUMENT_BYTES} for n in range(DOCUMENTS))
        page = person.post(EXPORTS, format="bson").headers["Location"]
        path = page + "/file"
        wait_until(lambda: person.get(path).status_code == 200)
        stopped, told = threading.Event(), threading.Semaphore(0)
        slow = [
            threading.Thread(target=read_slowly, args=(person, path, stopped, told))
            for _ in range(TWO)
        ]
        stack.callback(stopped.set)
        for each in slow:
            each.start()
        for _ in slow:
            assert told.acquire(timeout=30)
        assert person.get(path).status_code == 503
        answers = at_once([lambda: person.get("/organizations/acme-corp").status_code] * 4)
        assert answers == [200] * 4
        wait_until(lambda: person.get(path).status_code == 200, 300)
        stopped.set()
