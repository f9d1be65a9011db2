"""Portals in processes of their own, which tests may kill."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from bs4 import BeautifulSoup
from flask import Flask
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from tests.forking import Descriptor, Forked
from tests.rights import admit
from tests.served import serve
from tests.visitor import PASSWORD

# No promise: a machine that others keep busy starts a portal in minutes.
PATIENCE_SECONDS = 240


def wait_until(condition, seconds=PATIENCE_SECONDS):
    """Wait for a condition; its value, or a failure after some seconds. What takes long is asked for
    less and less often: to ask takes time from what is waited for."""
    begun = time.monotonic()
    while not (value := condition()):
        waited = time.monotonic() - begun
        assert waited < seconds, "it did not come to be in time"
        time.sleep(min(max(0.02, waited / 20), 0.5))
    return value


def at_once(actions):
    """Call all of them at the same moment; what each answered."""
    answers, ready = [None] * len(actions), threading.Barrier(len(actions))

    def act(n, action):
        ready.wait(PATIENCE_SECONDS)
        answers[n] = action()

    threads = [threading.Thread(target=act, args=pair) for pair in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@contextmanager
def stopped(*pids):
    """Have processes stop for a while; no thread of theirs runs in the block."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: all(map(is_stopped, pids)))
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def is_stopped(pid):
    """Tell whether a process was stopped, all its threads: for a moment after SIGSTOP some run."""
    try:
        stats = [(task / "stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return False  # a thread ended meanwhile
    return {stat.rpartition(")")[2].split()[0] for stat in stats} == {"T"}


@dataclass
class PortalProcess:
    """gunicorn with its workers, as an operator would run it."""

    process: subprocess.Popen | Forked
    url: str

    def kill(self):
        """SIGKILL to master and workers at once: a power cut."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stopped(self):
        """Have master and workers stop for a while."""
        master = self.process.pid
        workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        return stopped(master, *map(int, workers))

    def is_ready(self):
        try:
            return requests.get(f"{self.url}/readyz", timeout=10).status_code == 200
        except requests.RequestException:
            return False


@contextmanager
def portal(
    server, name, *arguments, workers=2, wait=True, stderr=None, python=None, folder=None, tls=None,
    **settings
):  # fmt: skip
    """A portal on the databases ``master_<name>`` and ``tenant_<name>``, without rate limits but
    for other ``settings``; by HTTPS with ``tls``, the folder of its ``cert.pem`` and ``key.pem``.
    Gunicorn takes the ``arguments``, by which it may serve another application. It is forked with
    all that it imports, but started as by an operator where a ``python`` or a ``folder`` is named.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        url, given = f"http://127.0.0.1:{port}", []
        settings.setdefault("PUBLIC_URL", f"http://localhost:{port}")  # passkeys are made for it
        if tls:
            url = settings["PUBLIC_URL"] = f"https://localhost:{port}"
            given += ["--certfile", f"{tls}/cert.pem", "--keyfile", f"{tls}/key.pem"]
            given += ["--worker-class", "gthread"]  # ours leaves TLS to a proxy
        environment = {
            **os.environ,
            "MONGO_URI": server.uri,
            "MASTER_DB": f"master_{name}",
            "TENANT_DB": f"tenant_{name}",
            "JWT_SECRET": server.settings["jwt_secret"],
            "SECRET_KEY": server.settings["secret_key"],
            "INSTALLATION_ID": "test",
            "WEB_CONCURRENCY": str(workers),
            "RATE_LIMITS": "off",
            **settings,
        }
        if environment["MONGO_URI"] == server.uri:
            admit(server.admin_uri, environment["MASTER_DB"], environment["TENANT_DB"])
        given += arguments or ["wsgi:app"]
        if python or folder:
            process = subprocess.Popen(
                [python or sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", *given],
                env=environment, pass_fds=[listener.fileno()], start_new_session=True, stderr=stderr, cwd=folder,
            )  # fmt: skip
        else:
            descriptors = (
                Descriptor(each.fileno()) if each else None for each in (listener, stderr)
            )
            process = Forked(
                serve, *descriptors, os.getcwd(), environment, given, Flask.jinja_options
            )
        running = PortalProcess(process, url)
        try:
            if wait:
                wait_until(running.is_ready)
            yield running
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(20)


class Person:
    """Somebody with a browser of their own, over HTTP."""

    def __init__(self, url):
        self.url = url
        self.session = requests.Session()
        # As browsers do where a connection that was kept was closed meanwhile.
        self.session.mount("http", HTTPAdapter(max_retries=Retry(2, allowed_methods=["GET"])))

    def get(self, path):
        return self.session.get(self.url + path, timeout=PATIENCE_SECONDS, allow_redirects=False)

    def page(self, path):
        return BeautifulSoup(self.get(path).text, "html.parser")

    def token(self, path):
        return self.page(path).find("input", {"name": "csrf_token"})["value"]

    def send(self, path, token, **fields):
        # Nothing is sent again by itself, so not by a connection that may be closed just then.
        self.session.close()
        return self.session.post(
            self.url + path,
            {"csrf_token": token, **fields},
            timeout=PATIENCE_SECONDS,
            allow_redirects=False,
        )

    def post(self, path, **fields):
        return self.send(path, self.token(path), **fields)

    def sign_up(self, name="Acme Corp", email="mara@acme.example"):
        """The answer; who is told to try again sends the same form again."""
        token, key = self.token("/signup"), secrets.token_urlsafe(16)
        typed = {"organization_name": name, "email": email, "password": PASSWORD}

        def answered():
            answer = self.send("/signup", token, **typed, idempotency_key=key)
            return answer.status_code != 503 and [answer]

        [answer] = wait_until(answered)
        return answer
