"""What this process wrote since the databases were emptied, seen by the commands that it sent."""

import re
from contextlib import contextmanager
from functools import wraps

from pymongo.asynchronous import command_runner as in_loops
from pymongo.synchronous import command_runner

_WRITES = ("insert", "update", "delete", "findAndModify")
_OF_COLLECTIONS = ("create", "createIndexes", "dropIndexes", "collMod", "drop", "dropDatabase")
_OF_USERS = (
    "createUser", "updateUser", "dropUser", "grantRolesToUser", "revokeRolesFromUser",
    "dropAllUsersFromDatabase", "createRole", "updateRole", "dropRole", "grantRolesToRole",
    "revokeRolesFromRole", "grantPrivilegesToRole", "revokePrivilegesFromRole",
    "dropAllRolesFromDatabase",
)  # fmt: skip
_NOTHING = frozenset((
    "find", "getMore", "killCursors", "count", "distinct", "explain", "listCollections",
    "listIndexes", "listDatabases", "collStats", "dbStats", "usersInfo", "rolesInfo",
    "connectionStatus", "hello", "ismaster", "ping", "buildInfo", "serverStatus", "currentOp", "killOp",
    "getParameter", "replSetGetConfig", "replSetGetStatus", "configureFailPoint",
    "waitForFailPoint", "startSession", "endSessions", "killSessions", "commitTransaction",
    "abortTransaction", "saslStart", "saslContinue", "logout",
))  # fmt: skip


def tell_commands(*told):
    """Have each of ``told`` called with every command, and its database, that a client of this
    process is about to send. A listener would cost a sixth of the command: PyMongo makes three
    events for each."""
    for runner in (command_runner, in_loops):
        runner._run_command = _telling(runner._run_command, told)


def _telling(run, told):
    @wraps(run)
    def tell_and_run(connection, command, database, *how, **options):
        for tell in told:
            tell(command, database)
        return run(connection, command, database, *how, **options)

    return tell_and_run


class Traces:
    """``collections`` of which documents may have changed, each with its database's name;
    ``databases`` of which collections may have; ``users`` where users or roles may have. After
    another command, or where another process may have written, it is ``unknown`` what changed."""

    def __init__(self):
        self.unknown = True
        self.collections, self.databases, self.users = set(), set(), set()

    @contextmanager
    def apart(self):
        """Within the block, what is written there alone."""
        before = vars(self).copy()
        self.forget()
        try:
            yield self
        finally:
            self.unknown |= before["unknown"]
            self.collections |= before["collections"]
            self.databases |= before["databases"]
            self.users |= before["users"]

    def forget(self):
        self.__init__()
        self.unknown = False

    def wrote(self, besides=()):
        """Tell whether anything may have been written but to collections of these names."""
        others = {name for _, name in self.collections}.difference(besides)
        return bool(self.unknown or self.databases or self.users or others)

    def touched(self, pattern):
        """The databases of such names in which anything may have changed."""
        names = self.databases | self.users | {database for database, _ in self.collections}
        return {name for name in names if re.search(pattern, name)}

    def sent(self, command, database):
        name = next(iter(command))
        if name in _NOTHING or (name == "aggregate" and not _stores(command["pipeline"])):
            return
        if name in _WRITES:
            self.collections.add((database, command[name]))
        elif name in _OF_COLLECTIONS:
            self.databases.add(database)
        elif name in _OF_USERS:
            self.users.add(database)
        elif name == "renameCollection":
            self.databases |= {command[key].partition(".")[0] for key in ("renameCollection", "to")}
        else:
            self.unknown = True


def _stores(pipeline):
    return any("$out" in stage or "$merge" in stage for stage in pipeline)
