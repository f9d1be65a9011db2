"""What every test stands on: a real mongod, the portal on it, an empty database."""

import gc

gc.disable()  # until all is imported and collected: nothing is garbage yet

import io
import json
import logging
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial, wraps
from itertools import cycle, groupby
from pathlib import Path

import pymongo
import pytest
import segno
from argon2 import PasswordHasher
from flask import Flask, request, request_finished
from jinja2 import FileSystemBytecodeCache
from pymongo import MongoClient, WriteConcern

from portal.app import create_app
from portal.applications import following
from portal.database import clusters, connection
from portal.database.portal_role import ROLE
from portal.identity.authentication import passwords
from portal.mail import transport
from portal.serving import build, mongod
from portal.settings import Settings, activate, current
from tests import factories, pages
from tests.faults.servers import OneMember
from tests.forking import Descriptor, Forked, processes
from tests.mail.post_office import open_office
from tests.rights import admit
from tests.served import run_flask
from tests.traces import Traces, tell_commands
from tests.visitor import Visitor

pytest_plugins = ["tests.daily"]
TOP = Path(__file__).parent.parent
MEMORY = Path("/dev/shm")
TENANT_DATABASES = "^(tenant_test(_internal|_reports)?|t_[0-9a-f]{24})$"
BROWSER = {"page", "new_context", "browser"}
PROCESSES = {"flask", "running", "second_cluster"}
SLOW = TOP / "tests" / "slow.txt"
SLOW_SECONDS = 0.2
# argon2id as well, and three hundred times as fast.
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PORTALS_OWN = passwords._hasher
ESTIMATE = passwords.zxcvbn
# How long the portal waits for MongoDB, or for its turn, before it tells whoever asked to try again;
# modules import some of them from others.
SHORT_LIMITS = {
    "_ASK_SECONDS", "BATCH_SECONDS", "CHECKING_SECONDS", "CREATION_SECONDS", "ELSEWHERE_SECONDS",
    "MOVING_SECONDS", "PREPARING_SECONDS", "PROBE_SECONDS", "_PROOF_SECONDS", "READ_SECONDS",
    "READING_SECONDS", "REQUEST_SECONDS", "_SECONDS", "_SHOWN_MOVING_SECONDS", "_SILENT_SECONDS",
    "TRANSACTION_SECONDS", "TRYING_SECONDS", "_WAIT_SECONDS", "WAIT_SECONDS",
}  # fmt: skip
PATIENCE_SECONDS = 30
# How long the driver looks away after a server that failed, and waits for one at a time; half a
# second is kind to a cluster, and nobody's here.
pymongo.common.MIN_HEARTBEAT_INTERVAL = 0.05


# Else each run, portal, command and worker that is started compiles all of it again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_addoption(parser):
    parser.addoption(
        "--save-pages", metavar="FOLDER", type=Path, help="keep every page there (make html)"
    )
    parser.addoption(
        "--note-slow", action="store_true", help="write down in tests/slow.txt which take long"
    )


def pytest_configure(config):
    if folder := config.getoption("save_pages"):
        pages.keep_in(folder)


_slow, _took = set(SLOW.read_text().split()), {}


def pytest_itemcollected(item):
    """Mark a test by what it is given; what it starts by itself it says by a mark."""
    given, test = set(item.fixturenames), item.nodeid.partition("[")[0]
    if given & BROWSER:
        item.add_marker("browser")
    elif given & PROCESSES:
        item.add_marker("processes")
    if test in _slow:
        item.add_marker("slow")


def pytest_terminal_summary(terminalreporter):
    told = [
        (report.nodeid, words)
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        for name, words in getattr(report, "user_properties", ())
        if name == "figure" and report.when == "call"
    ]
    if told:
        terminalreporter.section("figures")
    for nodeid, words in sorted(told):
        terminalreporter.line(f"{nodeid.partition('::')[2]}: {words}")


def pytest_runtest_logreport(report):
    _took[report.nodeid] = _took.get(report.nodeid, 0) + report.duration


def pytest_sessionfinish(session):
    if session.config.getoption("note_slow") and not hasattr(session.config, "workerinput"):
        slow = {each.partition("[")[0] for each, took in _took.items() if took >= SLOW_SECONDS}
        SLOW.write_text("".join(f"{test}\n" for test in sorted(slow)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """A test that says nothing starts no process, so that ``make test-fast`` is what it says."""
    told = any(item.get_closest_marker(name) for name in ("browser", "processes"))
    with processes_allowed(told):
        return (yield)


_allowed = [True]


@contextmanager
def processes_allowed(allowed):
    _allowed.append(allowed)
    try:
        yield
    finally:
        traces.unknown |= _allowed.pop()


def _refuse_processes(start):
    @wraps(start)
    def start_if_allowed(process, *how):
        if not _allowed[-1]:
            raise AssertionError(f"@pytest.mark.processes is missing here: {process} {how[:1]}")
        return start(process, *how)

    return start_if_allowed


# No audit hook: that is called for each id() too, ten thousand times in a test.
subprocess.Popen._execute_child = _refuse_processes(subprocess.Popen._execute_child)
processes.Process.start = _refuse_processes(processes.Process.start)


def pytest_xdist_auto_num_workers(config):
    """With ``-n auto`` half as many again as there are cores: many tests wait for processes that
    start or die. With ``-n logical`` no more: those of ``make test-fast`` don't."""
    cores = len(os.sched_getaffinity(0))
    return cores if config.option.numprocesses == "logical" else -(-3 * cores // 2)


@pytest.hookimpl(trylast=True)  # once they are shuffled
def pytest_collection_modifyitems(items):
    """Put those that take long at the beginning, so that none is waited for at the end, with those
    of a browser by one worker, so that there is one browser. Each worker takes as many tests as
    another, from the list's beginning on, and then from the others' ends."""
    begins = [[] for _ in range(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))]
    turns, rest = cycle(begins[1:] or begins), []
    for _, module in groupby(items, lambda item: item.path):
        turn = None
        for item in module:
            if item.get_closest_marker("browser"):
                begins[0].append(item)
            elif item.get_closest_marker("processes"):
                turn = next(turns) if turn is None else turn
                turn.append(item)
            else:
                rest.append(item)
    each = -(-len(items) // len(begins))
    items.clear()
    for begin in begins:
        items += [*begin, *rest[: max(each - len(begin), 0)]]
        del rest[: max(each - len(begin), 0)]


def pytest_sessionstart(session):
    """What pages load is what stands in the folders now, also where make wasn't asked."""
    if not hasattr(session.config, "workerinput"):
        build.build()


def pytest_collection_finish():
    """What was imported and collected stays: the garbage collector needn't look through it again
    and again, nor through the rest at every few hundred objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


class CommandCounter:
    """The commands that the tests' own thread sent, but for what PyMongo sends by itself: an earlier
    test's portal may still report what it counted."""

    def __init__(self):
        self.names = []

    def sent(self, command, database):
        name = next(iter(command))
        if name in ("hello", "ismaster", "ping", "endSessions", "killCursors"):
            return
        if threading.current_thread() is threading.main_thread():
            self.names.append(name)


commands_sent, traces = CommandCounter(), Traces()
tell_commands(commands_sent.sent, traces.sent)


@dataclass(frozen=True)
class Server:
    """The mongod of this test run."""

    running: mongod.Mongod
    settings: dict = field(repr=False)

    @property
    def uri(self):
        return self.running.uri

    @property
    def admin_uri(self):
        return self.running.admin_uri


@pytest.fixture(scope="session")
def memory():
    """A folder in memory, where there is enough of it: what is there is lost with the machine."""
    enough = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * 2**30
    with tempfile.TemporaryDirectory(dir=MEMORY if enough else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def server(memory):
    folder = memory / "mongod"
    with processes_allowed(True):
        running = mongod.start(
            folder,
            secrets.token_hex(16),
            *("--setParameter", "enableTestCommands=1"),
            # The least: making a user and signing in take a third of the time.
            *("--setParameter", "scramSHA256IterationCount=5000"),
            # Else it keeps what was deleted, and the files of what was dropped, for 300 s.
            *("--setParameter", "minSnapshotHistoryWindowInSeconds=30"),
            databases=("master_test", "tenant_test"),
        )
    forgo_the_disk(running.admin_uri)
    yield Server(
        running,
        {
            "mongo_uri": running.uri,
            "jwt_secret": secrets.token_hex(32),
            "secret_key": secrets.token_hex(32),
        },
    )
    running.stop()


def forgo_the_disk(uri):
    """Have a majority acknowledge before its journal is on the disk. Nobody kills this server, and
    a write takes a quarter of the time; servers that are killed are others, left as they are."""
    with MongoClient(uri) as bare:
        config = bare.admin.command("replSetGetConfig")["config"]
        config["writeConcernMajorityJournalDefault"] = False
        config["version"] += 1
        bare.admin.command("replSetReconfig", config)


@pytest.fixture(scope="session")
def second_server(memory):
    """The mongod of a second cluster, started for the first test that wants it."""
    folder = memory / "second"
    folder.mkdir()
    with processes_allowed(True):
        second = OneMember(
            folder,
            *("--setParameter", "enableTestCommands=1"),
            *("--setParameter", "scramSHA256IterationCount=5000"),
        )
    # It is noticed sooner whether it is there.
    second.uri += "&heartbeatFrequencyMS=500&connectTimeoutMS=1000"
    yield second
    second.end()


@pytest.fixture
def second_cluster(second_server, app):
    """A second replica set of one member, empty, that the portal's user may use as the first one. A
    test may ``kill`` it, have it ``stopped`` for a while, and ``start_again``; it has a ``uri``
    and an ``admin_uri`` on which neither of these has an effect."""
    if second_server.running.process.poll() is not None:
        second_server.start_again()
    admit(second_server.admin_uri, current().master_db, current().tenant_db)
    with MongoClient(second_server.admin_uri) as admin:
        drop_tenant_databases(admin)
    return second_server


@pytest.fixture(scope="session")
def settings(server, tmp_path_factory):
    # A fail point can say "not primary", but nothing then changes that would make a monitor
    # look again that waits for the server to tell.
    polling = f"{server.uri}&serverMonitoringMode=poll"
    return Settings(
        **{**server.settings, "mongo_uri": polling},
        master_db="master_test",
        tenant_db="tenant_test",
        public_url="http://localhost",
        installation_id="test",
        web_concurrency=1,
        rate_limits=False,
        mail_directory=str(tmp_path_factory.mktemp("instance") / "mail"),
    )


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
    """Templates are compiled once in a run, not by each worker, and each app that a test makes."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    (folder / "templates").mkdir(exist_ok=True)
    before, kept = Flask.jinja_options, FileSystemBytecodeCache(str(folder / "templates"))
    Flask.jinja_options = {**before, "bytecode_cache": kept}
    yield
    Flask.jinja_options = before


@pytest.fixture(scope="session")
def app(settings):
    app = create_app(settings)
    app.testing = False  # errors become pages, as for everybody
    connection.prepare()
    return app


@pytest.fixture
def settings_with(app):
    """Has the portal run with other settings for a while."""

    @contextmanager
    def changed(**others):
        before = current()
        activate(replace(before, **others))
        try:
            yield
        finally:
            activate(before)

    return changed


@pytest.fixture(scope="session")
def empty(app, server):
    """Empties the databases; the indexes stay. Looks everywhere only where it has to."""

    def empty():
        master = admin[current().master_db]
        unanswered = master.with_options(write_concern=WriteConcern(w=0))
        if traces.unknown or _allowed[-1] or master.name in traces.databases:
            names, tenants = filled(master), set()
            drop_tenant_databases(admin)
        else:
            names = [name for database, name in traces.collections if database == master.name]
            tenants = traces.touched(TENANT_DATABASES)
        # The last deletion waits for a majority, and so for those before it.
        *others, last = names or [None]
        for name in others:
            unanswered[name].delete_many({})
        if last:
            master[last].delete_many({})
        for name in traces.users & tenants:
            drop_users(admin[name])
        for name in tenants:
            admin.drop_database(name)
        traces.forget()
        clusters.forget_registry()
        following.forget_followers()

    # By one connection, on which nothing overtakes what is sent without waiting for an answer.
    with MongoClient(server.admin_uri, maxPoolSize=1) as admin:
        yield empty


def drop_tenant_databases(admin):
    """Drop what organizations have on a server, their users too."""
    drop_users(admin[current().tenant_db])
    wanted = {"name": {"$regex": TENANT_DATABASES}}
    for found in admin.list_databases(filter=wanted, nameOnly=True):
        drop_users(admin[found["name"]])
        admin.drop_database(found["name"])


@pytest.fixture(autouse=True)
def empty_database(empty):
    """Each test begins with nothing. May be called to begin again."""
    empty()
    return empty


def drop_users(database):
    """Drop all users of the database and their roles, which outlive it."""
    if database.command("rolesInfo", 1)["roles"]:
        database.command("dropAllUsersFromDatabase")
        database.command("dropAllRolesFromDatabase")


def filled(database):
    """The names of the collections with anything in them, by one command."""
    unions = [
        {"$unionWith": {"coll": name, "pipeline": [{"$limit": 1}, {"$project": {"_id": {"$literal": name}}}]}}
        for name in factories.collections_in(database)
    ]  # fmt: skip
    return [found["_id"] for found in database.nothing.aggregate(unions)]


def set_limits(limits):
    for (module, name), seconds in limits.items():
        setattr(module, name, seconds)


@pytest.fixture(scope="session", autouse=True)
def patience():
    """A machine that stands still for some seconds fails no test: where the portal waits for a
    moment it waits for long, but in a test that has ``real_limits``. Tells both."""
    portal = [module for name, module in sys.modules.items() if name.startswith("portal.")]
    real = {
        (module, name): getattr(module, name)
        for module in portal
        for name in SHORT_LIMITS & vars(module).keys()
    }
    assert {name for _, name in real} == SHORT_LIMITS, "a limit has another name"
    long = dict.fromkeys(real, PATIENCE_SECONDS)
    set_limits(long)
    yield real, long
    set_limits(real)


@pytest.fixture
def real_limits(patience):
    """The portal waits no longer than it promises, as a test needs where nobody answers."""
    real, long = patience
    set_limits(real)
    yield
    set_limits(long)


@pytest.fixture(scope="session", autouse=True)
def quick_hashes():
    """Passwords are hashed in no time, but where a test wants ``real_hashes``."""
    passwords._hasher = QUICK
    yield
    passwords._hasher = PORTALS_OWN


@pytest.fixture
def real_hashes(monkeypatch):
    """Passwords are hashed as the portal does, at its cost."""
    monkeypatch.setattr(passwords, "_hasher", PORTALS_OWN)
    made = (passwords._dummy_hash, factories._hash)
    for each in made:
        each.cache_clear()
    yield
    for each in made:
        each.cache_clear()


@pytest.fixture(scope="session", autouse=True)
def quick_estimates():
    """How hard a password is to guess is estimated once for each, but where a test wants
    ``real_estimates``."""

    @cache
    def estimate(password, known):
        return ESTIMATE(password, user_inputs=list(known))

    passwords.zxcvbn = lambda password, user_inputs: estimate(password, tuple(user_inputs))
    yield
    passwords.zxcvbn = ESTIMATE


@pytest.fixture(scope="session", autouse=True)
def quick_qr_codes():
    """QR codes have the first of eight masks: to find the fairest is most of the work on a page."""
    make, segno.make = segno.make, partial(segno.make, mask=0)
    yield
    segno.make = make


@pytest.fixture
def real_estimates(monkeypatch):
    """How hard a password is to guess is estimated each time, as the portal does."""
    monkeypatch.setattr(passwords, "zxcvbn", ESTIMATE)


@pytest.fixture(scope="session")
def documented(app):
    """By path and method, the statuses in the OpenAPI document with their codes."""
    paths = json.loads(app.extensions["openapi"].text)["paths"]
    return {
        (re.sub(r"{(\w+)}", r"<\1>", path), method.upper()): {
            status: set(response.get("content", {}).get("application/json", {}).get("examples", ()))
            for status, response in operation["responses"].items()
        }
        for path, item in paths.items()
        for method, operation in item.items()
        if method != "parameters"
    }


@pytest.fixture(autouse=True)
def undocumented(documented):
    """The answers of the API during the test that its document doesn't have; at its end there are
    none, so that the refusals that views declare are all that there are."""
    found = []

    def look(app, response, **_):
        rule = request.url_rule and re.sub(r"<\w+:", "<", request.url_rule.rule)
        responses = documented.get((rule, request.method))
        status = response.status_code
        if responses is None or status == 500:  # as every operation's default says
            return
        codes = {response.json["error"]["code"]} if status >= 400 else set()
        if str(status) not in responses or not codes <= responses[str(status)]:
            found.append((request.method, rule, status, *codes))

    with request_finished.connected_to(look):
        yield found
    assert not found, "the document lacks these answers"


@pytest.fixture
def visitor(app):
    return Visitor(app)


@pytest.fixture
def office(app, settings):
    """A mail server, and the portal sends its mails there."""
    with open_office() as (office, port):
        there = {"mail_server": "127.0.0.1", "mail_port": port, "mail_security": "none"}
        transport.init_app(app, replace(settings, **there))
        yield office
    transport.init_app(app, settings)


@pytest.fixture
def commands():
    """The names of the commands sent to MongoDB since the test began or cleared it."""
    commands_sent.names.clear()
    return commands_sent.names


class Log:
    """The lines that the portal logs, and the events in them."""

    def __init__(self, stream):
        self.stream = stream

    @property
    def text(self):
        return self.stream.getvalue()

    @property
    def events(self):
        return [json.loads(line) for line in self.text.splitlines()]

    def named(self, name):
        return [event for event in self.events if event["event"] == name]


@pytest.fixture
def log(app):
    """What is logged during the test, as it is where nobody watches: JSON."""
    root, stream = logging.getLogger(), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(next(h.formatter for h in root.handlers if type(h) is type(handler)))
    root.addHandler(handler)
    yield Log(stream)
    root.removeHandler(handler)


@pytest.fixture
def tenant_db(admin):
    return admin[current().tenant_db]


@pytest.fixture
def master_db(admin):
    return admin[current().master_db]


@pytest.fixture(scope="session")
def admin(server):
    """A client that may do everything, as no portal may."""
    with MongoClient(server.admin_uri, uuidRepresentation="standard", tz_aware=True) as client:
        yield client


@pytest.fixture
def bare_client(server):
    """A client that isn't the portal's, and may do everything."""
    with MongoClient(server.admin_uri, uuidRepresentation="standard", tz_aware=True) as bare:
        yield bare


@pytest.fixture
def portal_lacking(app, admin):
    """Takes rights from the portal's user within a block."""
    home = admin["admin"]
    # Its own, and those by which it works on databases of other tests.
    roles = home.command("usersInfo", ROLE)["users"][0]["roles"]
    names = [role["role"] for role in roles]
    before = home.command("rolesInfo", names, showPrivileges=True)["roles"]

    @contextmanager
    def lacking(missing):
        for name in names:
            home.command("revokePrivilegesFromRole", name, privileges=[missing.privilege])
        try:
            yield
        finally:
            for role in before:
                home.command("updateRole", role["role"], privileges=role["privileges"])

    return lacking


@pytest.fixture
def portal_without(portal_lacking):
    """Take rights from the portal's user for a while."""
    with ExitStack() as taken:
        yield lambda missing: taken.enter_context(portal_lacking(missing))


@pytest.fixture
def flask(server):
    """Run ``flask`` on the databases of the tests, forked; what it said, and its exit status. An
    ``impatient`` one waits for a server that isn't there no longer than a second."""

    def run(*arguments, folder=TOP, impatient=False, **changes):
        environment = {
            **os.environ,
            "MONGO_URI": server.uri,
            "MASTER_DB": current().master_db,
            "TENANT_DB": current().tenant_db,
            "JWT_SECRET": server.settings["jwt_secret"],
            "SECRET_KEY": server.settings["secret_key"],
            **changes,
        }
        if environment["MONGO_URI"] == server.uri:
            admit(server.admin_uri, environment["MASTER_DB"], environment["TENANT_DB"])
        with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
            streams = [Descriptor(file.fileno()) for file in (stdout, stderr)]
            timeout = 1 if impatient else None
            process = Forked(run_flask, *streams, folder, environment, arguments, timeout)
            status = process.wait(60)
            told = [file.seek(0) or file.read() for file in (stdout, stderr)]
        return subprocess.CompletedProcess(arguments, status, *told)

    return run


@pytest.fixture
def command(app):
    """Run a command of ``flask`` in this process; told as ``flask`` tells it."""

    def run(*arguments):
        ended = app.test_cli_runner().invoke(args=arguments)
        return subprocess.CompletedProcess(arguments, ended.exit_code, ended.stdout, ended.stderr)

    return run


@pytest.fixture
def figure(record_property):
    """Has a figure told at the end of the run."""
    return lambda words: record_property("figure", words)
