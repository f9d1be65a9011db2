"""What every test stands on: a real mongod, the portal on it, an empty database."""

import secrets
from dataclasses import dataclass, field

import pytest
from pymongo import MongoClient, monitoring

from portal import create_app, database, mongod
from portal.database import client, tenant_database
from portal.settings import Settings, current
from tests.visitor import Visitor


class CommandCounter(monitoring.CommandListener):
    """The commands that PyMongo sent, but for what it sends by itself."""

    def __init__(self):
        self.names = []

    def started(self, event):
        if event.command_name not in ("hello", "ping", "endSessions", "killCursors"):
            self.names.append(event.command_name)

    def succeeded(self, event):
        pass

    def failed(self, event):
        pass


commands_sent = CommandCounter()
monitoring.register(commands_sent)


@dataclass(frozen=True)
class Server:
    """The mongod of this test run."""

    running: mongod.Mongod
    settings: dict = field(repr=False)

    @property
    def uri(self):
        return self.running.uri


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mongod")
    running = mongod.start(folder, secrets.token_hex(16), "--setParameter", "enableTestCommands=1")
    yield Server(
        running,
        {
            "mongo_uri": running.uri,
            "jwt_secret": secrets.token_hex(32),
            "secret_key": secrets.token_hex(32),
        },
    )
    running.stop()


@pytest.fixture(scope="session")
def settings(server):
    return Settings(
        **server.settings,
        master_db="master_test",
        tenant_db="tenant_test",
        public_url="http://localhost",
        installation_id="test",
        web_concurrency=1,
        rate_limits=False,
    )


@pytest.fixture(scope="session")
def app(settings):
    app = create_app(settings)
    app.testing = False  # errors become pages, as for everybody
    database.prepare()
    return app


@pytest.fixture(autouse=True)
def empty_database(app):
    """Each test begins with nothing; the indexes stay."""
    master = client()[current().master_db]
    for name in master.list_collection_names():
        master[name].delete_many({})
    client().drop_database(current().tenant_db)


@pytest.fixture
def visitor(app):
    return Visitor(app)


@pytest.fixture
def commands():
    """The names of the commands sent to MongoDB since the test began or cleared it."""
    commands_sent.names.clear()
    return commands_sent.names


@pytest.fixture
def tenant_db():
    return tenant_database()


@pytest.fixture
def master_db():
    return client()[current().master_db]


@pytest.fixture
def bare_client(server):
    """A client that isn't the portal's."""
    with MongoClient(server.uri, uuidRepresentation="standard", tz_aware=True) as bare:
        yield bare
