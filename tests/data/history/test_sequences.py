"""Whatever was done in whatever order: undone in reverse, it is as at first, or each document that
isn't is named."""

import bson
import pytest
from bson import Int64, ObjectId
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portal.data import importing
from portal.data.errors import DocumentNotFound, DuplicateDocument, WriteRefused
from portal.data.handles import documents_of
from portal.data.history.changing import BulkEdit, start_change
from portal.data.history.entries import outcomes_of
from portal.data.history.field_changes import (
    DeleteDocuments,
    FieldChanges,
    RemoveField,
    RenameField,
    SetField,
)
from portal.data.importing import ImportStopped
from portal.data.transfer.plans import Existing
from portal.data.transfer.stages import Stage
from portal.documents.organizations import Strategy
from portal.jobs import runner
from portal.tenants.elements import field_of, framed
from tests import encoded
from tests.data.history.conftest import Desk
from tests.data.transfer.conftest import imported, lines
from tests.factories import an_organization

IDS = st.integers(0, 4)
# An operator's name is refused in a replacement, which is no fault of undo.
DOCUMENTS = encoded.documents.filter(lambda document: field_of(document, "_id") is None)
STEPS = st.one_of(
    st.tuples(st.just("insert"), IDS, DOCUMENTS),
    st.tuples(st.just("replace"), IDS, DOCUMENTS),
    st.tuples(st.just("delete"), IDS, st.none()),
    st.tuples(st.just("bulk"), st.sampled_from(["set", "rename", "remove", "delete"]), st.none()),
    st.tuples(st.just("update many"), IDS, st.none()),
    st.tuples(st.just("delete many"), IDS, st.none()),
    st.tuples(st.just("stream"), st.sets(IDS, min_size=1), st.none()),
    st.tuples(st.just("import"), st.lists(IDS, min_size=1, max_size=4), st.none()),
    st.tuples(st.just("undo"), st.integers(0, 9), st.none()),
)
OUTSIDE = st.tuples(st.just("outside"), IDS, st.none())
BULK = {
    "set": FieldChanges((SetField("c", bson.encode({"": Int64(7)})),)),
    "rename": FieldChanges((RenameField("a", "r"),)),
    "remove": FieldChanges((RemoveField("b"),)),
    "delete": DeleteDocuments(),
}


@pytest.fixture(params=[Strategy.COLLECTION, Strategy.SHARED])
def empty_desk(request, app):
    """Acme Corp without a document and without a history, as often as it is asked for."""
    desk = Desk(an_organization("Acme Corp", None, request.param))

    def emptied():
        documents_of(desk.organization).delete_many({})
        for name in ("edits", "before_images"):
            desk.beside(name).delete_many({})
        return desk

    return emptied


def with_id(number, fields):
    return framed(b"\x10_id\0" + number.to_bytes(4, "little") + fields[4:-1])


def do(desk, step, outside):
    """Do a step, unless there is nothing to do it to."""
    kind, about, fields = step
    edits = [each for each in desk.edits() if each.can_be_undone]
    try:
        match kind:
            case "insert":
                desk.insert(with_id(about, fields))
            case "replace":
                desk.replace(with_id(about, fields))
            case "delete":
                desk.delete(about)
            case "bulk":
                bulk = BulkEdit({}, BULK[about], 100)
                start_change(desk.access, bulk, ObjectId())
                runner.run_due_jobs()
            case "update many":
                desk.update_many({"_id": {"$gte": about}}, {"$set": {"n": about}})
            case "delete many":
                desk.delete_many({"_id": {"$gte": about}})
            case "stream":
                content = lines(*({"_id": each, "a": 1} for each in sorted(about)))
                importing.import_lines(desk.access, [content], lambda number, content: None)
            case "import":
                content = lines(*({"_id": each, "a": place} for place, each in enumerate(about)))
                done = imported(desk.access, content, existing=Existing.REPLACE)
                assert (done.stage, done.written.errors) == (Stage.DONE, 0)
            case "undo":
                if edits:
                    desk.undo(edits[about % len(edits)])
            case "outside":
                outside.add(about)
                documents_of(desk.organization).update_one(
                    {"_id": about}, {"$set": {"outside": 1}}, upsert=True
                )
    except (DuplicateDocument, DocumentNotFound, ImportStopped, WriteRefused):
        pass


def put_back(desk):
    """Undo all in reverse; the ids of the documents that were left alone."""
    left = set()
    for edit in desk.edits():
        if desk.entry(edit).can_be_undone:
            undo = desk.undo(edit)
            left |= {bson.decode(each.document)[""] for each in
                     outcomes_of(desk.organization, undo)}  # fmt: skip
    return left


EXAMPLES = settings(
    max_examples=3,  # and the one given
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MANY = settings(EXAMPLES, max_examples=25)


@EXAMPLES
@given(steps=st.lists(STEPS, min_size=2, max_size=6), before=st.integers(0, 2))
@example(
    steps=[
        ("stream", {0}, None),
        ("import", [1, 0, 2, 1], None),  # replaces what was there, and what it inserted
        ("bulk", "set", None),
        ("undo", 1, None),
        ("import", [1, 2], None),
    ],
    before=1,
)
def test_a_sequence_of_edits_is_undone_to_the_first_state(empty_desk, steps, before):
    check_undone(empty_desk(), steps, before)


@pytest.mark.full
@pytest.mark.timeout(900)
@MANY
@given(steps=st.lists(STEPS, min_size=2, max_size=12), before=st.integers(0, 2))
def test_longer_sequences_are_undone_to_the_first_state(empty_desk, steps, before):
    check_undone(empty_desk(), steps, before)


def check_undone(desk, steps, before):
    documents_of(desk.organization).insert_one({"_id": before, "a": 1.0})
    first = desk.stored()
    for step in steps:
        do(desk, step, set())
    assert put_back(desk) == set()
    assert desk.stored() == first


@EXAMPLES
@given(steps=st.lists(st.one_of(STEPS, OUTSIDE), min_size=2, max_size=6))
@example(steps=[("import", [1, 2], None), ("outside", 1, None), ("import", [1, 3], None)])
def test_what_others_changed_meanwhile_is_named_and_all_else_is_as_at_first(empty_desk, steps):
    check_named(empty_desk(), steps)


@pytest.mark.full
@pytest.mark.timeout(900)
@MANY
@given(steps=st.lists(st.one_of(STEPS, OUTSIDE), min_size=2, max_size=12))
def test_what_others_changed_is_named_after_longer_sequences(empty_desk, steps):
    check_named(empty_desk(), steps)


def check_named(desk, steps):
    outside = set()
    first = desk.stored()
    for step in steps:
        do(desk, step, outside)
    left, last = put_back(desk), desk.stored()
    assert left <= outside
    assert {
        each for each in first.keys() | last.keys() if first.get(each) != last.get(each)
    } <= outside
