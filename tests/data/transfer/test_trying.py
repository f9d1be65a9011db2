"""A check tries records on what else the database would refuse, and tells what it tried."""

import pytest
from bson import Int64

from portal.data.access import document_access
from portal.data.rules.rules import MODERATE, STRICT, WARN, set_rules
from portal.data.transfer import checking, passes, trying
from portal.data.transfer.files import pieces_of
from portal.data.transfer.imports import decide
from portal.data.transfer.plans import Existing, Plan
from portal.data.transfer.showing import tried_words
from portal.data.transfer.stages import Stage, find_import
from portal.database.kept_beside import FILE_CHUNKS, rows_of
from portal.database.leases import Interrupted
from portal.documents.rules_versions import RulesVersion
from portal.jobs import runner
from tests.data.transfer.conftest import checked, imported, lines, uploaded
from tests.factories import a_context, a_member, an_access, the_owner
from tests.faults.lapse import let_jobs_be_due

SCHEMA = {
    "required": ["size"],
    "properties": {"size": {"enum": ["1-10", "11-50"]}, "_id": {"bsonType": "int"}},
}


@pytest.fixture
def rules(acme):
    def put(schema=SCHEMA, **options):
        context = a_context(the_owner(acme))
        set_rules(an_access(acme), schema, context, **options)

    return put


def told(found):
    return [
        (group.reason, group.column, group.record, group.count)
        for group in found.checked.faults.groups.values()
    ]


def test_a_value_that_the_rules_refuse_is_told_before_it_is_written(seen, stored, rules):
    rules()
    content = lines(
        {"_id": 1, "size": "1-10"}, {"_id": 2, "size": 240}, {"_id": 3}, {"_id": 4, "size": "85"},
        {"size": "1-10"},
    )  # fmt: skip
    found = checked(seen, content, stop_per_mille=1000)
    rule = "It breaks a rule of the collection"
    assert told(found) == [
        (f"{rule}: enum", "size", 2, 2), (f"{rule}: required", "size", 3, 1), (rule, None, 5, 1),
    ]  # fmt: skip
    assert found.checked.counts == {"inserted": 1, "errors": 4, "tried": 5}
    assert tried_words(found) == "5 records tried on the rules."
    assert stored.count_documents({}) == 0
    done = imported(seen, content, stop_per_mille=1000)
    assert done.written.counts == {"inserted": 1, "errors": 4}  # as it was told
    assert RulesVersion.objects.get().refused == 4  # what was only tried doesn't count


def test_rules_that_only_warn_refuse_nothing(seen, stored, rules):
    rules(action=WARN)
    found = checked(seen, lines({"_id": 1}))
    assert found.checked.counts == {"inserted": 1}
    assert tried_words(found) is None


@pytest.mark.parametrize(("level", "errors"), [(MODERATE, 1), (STRICT, 2)])
def test_one_that_breaks_them_already_may_go_on_where_rules_are_moderate(
    seen, stored, rules, level, errors
):
    stored.insert_many([{"_id": 1, "size": "old"}, {"_id": 2, "size": "1-10"}])
    rules(level=level)
    content = lines({"_id": 1, "size": "older"}, {"_id": 2, "size": "old"})
    plan = {"existing": Existing.REPLACE, "stop_per_mille": 1000}
    assert checked(seen, content, **plan).checked.counts["errors"] == errors
    assert imported(seen, content, **plan).written.counts["errors"] == errors


@pytest.mark.parametrize(
    ("keys", "options", "records"),
    [
        (["n"], {}, [3, 4, 5]),
        (["n", "kind"], {}, [3, 5]),
        (["n"], {"sparse": True}, [3, 4, 5]),
        (["n"], {"partialFilterExpression": {"kind": "a"}}, [3, 5]),
    ],
)
def test_other_unique_indexes_are_tried(seen, stored, keys, options, records):
    stored.create_index(keys, unique=True, **options)
    stored.insert_one({"_id": 0, "n": Int64(7), "kind": "a"})
    content = lines(
        {"_id": 1, "n": 1, "kind": "a"},
        {"_id": 2, "n": 2, "kind": "a"},
        {"_id": 3, "n": 7, "kind": "a"},
        {"_id": 4, "n": 2, "kind": "b"},
        {"_id": 5, "n": 1.0, "kind": "a"},
        {"_id": 6, "kind": "c"},
        {"_id": 7, "n": [8, 9], "kind": "d"},
    )
    found = checked(seen, content, stop_per_mille=1000)
    failed = sorted(group.record for group in found.checked.faults.first)
    assert failed == records
    assert f"tried on the unique index {'_1_'.join(keys)}_1" in tried_words(found)
    done = imported(seen, content, stop_per_mille=1000)
    assert sorted(group.record for group in done.written.faults.first) == records


def test_a_document_that_is_replaced_may_keep_its_unique_value(seen, stored):
    stored.create_index("n", unique=True)
    stored.insert_many([{"_id": 1, "n": 1}, {"_id": 2, "n": 2}])
    content = lines({"_id": 1, "n": 1, "new": 1}, {"_id": 2, "n": 1})
    plan = {"existing": Existing.REPLACE, "stop_per_mille": 1000}
    assert checked(seen, content, **plan).checked.counts == {
        "replaced": 1, "errors": 1, "tried": 2
    }  # fmt: skip
    by_n = lines({"n": 1, "v": 1}, {"n": 1, "v": 2}, {"n": 3}, {"n": 3})
    found = checked(seen, by_n, existing=Existing.REPLACE, key="n")
    assert found.checked.counts == {"inserted": 1, "replaced": 3, "tried": 2}


def test_a_record_that_the_file_has_twice_is_told(seen, stored):
    content = lines({"_id": 1}, {"_id": 2}, {"_id": 1.0})
    found = checked(seen, content, stop_per_mille=1000, key="n")
    reason = "Another record of the file has the same _id, which is unique"
    assert told(found) == [(reason, "_id", 3, 1)]
    assert found.checked.counts == {"inserted": 2, "errors": 1}


def test_a_key_that_the_file_has_in_several_batches_is_told(seen, stored, monkeypatch, rules):
    monkeypatch.setattr(passes, "BATCH_RECORDS", 4)
    rules({"properties": {"v": {"bsonType": "number"}}})
    stored.insert_one({"_id": "there"})
    keys = [1, 2, "a", None, "there", 3, 1.0, "a", "b", 3, 3, "there", {"a": 1}, {"a": 1}, 1, 2]
    records = [{"_id": key, "v": n} for n, key in enumerate(keys)]
    records[1]["v"] = "refused by the rule, so it is no other record's key"
    found = checked(seen, lines(*records), stop_per_mille=1000)
    again = "Another record of the file has the same _id, which is unique"
    reasons = {reason: count for reason, _, _, count in told(found)}
    assert reasons.pop(again) == 6  # 1.0, a, 3, 3, {"a": 1}, 1
    assert sum(reasons.values()) == 3
    assert (found.checked.counts["inserted"], found.checked.counts["errors"]) == (7, 9)
    beside = rows_of(seen.organization.placement.cluster, FILE_CHUNKS)
    assert beside.count_documents({"digests": {"$exists": True}}) == 0
    done = imported(seen, lines(*records), stop_per_mille=1000)
    assert (done.written.counts["inserted"], done.written.counts["errors"]) == (7, 9)


def test_killed_while_it_compares_keys_a_check_tells_each_record_once(
    seen, stored, master_db, monkeypatch
):
    monkeypatch.setattr(passes, "BATCH_RECORDS", 3)
    ready = uploaded(seen, lines(*({"_id": n % 5} for n in range(30))))
    decide(seen, ready, Plan(ready.options, stop_per_mille=1000))
    keep, kept = checking._Check._keep, []

    def interrupted(check, *args, **options):
        keep(check, *args, **options)
        kept.append(True)
        if len(kept) in (4, 12, 14):
            raise Interrupted("as if it were killed")

    monkeypatch.setattr(checking._Check, "_keep", interrupted)
    for _ in range(4):
        let_jobs_be_due(master_db)
        runner.run_due_jobs()
    found = find_import(seen.organization, ready.file.id)
    assert found.stage == Stage.READY, found.job.last_error
    assert (found.checked.counts["inserted"], found.checked.counts["errors"]) == (5, 25)
    content = found.file.details["check"]["errors"]
    errors = b"".join(pieces_of(seen.organization, content, 0, found.checked.pieces))
    assert errors.count(b'"_id"') == 25


def test_replaced_and_passed_over_records_are_counted_over_all_batches(seen, stored, monkeypatch):
    monkeypatch.setattr(passes, "BATCH_RECORDS", 2)
    content = lines(*({"n": n % 3} for n in range(8)), {"n": 0.0})
    for existing, word in ((Existing.REPLACE, "replaced"), (Existing.SKIP, "existing")):
        found = checked(seen, content, existing=existing, key="n")
        assert found.checked.counts == {"inserted": 3, word: 6}


def test_of_many_records_some_are_tried(seen, stored, rules, monkeypatch):
    monkeypatch.setattr(passes, "BATCH_RECORDS", 50)
    monkeypatch.setattr(trying, "ALL_TRIED", 60)
    monkeypatch.setattr(trying, "TRIED", 10)
    rules({"required": ["n"]})
    records = [{"_id": n} for n in range(200)]
    found = checked(seen, lines(*records), stop_per_mille=1000)
    assert found.checked.counts == {"inserted": 120, "errors": 80, "tried": 80}
    assert "80 records tried on the rules; the others" in tried_words(found)


def test_rules_about_sensitive_fields_tell_nothing_to_whom_they_are_hidden(acme, stored, rules):
    acme.modify(masked_fields=["size"])
    rules()
    member = document_access(an_access(acme, "viewer"), a_context(a_member(acme, "viewer")))
    assert member.mask.paths
    assert not trying.Trial(member).tries_anything
