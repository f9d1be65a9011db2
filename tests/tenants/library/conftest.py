"""What the library's tests stand on. Of the portal they know the rights alone that it gives to
applications, with which the library connects; with TENANTS_LIBRARY and TENANTS_SERVER they run over
an installed wheel. Each runs over one of its forms, of which one is made of the other; ``make
faults`` runs it over the other one too."""

import asyncio
import contextvars
import importlib
import inspect
import os
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import pymongo
import pytest
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from pymongo import monitoring

from portal.applications import rights
from portal.database import users
from portal.database.users import ConnectionString
from tests.daily import FORMS, STRATEGIES
from tests.tenants.breaking_line import BreakingLine

LIBRARY = os.environ.get("TENANTS_LIBRARY", "portal.tenants")
AWARE = CodecOptions(tz_aware=True, uuid_representation=UuidRepresentation.STANDARD)
APPLICATION = "shop"  # the appname by which the server fails its commands and no others


@pytest.fixture(autouse=True)
def empty_database():
    """The portal's databases aren't used here."""


@pytest.fixture(autouse=True)
def undocumented():
    """Nor is its API."""


def library(module=""):
    """The library, or a module of it."""
    return importlib.import_module(f"{LIBRARY}.{module}" if module else LIBRARY)


@pytest.fixture(scope="session")
def server_uri(request):
    given = os.environ.get("TENANTS_SERVER")
    uri = given or request.getfixturevalue("server").admin_uri
    # A fail point can say "not primary", but nothing then changes that would make a monitor look
    # again that waits for the server to tell.
    return f"{uri}&serverMonitoringMode=poll"


@pytest.fixture(scope="session")
def bare(server_uri):
    """A client that isn't the library's."""
    with pymongo.MongoClient(server_uri, uuidRepresentation="standard", tz_aware=True) as client:
        yield client


@pytest.fixture
def fake(shared_fake):
    """What the portal would do."""
    shared_fake.clear()
    return shared_fake


@pytest.fixture
def raw(fake, bare):
    """The tenant database, without the library."""
    return bare[fake.data.name]


@pytest.fixture
def failing(bare):
    """Has the server fail the library's next commands of a kind in a way."""

    def fail(command, mode, **data):
        data = {"failCommands": [command], "appName": APPLICATION, **data}
        bare.admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})

    yield fail
    bare.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


class Loop:
    """An event loop in a thread, in which calls from other threads run."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, coroutine):
        """What it returns or raises, with the caller's context: its ``pymongo.timeout``."""
        done = threading.Event()
        outcome = []

        def begin():
            task = self.loop.create_task(coroutine, context=context)
            task.add_done_callback(lambda task: (outcome.append(task), done.set()))

        context = contextvars.copy_context()
        self.loop.call_soon_threadsafe(begin, context=context)
        done.wait()
        return outcome[0].result()

    def close(self):
        self.run(_end_others())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


async def _end_others():
    """End what runs, as ``asyncio.run`` does."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for each in others:
        each.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@dataclass
class Blocking:
    """An object of the asynchronous form, used as its synchronous twin is."""

    wrapped: Any
    loop: Loop

    def __getattr__(self, name):
        found = getattr(self.wrapped, name)
        return self._call(found) if callable(found) else self._wrap(found)

    def _call(self, function):
        @wraps(function)
        def call(*arguments, **options):
            given = [self._unwrap(argument) for argument in arguments]
            return self._wrap(function(*given, **options))

        return call

    def _unwrap(self, value):
        if isinstance(value, list):
            return [self._unwrap(each) for each in value]
        if isinstance(value, Blocking):
            return value.wrapped
        if not inspect.isfunction(value):
            return value

        async def body(argument):
            return await asyncio.to_thread(value, self._wrap(argument))

        return body

    def _wrap(self, value):
        if inspect.isawaitable(value):
            value = self.loop.run(_awaited(value))
        module = type(value).__module__
        return Blocking(value, self.loop) if "_async" in module or _manages(value) else value

    def __getitem__(self, key):
        return self._wrap(self.wrapped[key])

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self._wrap(self.wrapped.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self):
        return self._wrap(self.wrapped.__aenter__())

    def __exit__(self, *error):
        return self._wrap(self.wrapped.__aexit__(*error))

    def __reduce__(self):
        return self.wrapped.__reduce__()


def _manages(value):
    return hasattr(value, "__aenter__")


async def _awaited(value):
    return await value


@pytest.fixture(scope="session")
def loop():
    loop = Loop()
    yield loop
    loop.close()


@contextmanager
def connecting(request):
    """Makes ``Tenants``, or ``AsyncTenants`` that blocks."""
    with ExitStack() as stack:

        def make(uri, **options):
            options = {"tz_aware": True, "appname": APPLICATION, **options}
            if request.param == "sync":
                return stack.enter_context(library().Tenants(uri, **options))
            tenants = Blocking(
                library().AsyncTenants(uri, **options), request.getfixturevalue("loop")
            )
            stack.callback(tenants.close)
            return tenants

        yield make


@pytest.fixture(params=FORMS)
def connect(request):
    with connecting(request) as make:
        yield make


@contextmanager
def fake_portal(server_uri, bare, *clusters):
    """A fake portal, an administrator; its URIs are of users as applications have them."""
    with library("testing").FakePortal(server_uri, dict.fromkeys(clusters, server_uri)) as portal:
        data, home = portal.data.name, bare.admin
        granted = {"main": rights.privileges(portal.master.name, data)} | {
            cluster: rights.privileges_on_documents(f"{data}_{cluster}") for cluster in clusters
        }
        names = {cluster: users.random_name("app") for cluster in granted}
        for cluster, name in names.items():
            users.create_user(home, name, name, granted[cluster])
            portal.uris[cluster] = ConnectionString.of(server_uri).for_user(
                name, name, database=portal.master.name, auth_source="admin", replica_set=None
            )
        portal.uri = portal.uris["main"]
        yield portal
        for name in names.values():
            users.drop_user(home, name)


# These are made once, since clients cost more than most tests do.


@pytest.fixture(scope="session")
def shared_fake(server_uri, bare):
    # Another cluster is another session, whatever the server.
    with fake_portal(server_uri, bare, "berlin") as portal:
        yield portal


@pytest.fixture(scope="session")
def shared_listener():
    return Sent()


@pytest.fixture(scope="session", params=FORMS)
def shared_tenants(request, shared_fake, shared_listener):
    with connecting(request) as make:
        yield make(shared_fake.uris, event_listeners=[shared_listener])


@pytest.fixture
def tenants(shared_tenants):
    return shared_tenants


@pytest.fixture(params=STRATEGIES)
def strategy(request):
    """The way in which the organization's documents are kept."""
    return request.param


@pytest.fixture
def acme(fake, strategy):
    """The id of an organization."""
    return fake.create("acme", strategy)


@pytest.fixture
def stored(fake, acme):
    """That organization's documents, past the library."""
    return Stored(fake, acme)


@pytest.fixture
def store(tenants, acme):
    """That organization's documents."""
    return tenants.by_id(acme)


class Stored:
    """The documents of an organization as they are stored, told as they were given."""

    def __init__(self, fake, organization):
        self._fake, self._id = fake, organization
        self.shared = fake.entry(organization)["placement"]["strategy"] == "shared"

    @property
    def collection(self):
        """The collection, whatever its name."""
        return self._fake._found(self._id).with_options(AWARE)

    def insert_many(self, documents):
        wrapped = [{**each, "_id": self._wrap(each["_id"])} for each in documents]
        self.collection.insert_many(wrapped)

    def find(self):
        """All of them, by ``_id``."""
        own = {"_id.o": self._id} if self.shared else {}
        found = self.collection.find(own, sort={"_id": 1})
        return [{**each, "_id": each["_id"]["i"]} for each in found] if self.shared else list(found)

    def _wrap(self, document_id):
        return {"o": self._id, "i": document_id} if self.shared else document_id


class Sent(monitoring.CommandListener):
    """The names of commands that clients of the library send, and the views that they read."""

    def __init__(self):
        self.names, self.views = [], []

    def started(self, event):
        if event.command_name not in ("hello", "ping", "endSessions", "killCursors"):
            self.names.append(event.command_name)
        read = event.command.get(event.command_name)
        if str(read).startswith("directory_"):
            self.views.append(read)

    def succeeded(self, event):
        pass

    def failed(self, event):
        pass


@pytest.fixture
def sent(listener):
    """The names of the commands that ``tenants`` sent."""
    return listener.names


@pytest.fixture
def listener(shared_listener):
    shared_listener.names.clear()
    return shared_listener


@pytest.fixture
def quick():
    """Options of streams that are asked often."""
    return {"max_await_time_ms": 20}


@pytest.fixture
def line(server_uri):
    """A line to the server that breaks when asked to."""
    port = pymongo.uri_parser.parse_uri(server_uri)["nodelist"][0][1]
    line = BreakingLine(port)
    yield line
    line.listener.close()


@pytest.fixture
def over_the_line(line, fake, connect):
    """``Tenants`` that reach the server by that line."""
    port = f":{line.port}/"
    uri = fake.uri.replace(port, f":{line.listener.getsockname()[1]}/")
    return connect({**fake.uris, "main": uri.replace("replicaSet=portal", "directConnection=true")})
