"""MongoDB servers of a test's own, which it may kill, stop and start again."""

import os
import secrets
import socket
import subprocess
from functools import partial

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from portal.database.portal_role import ROLE
from portal.serving import mongod
from portal.serving.processes import die_with_parent
from portal.settings import Settings
from tests.processes import stopped, wait_until
from tests.rights import admit


class _Own:
    """What a portal must know of a server, as of ``tests.conftest.Server``."""

    def __init__(self, uri, admin_uri):
        self.uri, self.admin_uri = uri, admin_uri
        secret = secrets.token_hex(32)
        self.settings = {"mongo_uri": uri, "jwt_secret": secret, "secret_key": secret}

    def settings_of(self, name):
        """Those of a process that does without HTTP."""
        databases = {"master_db": f"master_{name}", "tenant_db": f"tenant_{name}"}
        admit(self.admin_uri, **databases)
        return Settings(
            **self.settings,
            **databases,
            installation_id="test",
            web_concurrency=1,
            rate_limits=False,
        )


class OneMember(_Own):
    """The embedded server."""

    def __init__(self, folder, *arguments):
        self._start = partial(mongod.start, folder, secrets.token_hex(16), *arguments)
        self.running = self._start()
        super().__init__(self.running.uri, self.running.admin_uri)

    def kill(self):
        self.running.process.kill()
        self.running.process.wait()

    def start_again(self):
        """On the same data and port; returns when it takes writes, and has the keys to sign its
        time, without which it tells the portal none."""
        self.running = self._start(port=self.running.port)
        with MongoClient(self.running.uri) as portals:
            wait_until(lambda: "operationTime" in portals.admin.command("ping"))

    def stopped(self):
        return stopped(self.running.process.pid)

    def end(self):
        self.kill()


class ThreeMembers(_Own):
    """A replica set in which one may die."""

    def __init__(self, folder, *arguments):
        self._arguments = arguments
        key = folder / "key"
        key.touch(mode=0o600)
        key.write_text(secrets.token_hex(128))
        self._folder, self._key = folder, key
        self._processes = {}
        for port in _free_ports(3):
            (folder / str(port)).mkdir()
            self.start(port)
        password = secrets.token_hex(16)
        self._set_up(password)
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._processes)
        users = (ROLE, "admin")
        uris = [f"mongodb://{user}:{password}@{hosts}/?replicaSet=three" for user in users]
        super().__init__(*uris)
        self._client = MongoClient(self.admin_uri, timeoutMS=2000)

    def start(self, port):
        data = self._folder / str(port)
        self._processes[port] = subprocess.Popen(
            [
                mongod.find_mongod(),
                *("--dbpath", data, "--bind_ip", "127.0.0.1", "--port", str(port)),
                *("--replSet", "three", "--auth", "--keyFile", self._key, "--nounixsocket"),
                *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"),
                # As the portal's own: a transaction that was given up without an answer keeps its
                # locks for so long and a half, 90 s by default.
                *("--setParameter", "transactionLifetimeLimitSeconds=15"),
                *("--logpath", f"{data}.log", "--logappend"),
                *self._arguments,
            ],
            stdout=subprocess.DEVNULL,
            preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 (it takes no lock)
        )

    def _set_up(self, password):
        first, *_ = ports = list(self._processes)
        config = {
            "_id": "three",
            "members": [{"_id": n, "host": f"127.0.0.1:{port}"} for n, port in enumerate(ports)],
            # A new primary asks all members how far they are; 10 s by default, for one that hangs.
            "settings": {"electionTimeoutMillis": 2000, "heartbeatTimeoutSecs": 2},
        }
        with MongoClient("127.0.0.1", first, directConnection=True) as one:
            wait_until(lambda: _initiated(one, config))
        with MongoClient([f"127.0.0.1:{port}" for port in ports], replicaSet="three") as some:
            some.admin.command("createUser", "admin", pwd=password, roles=["root"])
        own = {"username": "admin", "password": password, "replicaSet": "three"}
        with MongoClient([f"127.0.0.1:{port}" for port in ports], **own) as admin:
            admin.admin.command("createUser", ROLE, pwd=password, roles=[])

    def primary(self):
        """The port of the member that takes writes, or ``None``."""
        try:
            hello = self._client.admin.command("hello")
        except PyMongoError:
            return None
        return int(hello["primary"].rpartition(":")[2]) if hello.get("isWritablePrimary") else None

    def kill_primary(self):
        """Its port, by which it may be started again."""
        port = wait_until(self.primary)
        self._processes[port].kill()
        self._processes[port].wait()
        return port

    def all_are_well(self):
        try:
            members = self._client.admin.command("replSetGetStatus")["members"]
        except PyMongoError:
            return False
        return {member["stateStr"] for member in members} == {"PRIMARY", "SECONDARY"}

    def primary_stopped(self):
        return self.stopped(wait_until(self.primary))

    def stopped(self, port):
        return stopped(self._processes[port].pid)

    def end(self):
        self._client.close()
        for process in self._processes.values():
            process.kill()
            process.wait()


def _free_ports(count):
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _initiated(client, config):
    try:
        client.admin.command("replSetInitiate", config)
    except PyMongoError:
        return False  # the others don't listen yet
    return True
