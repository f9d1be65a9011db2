"""The small application of the docs, in a process and an environment of its own, and its customers."""

import os
import socket
import subprocess
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests

from portal.web.static_files import TOP
from tests.processes import wait_until

WRITERS = 8
MADE, PLACED_BEFORE = 201, "placed before"


@contextmanager
def shop(python, uri, log):
    """The shop, served by uvicorn of this ``python``; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = subprocess.Popen(
            [python, "-m", "uvicorn", "shop:app", "--fd", str(listener.fileno())],
            cwd=TOP / "docs",
            env={**os.environ, "TENANTS_URI": uri, "PYTHONPATH": ""},
            pass_fds=[listener.fileno()],
            stderr=log,
            stdout=log,
        )
        try:
            wait_until(lambda: _answers(url))
            yield url
        finally:
            process.terminate()
            process.wait(30)


def _answers(url):
    try:
        return requests.get(f"{url}/openapi.json", timeout=5).ok
    except requests.RequestException:
        return False


@dataclass
class Customers:
    """They place orders until stopped, each again until it was answered."""

    url: str
    slug: str
    placed: list = field(default_factory=list)  # (monotonic seconds, number) of each answer
    refused: Counter = field(default_factory=Counter)
    longest_gap: float = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def __enter__(self):
        self._threads = [threading.Thread(target=self._order, args=[n]) for n in range(WRITERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self._threads:
            thread.join(60)

    def more(self, orders):
        """Wait until so many more were placed."""
        enough = len(self.placed) + orders
        wait_until(lambda: len(self.placed) >= enough)

    def _order(self, writer):
        session, n, last = requests.Session(), 0, time.monotonic()
        while not self.stopped.is_set():
            number = f"{writer}-{n}"
            answer = self._send(session, number)
            now = time.monotonic()
            if answer != MADE:
                self.refused[answer] += 1
                continue
            self.placed.append((now, number))
            self.longest_gap, last, n = max(self.longest_gap, now - last), now, n + 1

    def _send(self, session, number):
        order = {"number": number, "title": "A thing"}
        try:
            return session.post(
                f"{self.url}/{self.slug}/orders", json=order, timeout=60
            ).status_code
        except requests.RequestException as error:
            return type(error).__name__
