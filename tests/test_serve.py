"""``make run``: one supervisor, no process left behind, data there the next time."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from portal.serving import mongod, supervisor
from portal.serving.mongod import NoMongod
from portal.serving.processes import still_runs
from tests.clones import a_clone, environment
from tests.processes import Person, wait_until
from tests.rights import admit
from tests.visitor import PASSWORD

pytestmark = pytest.mark.processes


@pytest.fixture
def clone(tmp_path):
    return a_clone(tmp_path, "build")


def start_make(clone, **changes):
    """``make run``, as its first lines are yet to be read."""
    command = ["make", "--silent", "run", f"PYTHON={sys.executable}"]
    # One worker starts faster than two, and is as good to be killed.
    settings = environment(WEB_CONCURRENCY="1", **changes)
    return subprocess.Popen(command, cwd=clone, env=settings, stderr=subprocess.PIPE, text=True)


class Supervised:
    """A running ``make run``."""

    def __init__(self, clone, **changes):
        self.make = start_make(clone, **changes)
        self.clone = clone
        self.heard = []
        # On a busy machine a line tells before that it isn't ready yet.
        line = self.until("(Ctrl-C stops it)")
        self.url = line.split()[1]

    def until(self, words):
        for line in self.make.stderr:
            self.heard.append(line)
            if words in line:
                return line
        raise AssertionError(f"make run ended without saying {words!r}")

    def processes(self):
        """Pids by what they are: everything that runs from this clone."""
        found = {"mongod": [], "gunicorn": [], "supervisor": []}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_text().split("\0")
                place = (process / "cwd").readlink()
                state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if place != self.clone or state == "Z":
                continue
            for kind, sign in (
                ("mongod", "--dbpath"),
                ("gunicorn", "gunicorn"),
                ("supervisor", "portal.serving.supervisor"),
            ):
                if sign in words:
                    found[kind].append(int(process.name))
        return found

    def none_is_left(self):
        return not any(self.processes().values())

    def gunicorn_master(self):
        return min(self.processes()["gunicorn"])


def port_of(pid):
    """The port that a mongod was started with."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return words[words.index("--port") + 1]


@contextmanager
def make_run(clone, **changes):
    running = Supervised(clone, **changes)
    try:
        yield running
    finally:
        running.make.send_signal(signal.SIGTERM)
        running.make.communicate()
        wait_until(running.none_is_left)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "victims", [["supervisor"], pytest.param(["make", "gunicorn"], marks=pytest.mark.full)]
)
def test_whatever_ends_it_no_process_is_left_and_its_data_is_there_the_next_time(tmp_path, victims):
    """From a fresh clone on. A mongod that is killed is started again; each other process that is
    killed, and Ctrl-C, end all of it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])  # not one that another test's portal takes in between
    clone = a_clone(tmp_path)
    running = Supervised(clone, PORT=port)
    assert running.url == f"http://localhost:{port}"
    person = Person(running.url)
    assert person.sign_up().status_code == 303
    [pid] = running.processes()["mongod"]
    kept = port_of(pid)
    os.kill(pid, signal.SIGKILL)
    running.until("restarting it")
    wait_until(lambda: person.get("/organizations/acme-corp").status_code == 200)
    assert running.processes()["mongod"] != [pid]
    for victim in victims:
        pids = {
            "make": running.make.pid,
            "supervisor": running.processes()["supervisor"][0],
            "gunicorn": running.gunicorn_master(),
        }
        os.kill(pids[victim], signal.SIGKILL)
        running.make.communicate(timeout=30)
        wait_until(running.none_is_left)
        running = Supervised(clone, PORT=port)
        assert person.get("/organizations/acme-corp").status_code == 200
    [pid] = running.processes()["mongod"]
    assert port_of(pid) == kept, "credentials' connection strings name it"
    assert (clone / "instance" / "settings.json").exists()
    [supervisor] = running.processes()["supervisor"]
    os.kill(supervisor, signal.SIGINT)
    running.make.communicate(timeout=30)
    assert running.none_is_left()
    assert not (clone / "instance" / "settings.json").exists()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One that the tests which only look share, beside the address of a proxy that isn't there."""
    nobody = "http://127.0.0.1:1"
    proxy = {"http_proxy": nobody, "HTTP_PROXY": nobody, "no_proxy": ""}
    with make_run(a_clone(tmp_path_factory.mktemp("running"), "build"), **proxy) as running:
        yield running


def test_a_proxy_in_the_environment_is_not_asked_for_the_portal_itself(running):
    assert running.url


def test_its_first_start_leads_whoever_started_it_into_the_console(running):
    words = "Become its operator"
    heard = [line for line in running.heard if words in line]
    [link] = re.findall(r"http\S+", heard[0] if heard else running.until(words))
    with urllib.request.urlopen(link) as page:
        assert "This portal has no operator yet" in page.read().decode()


@pytest.mark.attack("P1")
def test_what_it_keeps_is_its_own_users_alone(running):
    instance = running.clone / "instance"
    assert stat.S_IMODE(instance.stat().st_mode) == 0o700
    for name in ("secrets.json", "mongod.key", "mongod.admin"):
        assert stat.S_IMODE((instance / name).stat().st_mode) == 0o600
    [pid] = running.processes()["mongod"]
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    port = int(words[words.index("--port") + 1])
    assert words[words.index("--bind_ip") + 1] == "127.0.0.1"
    with MongoClient("127.0.0.1", port, directConnection=True) as stranger:
        with pytest.raises(OperationFailure):
            stranger.admin.command("listDatabases")


def test_a_second_one_beside_it_fails_at_once_with_the_reason(running):
    second = subprocess.run(
        [sys.executable, "-m", "portal.serving.supervisor"],
        check=False, cwd=running.clone, env=environment(), capture_output=True, text=True, timeout=10,
    )  # fmt: skip
    assert second.returncode == 1
    assert "already runs from this folder" in second.stderr


def test_commands_reach_the_embedded_database(running):
    Person(running.url).sign_up("Commanded", "commander@acme.example")
    left = running.clone / "instance" / "settings.json"
    assert stat.S_IMODE(left.stat().st_mode) == 0o600
    told = flask(running.clone, "doctor")
    assert (told.returncode, told.stdout) == (0, "All well.\n"), told.stderr
    assert json.loads(left.read_text())["MONGO_URI"] not in told.stdout + told.stderr


def test_an_application_is_added_to_the_embedded_database_without_further_ado(running):
    """The administrator's password is there for it, and nowhere in the portal's settings."""
    told = flask(running.clone, "applications", "add", "shop")
    assert told.returncode == 0, told.stderr
    with MongoClient(told.stdout.strip()) as client:
        client.get_default_database()["directory_organizations"].find_one()  # isn't refused
    instance = running.clone / "instance"
    password = (instance / "mongod.admin").read_text()
    assert password not in (instance / "settings.json").read_text() + told.stdout + told.stderr
    assert flask(running.clone, "applications", "remove", "shop", "--yes").returncode == 0


def flask(clone, *command, **changes):
    return subprocess.run(
        [sys.executable, "-m", "flask", *command],
        check=False, cwd=clone, env=environment(**changes), capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.attack("S3")
@pytest.mark.full
def test_new_secrets_log_nobody_out_until_the_old_ones_end(clone):
    """Sessions and forms live on, and then end."""
    secrets = clone / "instance" / "secrets.json"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with make_run(clone, PORT=port) as running:
        person = Person(running.url)
        assert person.sign_up().status_code == 303
        form = person.token("/organizations/new")
        old = json.loads(secrets.read_text())
        told = flask(clone, "keys", "rotate")
        assert (told.returncode, told.stderr) == (0, "")
        assert "make run" in told.stdout
        new = json.loads(secrets.read_text())
        assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
        assert new["jwt_secret"] != old["jwt_secret"]
        assert not [s for s in (*new.values(), *old.values()) if str(s) in told.stdout]
    with make_run(clone, PORT=port):
        answer = person.send("/organizations/new", form, organization_name="Other")
        assert answer.status_code == 303
        assert person.get("/organizations/acme-corp").status_code == 200
    new = json.loads(secrets.read_text())
    new["former"][0]["ended_at"] = "2020-01-01T00:00:00+00:00"
    secrets.write_text(json.dumps(new))
    with make_run(clone, PORT=port):
        assert person.get("/organizations/acme-corp").status_code == 303


def test_secrets_of_the_environment_are_not_changed_here(running, server):
    before = (running.clone / "instance" / "secrets.json").read_text()
    given = {name.upper(): server.settings[name] for name in ("jwt_secret", "secret_key")}
    told = flask(running.clone, "keys", "rotate", MONGO_URI=server.uri, **given)
    assert told.returncode == 2
    assert "JWT_SECRET_FALLBACKS" in told.stderr
    assert "Traceback" not in told.stderr
    assert (running.clone / "instance" / "secrets.json").read_text() == before


def test_old_secrets_of_the_environment_reach_the_portal_as_they_are(monkeypatch):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    monkeypatch.setenv("SECRET_KEY_FALLBACKS", "one,,other")
    given = supervisor._signing("SECRET_KEY", "own", ["former"])
    assert given == {"SECRET_KEY": "own", "SECRET_KEY_FALLBACKS": "former,one,,other"}


@pytest.mark.full
def test_two_clones_run_beside_each_other(running, clone):
    with make_run(clone) as other:
        assert running.url != other.url
        person = Person(running.url)
        assert person.sign_up("Beside").status_code == 303
        person.url = other.url  # the same browser: cookies don't know ports
        assert person.sign_up("Other").status_code == 303
        person.url = running.url
        assert person.get("/organizations/beside").status_code == 200


def test_a_signal_while_a_child_is_looked_at_keeps_nobody_from_waiting_for_it():
    def stop(signum, frame):
        raise KeyboardInterrupt

    class Interrupted:
        """The child's lock; the signal comes as soon as it is taken."""

        def __init__(self, lock):
            self.lock = lock

        def acquire(self, *how):
            taken = self.lock.acquire(*how)
            os.kill(os.getpid(), signal.SIGTERM)
            return taken

        def release(self):
            self.lock.release()

    child = subprocess.Popen(["sleep", "60"])
    lock, before = child._waitpid_lock, signal.signal(signal.SIGTERM, stop)
    try:
        child._waitpid_lock = Interrupted(lock)
        with suppress(KeyboardInterrupt):
            still_runs(child)
    finally:
        signal.signal(signal.SIGTERM, before)
        child._waitpid_lock = lock
        child.kill()
    assert child.wait(5) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("faulty", "told"),
    [
        pytest.param({"PORT": "http"}, "PORT", marks=pytest.mark.full),
        ({"MONGO_URI": "mongodb://127.0.0.1:1/"}, "JWT_SECRET"),
        pytest.param({"TRASH_DAYS": "-1"}, "TRASH_DAYS", marks=pytest.mark.full),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(clone, faulty, told):
    ended = subprocess.run(
        [sys.executable, "-m", "portal.serving.supervisor"],
        check=False, cwd=clone, env=environment(**faulty), capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert ended.returncode == 1
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_with_mongo_uri_nothing_is_embedded_and_a_port_that_is_held_is_waited_for(clone, server):
    """By whom it is held, is told: a gunicorn that finishes its requests, for instance."""
    secrets = {name.upper(): server.settings[name] for name in ("jwt_secret", "secret_key")}
    databases = {"MASTER_DB": "master_uri", "TENANT_DB": "tenant_uri"}
    admit(server.admin_uri, *databases.values())
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = str(held.getsockname()[1])
        supervisor = start_make(clone, PORT=port, MONGO_URI=server.uri, **secrets, **databases)
        told = supervisor.stderr.readline()
        assert f"Port {port} is still in use by process {os.getpid()} (" in told
        assert "waiting up to 15 s" in told
    try:
        assert any("Portal: " in line for line in supervisor.stderr)
        assert Person(f"http://localhost:{port}").sign_up().status_code == 303
        assert not (clone / "instance" / "data").exists()
    finally:
        supervisor.terminate()
        supervisor.communicate()


@pytest.mark.full
def test_who_was_killed_may_be_started_again_at_once(clone):
    """Before its mongod and gunicorn have stopped."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    running = Supervised(clone, PORT=port)
    os.kill(running.processes()["supervisor"][0], signal.SIGKILL)
    with make_run(clone, PORT=port) as again:
        assert again.url == running.url
    running.make.communicate()


@pytest.mark.full
def test_a_database_without_a_primary_is_one_sentence_and_readiness_is_told_when_it_comes(
    clone, server, tmp_path_factory
):
    """At the start, by the command, and once it is there."""
    secrets = {name.upper(): server.settings[name] for name in ("jwt_secret", "secret_key")}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    uri = f"mongodb://portal:secret@127.0.0.1:{port}/?replicaSet=portal&authSource=admin"
    given = {"MONGO_URI": uri, "MASTER_DB": "master_away", "TENANT_DB": "tenant_away", **secrets}
    supervisor = start_make(clone, **given)
    try:
        told = supervisor.stderr.readline()
        reached = f"MongoDB has no primary that can be reached: 127.0.0.1:{port} can't be reached"
        assert told.startswith(f"{reached} (Connection refused).")
        command = flask(clone, "doctor", **given)
        assert command.returncode == 2
        assert command.stderr.splitlines()[-1].startswith(f"Error: {reached}")
        assert "Topology" not in command.stderr
        databases = given["MASTER_DB"], given["TENANT_DB"]
        folder = tmp_path_factory.mktemp("later")
        database = mongod.start(folder, "secret", databases=databases, port=port)
        try:
            ready = (line for line in supervisor.stderr if line.endswith("(Ctrl-C stops it)\n"))
            assert next(ready).startswith("Portal: http://localhost:")
        finally:
            database.stop()
    finally:
        supervisor.terminate()
        supervisor.communicate()


def test_gunicorn_by_hand_listens_where_the_settings_say(clone, server):
    """From the environment and from .env; ``PORT`` alone opens it to no network."""
    secrets = {name.upper(): server.settings[name] for name in ("jwt_secret", "secret_key")}
    (clone / ".env").write_text("BIND=127.0.0.2\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    gunicorn = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "wsgi:app"],
        cwd=clone, env=environment(MONGO_URI=server.uri, PORT=str(port), WEB_CONCURRENCY="1", **secrets),
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: answers("127.0.0.2", port))
        assert not answers("127.0.0.1", port)
    finally:
        gunicorn.terminate()
        gunicorn.wait()


@pytest.mark.attack("C3")
def test_behind_a_unix_socket_the_client_is_who_the_proxy_says(clone, server):
    """Where the setting names it: nobody else reaches the socket."""
    names = {"master_db": "master_unix", "tenant_db": "tenant_unix"}
    admit(server.admin_uri, *names.values())
    secrets = {name: server.settings[name] for name in ("jwt_secret", "secret_key")}
    given = {"mongo_uri": server.uri, "trusted_proxies": "unix", **names, **secrets}
    gunicorn = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", "unix:portal.sock"],
        cwd=clone, env=environment(WEB_CONCURRENCY="1", **{name.upper(): value for name, value in given.items()}),
    )  # fmt: skip
    body = json.dumps(
        {"organization_name": "Acme", "email": "mara@acme.example", "password": PASSWORD}
    )
    socket_path = clone / "portal.sock"
    headers = {
        "Host": "localhost",
        "Content-Type": "application/json",
        "X-Forwarded-For": "1.1.1.1, 198.51.100.1:51234",
    }
    try:
        wait_until(lambda: by_socket(socket_path, "GET", "/readyz") == 200)
        assert by_socket(socket_path, "POST", "/org/create", body, headers) == 201
    finally:
        gunicorn.terminate()
        gunicorn.wait()
    with MongoClient(server.admin_uri) as client:
        event = client.master_unix.audit_events.find_one({"personal.address": {"$exists": True}})
    assert event["personal"]["address"]["value"] == "198.51.100.1"


def by_socket(path, *request):
    """The status that is answered on a UNIX socket; ``None`` where nobody answers yet."""
    connection = HTTPConnection("localhost", timeout=30)
    with socket.socket(socket.AF_UNIX) as connection.sock:
        try:
            connection.sock.connect(str(path))
            connection.request(*request)
            return connection.getresponse().status
        except OSError:
            return None


def answers(host, port):
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def test_libraries_that_the_packaged_mongod_lacks_are_named_with_their_packages(
    tmp_path, monkeypatch
):
    (tmp_path / "ldd").write_text(
        "#!/bin/sh\nprintf '\\tlibcurl.so.4 => not found\\n\\tlibc.so.6 => /lib/libc.so.6 (0x1)\\n'\n"
    )
    (tmp_path / "ldd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(
        NoMongod, match=r"lacks libcurl.so.4. Install it: apt-get install libcurl4 "
    ):
        mongod.find_mongod()


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("kill -ILL $$", "has no AVX"),
        ("echo 'db version v4.4.29'", r"mongod is MongoDB 4\.4\. Instead, put a mongod 6\.0"),
        ("echo no such symbol >&2; exit 1", "doesn't run here: no such symbol"),
    ],
)
def test_a_mongod_that_is_of_no_use_here_is_named_with_the_reason(
    tmp_path, monkeypatch, does, told
):
    (tmp_path / "mongod").write_text(f"#!/bin/sh\n{does}\n")
    (tmp_path / "mongod").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(NoMongod, match=told):
        mongod.find_mongod()


def test_a_start_that_fails_is_told_with_the_first_error_of_the_server(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "storage.bson").write_text("x")
    with pytest.raises(mongod.MongodFailed, match=r"status 14 \(Unable to read the storage engine"):
        mongod.start(tmp_path, "secret")


def test_where_no_mongod_can_be_had_the_message_says_what_to_set(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(mongod, "_package_folder", lambda: None)
    with pytest.raises(NoMongod, match="MONGO_URI"):
        mongod.find_mongod()
