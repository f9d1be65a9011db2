"""A document that is erased for good stays in nothing that its import kept."""

from dataclasses import replace

import bson

from portal.data.formats.options import Column, ColumnType
from portal.data.handles import documents_of
from portal.data.history.erasing import erase_document
from portal.data.transfer.imports import choose_reading, decide, start_write
from portal.data.transfer.plans import STOPS_PER_MILLE, Plan
from portal.data.transfer.stages import Stage, find_import
from portal.database.kept_beside import EDITS, FILE_CHUNKS, FILES, rows_of
from portal.jobs import runner
from tests.data.transfer.conftest import imported, lines, uploaded

CANARY = b"canary-7f3a"
BROKEN = b'{"_id": 2, "name": "' + CANARY + b'" "n": 1}\n'


def kept_of(organization):
    """All that is kept of files and edits, encoded."""
    cluster = documents_of(organization).place.locate().entry.cluster
    names = (EDITS, FILES, FILE_CHUNKS)
    return b"".join(bson.encode(row) for name in names for row in rows_of(cluster, name).find())


def test_not_in_the_words_of_yes_and_no(seen, stored):
    words = {CANARY.decode(): "true", "no": "false"}
    columns = (
        Column("_id", ("_id",), ColumnType.INT32),
        Column("ok", ("ok",), ColumnType.BOOLEAN, words=words),
    )
    found = uploaded(seen, b"_id,ok\n1," + CANARY + b"\n2,no\n", "a.csv")
    runner.run_due_jobs()
    decide(seen, found, Plan(replace(found.options, columns=columns)))
    runner.run_due_jobs()
    start_write(seen, find_import(seen.organization, found.file.id))
    runner.run_due_jobs()
    assert kept_of(seen.organization).count(CANARY) > 1
    erase_document(seen, bson.encode({"": 1}))
    runner.run_due_jobs()
    assert CANARY not in kept_of(seen.organization)
    left = find_import(seen.organization, found.file.id)
    assert (left.stage, left.plan.options.columns) == (Stage.DONE, ())


def test_not_in_lines_above_a_heading_nor_in_what_was_typed_before_it_was_chosen(seen, stored):
    titled = CANARY + b"\nid,n,m\n1,2," + CANARY + b"\n"
    found = uploaded(seen, titled, "a.csv")
    draft = {"columns": [[0, {"field": CANARY.decode()}]], "key": CANARY.decode()}
    choose_reading(seen, found, heading="2", draft=draft)
    runner.run_due_jobs()
    assert kept_of(seen.organization).count(CANARY) > 4
    erase_document(seen, bson.encode({"": 1}))
    runner.run_due_jobs()
    assert CANARY not in kept_of(seen.organization)


def test_neither_in_errors_nor_in_what_is_told_of_them(seen, stored):
    content = lines({"_id": 1, "name": CANARY.decode()}) * 2 + BROKEN
    done = imported(seen, content, stop_per_mille=STOPS_PER_MILLE[-1])
    assert done.written.counts == {"inserted": 1, "errors": 2}
    assert kept_of(seen.organization).count(CANARY) > 3
    erase_document(seen, bson.encode({"": 1}))
    runner.run_due_jobs()
    assert CANARY not in kept_of(seen.organization)
    left = find_import(seen.organization, done.file.id)
    assert (left.stage, left.written.counts, left.file.has_content) == (
        done.stage, done.written.counts, False
    )  # fmt: skip
    assert left.written.faults.first == []
