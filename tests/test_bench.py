"""``make bench``: every part gives its figures, here at a size that takes a moment."""

import itertools
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import pytest
from pymongo import MongoClient

from bench import machine, report
from bench.__main__ import main
from bench.environment import Environment, Server
from bench.parts import PARTS
from bench.report import Figure, Result
from bench.scale import TINY
from portal.web.static_files import TOP

FIGURES = {
    "start": ["to /readyz 200, first start", "to /readyz 200, later start"],
    "sign-up": [
        "floor: transaction of three inserts, create",
        "sign-up without the hash",
        "… without zxcvbn too",
    ],
    "store": [
        *(
            f"{work}{form}"
            for form in ("", ", asynchronous")
            for work in (
                "find one",
                "find, a page of 25",
                "find all, 2,000",
                "count",
                "insert one",
                "update one",
                "insert many, 500",
            )
        ),
        "directory reads of 20 writers at a rename",
        "memory of each of 10 organizations",
    ],
    "limits": [
        "counting an operation and a command",
        "a read with limits",
        "a write with limits",
        "4 processes with a limit of 200 / s, for 4 s",
        "p99 of a read beside an import without a limit",
        "p99 of a read beside an import with one of 300 / s",
    ],
    "placements": [
        f"{work}, {which}"
        for work in (
            "get by id",
            "update one",
            "insert one",
            "page of 50",
            "count by a filter",
            "aggregate",
        )
        for which in ("shared", "beside 1", "beside 10")
    ],
    "audit": ["change of a display name, no event", "change of a display name"],
    "rename": [
        "rename by HTTP, 10 documents",
        "rename by HTTP, 100 documents",
        "floor: two transactions, renameCollection",
        "rename by JSON",
    ],
    "lifecycle": [
        *(
            f"{operation}, {strategy}, {documents} documents"
            for strategy in ("collection", "database", "shared")
            for operation, documents in (
                *itertools.product(("rename", "trash", "restore"), (10, 100)),
                ("purge", 10),
            )
        ),
        "purge, shared, 100 documents",
        "neighbour’s insert, p99",
        "neighbour’s insert while 100 documents are purged, p99",
    ],
    "move": [
        *(
            figure
            for pair in (
                "own to own",
                "collection to shared",
                "shared to collection",
                "database to shared",
                "shared to database",
            )
            for figure in (
                f"pause, {pair}",
                f"pause, {pair}, the longest of {2 if pair == 'own to own' else 1}",
                f"longest write meanwhile, {pair}",
            )
        ),
        *(
            f"{done} to {target}{writes}"
            for target in ("database", "shared")
            for writes in ("", ", with 400 writes/s")
            for done in ("copied and verified", "copied")
        ),
        *(
            f"neighbour’s write, {strategy}, p99{during}"
            for strategy in ("collection", "shared")
            for during in ("", ", others move", ", with open transactions")
        ),
    ],
    "pages": [
        "organization page, CPU of the worker",
        "organization page, wall, one client",
        *(
            f"/organizations/pages/{name}, CPU"
            for name in (
                "activity",
                "members",
                "invitations",
                "keys",
                "keys/new",
                "settings",
                "second-factor",
                "rename",
                "delete",
            )
        ),
        *(
            f"{name}, CPU"
            for name in (
                "/organizations",
                "/organizations/new",
                "/trash",
                "/account",
                "/account/security",
                "/account/sessions",
                "/account/invitations",
                "/docs",
                "JSON read",
                "a token's check",
            )
        ),
    ],
    "documents": [
        "export of 100 documents as ndjson",
        "import of 100 documents as ndjson",
        "worker’s memory beyond its own meanwhile",
    ],
    "files": [
        f"{what}, 100 documents as {kind}"
        for kind in ("bson", "jsonl", "csv")
        for what in (
            "export of a file",
            "write of a checked file",
            "import of a file",
            "growth of the worker",
        )
    ],
    "browsing": [
        f"page {which}, by {order}, of 150: p95 in the database"
        for order in ("_id", "an index that ends in _id")
        for which in ("first", "in the middle")
    ],
    "scripts": ["nothing to do for 10 organizations"],
    "load": [
        f"{page}, {figure}"
        for page in ("bare view", "organization page", "list page", "log-in page", "JSON read")
        for figure in ("8 connections", "99th percentile", "CPU of the worker")
    ],
    "slow-clients": [
        "organization page alone, median",
        "beside 5 slow clients, median",
        "organization page alone, worst",
        "beside 5 slow clients, worst",
    ],
    "memory": [
        "worker after the parts of this run",
        "mongod, idle",
        "mongod after the parts of this run",
    ],
    "capacity": [
        "how much it holds, among 10 collections",
        "… and how many databases, among 10 collections",
    ],
    "console": [
        *(
            f"{page}, {where}"
            for page in (
                "first page",
                "list",
                "list by size",
                "list with all columns",
                "search page",
                "one organization",
                "its members",
                "its activity",
                "operations",
                "capacity",
                "usage",
                "placement",
                "activity",
                "people",
                "operators",
                "people by prefix",
                "people by domain",
                "person",
            )
            for where in ("CPU", "in the database")
        ),
        *(
            f"{which} page by {order}, {what}"
            for order in ("name", "created", "documents", "size", "used")
            for which in ("first", "1,000th")
            for what in ("p95", "in the database, p95")
        ),
        *(
            f"search {how}, {what}"
            for how in (
                "by 1 letter",
                "by 3 letters",
                "by 9 letters",
                "by two words",
                "by an address",
                "with filters",
            )
            for what in ("p95", "in the database, p95")
        ),
        "sign-up that the listing follows",
        "listing what signed up",
        "filling the listing anew, sign-ups going on",
        "sign-ups meanwhile",
        "freezing all for a bulk action",
        "memory that it takes",
    ],
}
# The others start portals, or many processes, or fill collections.
QUICK = ("sign-up", "audit")
SURROUNDINGS = machine.look("6.0.5")


@pytest.fixture(scope="module")
def environment(app, server, tmp_path_factory):
    """One for all parts, as they have in a run."""
    log = tmp_path_factory.mktemp("bench") / "bench.log"
    with (
        log.open("w") as opened,
        MongoClient(server.admin_uri, uuidRepresentation="standard", tz_aware=True) as client,
        ExitStack() as stack,
    ):
        yield Environment(Server(server.running, server.settings), client, opened, app, stack)


@pytest.mark.processes
@pytest.mark.timeout(300)  # limits start eight processes, and use up bursts first
@pytest.mark.parametrize(
    "part",
    [
        pytest.param(part, id=part.name, marks=() if part.name in QUICK else pytest.mark.full)
        for part in PARTS
    ],
)
def test_each_part_gives_its_figures(environment, part):
    with ThreadPoolExecutor(1) as thread:  # a browser's driver may occupy this one's event loop
        figures = thread.submit(part.measure, environment, TINY).result()
    assert [figure.what for figure in figures] == FIGURES[part.name]
    assert all(figure.value > 0 for figure in figures if figure.unit != "MB")
    assert all(figure.value >= 0 for figure in figures)
    assert all(figure.ratio > 0 for figure in figures if figure.to)


def test_results_tell_the_machine_the_versions_and_all_figures():
    results = [
        Result("store", (Figure.in_ms("get", 0.0005, 0.0004, "plain PyMongo"),)),
        Result("memory", (Figure("mongod, idle", 123.4, "MB"),)),
        Result("load", failure="AssertionError, see the log"),
    ]
    told = report.document(replace(SURROUNDINGS, cpu="A | B", memory_bytes=8 * 2**30), results)
    rows = [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in told.replace(r"\|", "¦").splitlines()
        if line.startswith("|")
    ]
    assert ["CPU", "A ¦ B"] in rows
    assert ["memory", "8.0 GiB"] in rows
    assert ["mongod", "6.0.5"] in rows
    named = {row[0] for row in rows}
    assert named >= {"date", "commit", "cores", "kernel", "portal", "Python", "PyMongo", "Flask"}
    assert rows[-3:] == [
        ["store", "get", "0.50 ms", "1.25 × plain PyMongo"],
        ["memory", "mongod, idle", "123 MB"],
        ["load", "not measured", "AssertionError, see the log"],
    ]


def test_a_figure_over_its_goal_is_told():
    within = Figure.in_ms("get", 0.115, 0.1, "an own one", 1.15)
    over = Figure.in_ms("insert", 0.126, 0.1, "an own one", 1.25)
    grown, small = Figure("growth", 31.4, "MB", most=30), Figure("memory", 4.2, "KB", most=5)
    results = [Result("placements", (within, over, grown, small))]
    assert report.missed(results) == [
        "placements: insert, 126 ms, 1.26 × an own one, MISSES 1.25",
        "placements: growth, 31.4 MB, MISSES 30.00",
    ]
    told = report.tables(SURROUNDINGS, results)
    assert "1.15 × an own one, within 1.15" in told
    assert re.search(r"4\.20 KB +\| within 5\.00", told)


@pytest.mark.processes
@pytest.mark.full
def test_the_table_stands_alone_at_the_end_and_the_log_elsewhere():
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "--tiny", "audit", "sign-up"],
        check=True, cwd=TOP, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.stderr == ""
    lines = ran.stdout.splitlines()
    measured = FIGURES["sign-up"] + FIGURES["audit"]
    assert [line.split("|")[2].strip() for line in lines[-7:-2]] == measured
    assert "{" not in ran.stdout
    log = TOP / lines[-1].removeprefix("Log: ")
    assert "migration.done" in log.read_text()


def test_the_parts_are_listed(capsys):
    main(["--list"])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(FIGURES)


def test_an_unknown_part_is_told_with_those_there_are(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["rename", "speed"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "no part speed" in told
    assert all(name in told for name in FIGURES)
