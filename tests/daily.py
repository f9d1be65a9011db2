"""Choice of tests: which ``make test-fast`` and ``make test`` run, and which ``make faults`` alone.

What is marked ``full`` isn't even made where it isn't wanted: each worker would make thousands of
tests and leave them out. Of a test that is parametrized several times as few cases are run as have
each row of each of its tables; of the strategies of placement and of the library's forms one is
enough, which takes turns from test to test. The others are marked ``full``. Where each case is a
promise by itself, the test is marked ``each_case``. Of what is run of a test on the databases each
case but the first is marked ``further``, for ``make test-fast`` to leave it out.
"""

import inspect
import zlib
from collections import Counter, defaultdict
from functools import wraps

import pytest

FORMS, CLUSTERS = ("sync", "async"), ("main", "berlin")
STRATEGIES = ("collection", "database", "shared")
TAKING_TURNS = {
    **dict.fromkeys(("connect", "shared_tenants"), FORMS),
    **dict.fromkeys(("strategy", "source", "target", "to"), STRATEGIES),
    "to_cluster": CLUSTERS,
}
DATABASES = {"app", "server_uri"}
# By test, the names in each of its tables.
_tables = defaultdict(list)


def _is_left_out(marks, config):
    wanted = not config.option.markexpr.startswith("not full")
    return not wanted and any(mark.name == "full" for mark in marks)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector, name, obj):
    """Make no test that is ``full``."""
    if not (name.startswith("test") and inspect.isfunction(obj)):
        return None
    marks = [*getattr(obj, "pytestmark", ()), *collector.iter_markers("full")]
    return [] if _is_left_out(marks, collector.config) else None


@pytest.hookimpl(wrapper=True)
def pytest_generate_tests(metafunc):
    """Make no case that is ``full``."""
    parametrize, tables = metafunc.parametrize, _tables[metafunc.definition.nodeid]

    @wraps(parametrize)
    def parametrize_wanted(names, rows, *others, ids=None, **options):
        tables.append(names.replace(" ", "").split(",") if isinstance(names, str) else names)
        rows = list(rows)
        ids = ids if ids is None or callable(ids) else list(ids)
        marks = [getattr(row, "marks", ()) for row in rows]
        kept = [n for n in range(len(rows)) if not _is_left_out(marks[n], metafunc.config)]
        if kept:  # else pytest would make one that is skipped
            rows = [rows[n] for n in kept]
            ids = [ids[n] for n in kept] if isinstance(ids, list) else ids
        return parametrize(names, rows, *others, ids=ids, **options)

    metafunc.parametrize = parametrize_wanted
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    cases = defaultdict(dict)
    for item in items:
        apart = item.get_closest_marker("full") or item.get_closest_marker("each_case")
        if hasattr(item, "callspec") and not apart:
            cases[item.nodeid.partition("[")[0]][item.nodeid] = item
    for test, found in cases.items():
        given = {each: item.callspec.params for each, item in found.items()}
        kept = fewest(test, _tables[test], given)
        for each in found.keys() - kept:
            found[each].add_marker("full")
    tried = set()
    for item in items:
        if DATABASES & set(item.fixturenames) and not item.get_closest_marker("full"):
            test = item.nodeid.partition("[")[0]
            if test in tried:
                item.add_marker("further")
            tried.add(test)


def fewest(test, tables, cases):
    """The ids of cases of the test that have each row of each table between them; of rows that take
    turns, one at least, and each as often as others."""
    rows, turn = {}, {}
    for case, given in cases.items():
        alike = [table for table in tables if _takes_turns(table, given)]
        turn[case] = tuple(given[name] for table in alike for name in table)
        rows[case] = {
            (number, *(id(given[name]) for name in table))
            for number, table in enumerate(tables)
            if table not in alike
        }
    missing, met, kept = set().union(*rows.values()), Counter(), set()

    def worth(case):
        own = zlib.crc32(f"{test} {turn[case]}".encode())
        return len(missing & rows[case]), -met[turn[case]], own

    while missing or not kept:
        best = max(cases, key=worth)
        kept.add(best)
        missing.difference_update(rows[best])
        met[turn[best]] += 1
    return kept


def _takes_turns(table, given):
    return all(given[name] in TAKING_TURNS.get(name, ()) for name in table)
