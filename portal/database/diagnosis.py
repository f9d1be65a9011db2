"""Diagnoses of a MongoDB that can't be used: one sentence for operators, without secrets."""

import re

from mongoengine.errors import MongoEngineException
from pymongo.errors import ConfigurationError, ConnectionFailure, OperationFailure
from pymongo.server_description import ServerDescription
from pymongo.topology_description import TopologyDescription

_AUTHENTICATION_FAILED = 18
_UNAUTHORIZED = 13
_ATLAS_ERROR = 8000
# The driver's messages end with what it was configured with, or with all that it knows.
_SURPLUS = re.compile(r",? (\(configured timeouts|Timeout: |Topology Description).*", re.S)
_NOT_AUTHORIZED = re.compile(
    r"not authorized on (?P<database>\S+) to execute command \{ (?P<command>\w+)"
)
_PREFIX = re.compile(r"^\S+:\d+: (\[Errno -?\d+\] )?")
_STATES = {
    "RSSecondary": "is a secondary",
    "RSArbiter": "is an arbiter",
    "RSGhost": "is in no replica set that was initiated",
    "Unknown": "has not answered yet",
}
_LONGEST = 300


def root_cause(error: BaseException) -> BaseException:
    """The driver's error behind one of MongoEngine."""
    if isinstance(error, MongoEngineException):
        return error.__cause__ or error.__context__ or error
    return error


def refuses_credentials(error: BaseException) -> bool:
    """Tell whether the server refuses the user of MONGO_URI, or what that user may not do."""
    if not isinstance(error, OperationFailure):
        return False
    if error.code == _ATLAS_ERROR:
        return "auth" in str(error).lower()
    return error.code in (_AUTHENTICATION_FAILED, _UNAUTHORIZED)


def refused_command(error: BaseException) -> str | None:
    """The command that the portal's user may not do, if ``error`` says that."""
    error = root_cause(error)
    if not isinstance(error, OperationFailure) or error.code != _UNAUTHORIZED:
        return None
    named = _NOT_AUTHORIZED.search(str(error))
    return named["command"] if named else None


def explain(error: BaseException, known: TopologyDescription, uri_name: str = "MONGO_URI") -> str:
    """One sentence on ``error``, given what is ``known`` of the servers, whose URI is called
    ``uri_name``."""
    error = root_cause(error)
    if isinstance(error, OperationFailure) and refuses_credentials(error):
        if error.code == _UNAUTHORIZED:
            return (
                f"MongoDB doesn't allow the user of {uri_name} {_refused(error)}: grant it the "
                "portal's role (docs/operating.md)."
            )
        return f"MongoDB refuses the user name or password in {uri_name}."
    if isinstance(error, ConfigurationError):
        return f"The servers of {uri_name} can't be found: {error}"[:_LONGEST]
    if isinstance(error, ConnectionFailure) and not known.has_writable_server():
        return f"MongoDB has no primary that can be reached: {_members(known, uri_name)}."
    return _short(error)[:_LONGEST]


def _refused(error: OperationFailure) -> str:
    """The command that was refused, and its database."""
    named = _NOT_AUTHORIZED.search(str(error))
    return f"{named['command']} in {named['database']}" if named else "what the portal needs"


def _members(known: TopologyDescription, uri_name: str) -> str:
    servers = known.server_descriptions()
    told = [f"{host}:{port} {_state(servers[host, port])}" for host, port in sorted(servers)]
    return ", ".join(told) or f"no member has the replicaSet that {uri_name} names"


def _state(server: ServerDescription) -> str:
    if server.error is None:
        return _STATES.get(server.server_type_name, f"is {server.server_type_name}")
    return f"can't be reached ({_PREFIX.sub('', _short(server.error))})"


def _short(error: BaseException) -> str:
    return _SURPLUS.sub("", str(error)) or type(error).__name__
