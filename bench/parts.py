"""The parts of the measurement, in the order in which they run."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench import (
    auditing,
    browsing,
    capacity,
    console,
    documents,
    lifecycle,
    limiting,
    load,
    memory,
    moving,
    pages,
    placements,
    renaming,
    scripting,
    signing_up,
    slow_clients,
    starting,
    storing,
    transferring,
)
from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale


@dataclass(frozen=True, slots=True)
class Part:
    """A measurement that stands by itself."""

    name: str
    what: str
    measure: Callable[[Environment, Scale], Iterable[Figure]]


PARTS = (
    Part("start", "from the command to /readyz 200", starting.measure),
    Part("sign-up", "a sign-up against the least that it could cost", signing_up.measure),
    Part("store", "the tenant store against plain PyMongo", storing.measure),
    Part("limits", "counting, limits, and neighbours of a loud one", limiting.measure),
    Part("placements", "a shared collection against an own one", placements.measure),
    Part("audit", "a change with its audit event and without", auditing.measure),
    Part("rename", "a rename with few documents and with many", renaming.measure),
    Part(
        "lifecycle",
        "lifecycle operations by strategy; a purge’s neighbours",
        lifecycle.measure,
    ),
    Part("move", "moves while applications write; their neighbours", moving.measure),
    Part("pages", "CPU and time of an organization's page", pages.measure),
    Part("documents", "streams of documents against PyMongo’s methods", documents.measure),
    Part("files", "files of documents against PyMongo’s methods", transferring.measure),
    Part("browsing", "pages of documents in a large collection", browsing.measure),
    Part("scripts", "a script that every organization has", scripting.measure),
    Part("load", "pages a second against a bare Flask view", load.measure),
    Part("slow-clients", "a page beside clients that send slowly", slow_clients.measure),
    Part("memory", "resident memory of worker and mongod", memory.measure),
    Part("capacity", "how much a server holds, among many collections", capacity.measure),
    # The last one: it leaves a million organizations behind.
    Part("console", "the operators' list of organizations", console.measure),
)
