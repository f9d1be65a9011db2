"""Reports of an application's processes."""

import importlib.metadata
import os
import socket
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from pymongo.write_concern import WriteConcern

PROCESSES = "processes"
"""The collection of reports."""

UNACKNOWLEDGED = WriteConcern(w=0)


def reports_of(database: str) -> str:
    """The name of the database of reports beside the tenants' ``database``: an application's
    MongoDB user may only insert there."""
    return f"{database}_reports"


def report(uri: str, clusters: list[str]) -> dict[str, Any]:
    """This process's report: the user of ``uri``, the library's version, the clusters that it has
    URIs for."""
    return {
        "user": unquote(uri.partition("://")[2].rpartition("@")[0].partition(":")[0]),
        "library": _version(),
        "clusters": clusters,
        "host": socket.gethostname(),
        "process": os.getpid(),
        "at": datetime.now(UTC),
    }


def _version() -> str:
    try:
        return importlib.metadata.version("portal-tenants")
    except importlib.metadata.PackageNotFoundError:  # within the portal
        return ""
