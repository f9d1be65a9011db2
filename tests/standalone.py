"""A portal with a mongod of its own, for the programs here that are no tests."""

import secrets
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from portal.app import create_app
from portal.database import connection
from portal.serving import mongod
from portal.settings import Settings
from tests.processes import portal

SECRET = secrets.token_hex(32)


@contextmanager
def standalone_portal(**options):
    """A portal without rate limits, as ``portal`` starts it with ``options``, on an empty database
    where the factories of this process may put things."""
    with tempfile.TemporaryDirectory() as folder:
        databases = {"master_db": "master_alone", "tenant_db": "tenant_alone"}
        running = mongod.start(Path(folder), SECRET, databases=tuple(databases.values()))
        secret = {"jwt_secret": SECRET, "secret_key": SECRET}
        server = SimpleNamespace(uri=running.uri, admin_uri=running.admin_uri, settings=secret)
        try:
            create_app(Settings(mongo_uri=running.uri, **databases, **secret))
            connection.prepare()
            with portal(server, "alone", python=sys.executable, **options) as started:
                started.admin_uri = running.admin_uri
                yield started
        finally:
            running.stop()
