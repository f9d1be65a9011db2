"""The portals and servers that the parts measure on."""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

from flask import Flask
from pymongo import MongoClient

from portal.app import create_app
from portal.database import connection
from portal.serving import mongod
from portal.serving.mongod import Mongod
from portal.settings import Settings
from tests import processes
from tests.processes import PortalProcess

_PORTAL = "bench"
TENANT_DB = f"tenant_{_PORTAL}"


@dataclass(frozen=True, slots=True)
class Server:
    """A mongod, and the secrets of the portals on it."""

    running: Mongod
    settings: dict[str, str]

    @property
    def uri(self) -> str:
        return self.running.uri

    @property
    def admin_uri(self) -> str:
        return self.running.admin_uri


@dataclass(frozen=True)
class Environment:
    """A mongod with a client that is not the portal's; the portal is connected in this process,
    where ``app`` answers."""

    server: Server
    client: MongoClient[dict[str, Any]]
    log: TextIO  # what portals in other processes log
    app: Flask
    stack: ExitStack  # ends what was started here

    @cached_property
    def portal(self) -> PortalProcess:
        """A portal of one worker, its tenants in TENANT_DB, that the parts share which need it."""
        mails = self.stack.enter_context(tempfile.TemporaryDirectory())
        options = {"workers": 1, "stderr": self.log, "MAIL_DIRECTORY": mails}
        return self.stack.enter_context(processes.portal(self.server, _PORTAL, **options))


@contextmanager
def start(log: TextIO) -> Iterator[Environment]:
    """An environment of its own, which logs to ``log``."""
    secret = secrets.token_hex(32)
    with tempfile.TemporaryDirectory() as folder:
        databases = {"master_db": "master_bench_here", "tenant_db": "tenant_bench_here"}
        running = mongod.start(Path(folder), secret, databases=tuple(databases.values()))
        server = Server(running, {"jwt_secret": secret, "secret_key": secret})
        try:
            with redirect_stderr(log):
                app = create_app(
                    Settings(
                        mongo_uri=server.uri,
                        **databases,
                        web_concurrency=1,
                        rate_limits=False,
                        jwt_secret=secret,
                        secret_key=secret,
                    )
                )
            connection.prepare()
            client: MongoClient[dict[str, Any]]
            with (
                MongoClient(
                    server.admin_uri, uuidRepresentation="standard", tz_aware=True
                ) as client,
                ExitStack() as stack,
            ):
                yield Environment(server, client, log, app, stack)
        finally:
            running.stop()
