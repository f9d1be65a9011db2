"""Shape and rules by the API, and all of structure by commands."""

import json
from datetime import UTC, datetime

import pytest

from portal.data.rules.rules import set_rules
from portal.documents.organizations import Strategy
from tests.data.conftest import DataProgram
from tests.factories import a_context, a_key, an_access, an_organization
from tests.program import fault

ORG = "/org/acme-corp"
SCHEMA = {"bsonType": "object", "required": ["n"], "properties": {"n": {"bsonType": "int"}}}


@pytest.fixture
def some(stored):
    stored.insert_many([{"_id": n, "n": n if n else "0", "iban": "DE12"} for n in range(40)])
    return stored


def test_the_shape_is_told_with_filters_that_match(writer, some):
    answer = writer.get(f"{ORG}/shape").json
    assert (answer["read"], answer["total"], answer["complete"]) == (40, 40, True)
    [field] = [field for field in answer["fields"] if field["path"] == ["n"]]
    assert field["types"] == "int32 97.5 %, text 2.5 %"
    [outlier] = field["outliers"]
    assert outlier["documents"] == some.count_documents(outlier["filter"]) == 1


def test_fields_that_are_masked_for_a_key_are_in_no_shape_and_no_proposal(app, acme, some):
    acme.update(set__masked_fields=["iban"])
    key = a_key(acme, None, ["documents.read", "indexes.manage"])
    program = DataProgram(app, key)
    for path in ("shape", "rules/proposal"):
        answer = program.get(f"{ORG}/{path}")
        assert answer.status_code == 200
        assert "iban" not in answer.text
        assert "DE12" not in answer.text
    for schema in (
        {"properties": {"iban": {"pattern": "^D"}}},
        {"required": ["iban"]},
        {"not": {"properties": {"iban": {"pattern": "^D"}}}},
        {"patternProperties": {"^i": {"pattern": "^D"}}},
        {"additionalProperties": False},
    ):
        for method, below in (("POST", "/try"), ("PUT", "")):
            refused = program.send(method, f"{ORG}/rules{below}", json.dumps({"schema": schema}))
            assert fault(refused) == (403, "field_masked", set()), (schema, method)
    set_rules(an_access(acme), {"properties": {"iban": {"enum": ["DE12"]}}}, a_context())
    assert fault(program.get(f"{ORG}/rules")) == (403, "field_masked", set())
    set_rules(an_access(acme), {"required": ["n"]}, a_context())
    assert program.get(f"{ORG}/rules/former").json["former"] == []
    some.create_index("n", partialFilterExpression={"iban": "DE12"})
    assert "DE12" not in program.get(f"{ORG}/indexes").text
    check = program.send("POST", f"{ORG}/indexes/check", '{"keys": {"iban": 1}, "unique": true}')
    assert fault(check) == (403, "field_masked", set())


def test_rules_are_tried_put_into_force_and_ended(writer, some):
    tried = writer.send("POST", f"{ORG}/rules/try", json.dumps({"schema": SCHEMA})).json
    assert (tried["breaking"], tried["tried"], tried["complete"]) == (1, 40, True)
    [example] = tried["examples"]
    assert (example["name"], example["reason"]) == ("n", "is the text “0”, not int32")
    assert some.count_documents(example["filter"]) == 1
    body = {"schema": SCHEMA, "breaking": 0, "level": "strict"}
    refused = writer.send("PUT", f"{ORG}/rules", json.dumps(body))
    assert fault(refused) == (409, "rules_broken", set())
    key = {"Idempotency-Key": "rules-0123456789abcdef"}
    for _ in range(2):
        done = writer.send("PUT", f"{ORG}/rules", json.dumps({**body, "breaking": 1}), headers=key)
        assert done.status_code == 200, done.text
    told = writer.get(f"{ORG}/rules").json
    assert (told["schema"], told["level"], told["action"]) == (SCHEMA, "strict", "error")
    assert fault(writer.insert('{"n": "x"}')) == (422, "document_invalid", set())
    stream = writer.insert('{"n": 1}\n{"n": "x"}\n', kind="application/x-ndjson")
    assert fault(stream) == (422, "import_stopped", {"line 1"})
    many = {"filter": {"_id": 5}, "update": {"$set": {"n": "x"}}}
    assert writer.send("POST", f"{ORG}/documents/update", json.dumps(many)).status_code == 422
    assert writer.get(f"{ORG}/rules").json["refused"] == 3
    assert writer.send("PUT", f"{ORG}/rules", '{"schema": null}').status_code == 200
    assert writer.get(f"{ORG}/rules").json["schema"] is None
    [former] = writer.get(f"{ORG}/rules/former").json["former"]
    assert (former["schema"], former["level"], former["action"]) == (SCHEMA, "strict", "error")
    assert former["at"] < former["until"]
    proposal = writer.get(f"{ORG}/rules/proposal").json
    assert (proposal["named"], proposal["of"]) == (1, 2)


def test_a_schema_that_is_none_is_refused_in_words(writer):
    refused = writer.send("PUT", f"{ORG}/rules", '{"schema": {"bsonType": "wild"}}')
    assert fault(refused)[:2] == (422, "invalid_rules")
    assert "wild" in refused.json["error"]["message"]


@pytest.fixture
def runner(command):
    """What a command of ``flask`` says, which ends so."""

    def run(*arguments, ends=0):
        told = command(*arguments)
        assert told.returncode == ends, told
        return told.stdout + told.stderr

    return run


def test_commands_tell_shape_and_change_indexes_and_rules(runner, some, tmp_path):
    told = runner("data", "shape", "acme-corp")
    assert "40 of 40 documents" in told
    assert "1: text" in told
    assert "40 documents stand in the way" in runner(
        "data", "create-index", "acme-corp", "iban", "--unique", "--check", ends=1
    )
    assert "40 documents stand in the way" in runner(
        "data", "create-index", "acme-corp", "iban", "--unique", ends=1
    )
    some.insert_one({"at": datetime(2020, 1, 1, tzinfo=UTC)})
    expiring = ("data", "create-index", "acme-corp", "at", "--expire-after", "60")
    assert "1 document would be deleted within a minute. Build it?" in runner(*expiring, ends=1)
    assert set(some.index_information()) == {"_id_"}
    some.delete_one({"at": {"$exists": True}})
    assert "at_1 is ready." in runner(*expiring)
    assert "n_1 is ready." in runner("data", "create-index", "acme-corp", "n:1")
    assert "n_1 is hidden." in runner("data", "hide-index", "acme-corp", "n_1")
    assert "hidden" in runner("data", "indexes", "acme-corp")
    assert "n_1 is gone." in runner("data", "drop-index", "acme-corp", "n_1")
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(SCHEMA))
    tried = runner("data", "rules", "acme-corp", "--try", str(schema), ends=1)
    assert "1 of all 40 documents break them." in tried
    assert "is the text “0”, not int32" in tried
    put = ("data", "rules", "acme-corp", "--set", str(schema))
    assert "more than you were told" in runner(*put, ends=2)
    assert "more than you were told" in runner(*put, "--although", "1", "--of", "900", ends=2)
    runner(*put, "--although", "1")
    assert '"bsonType": "int"' in runner("data", "rules", "acme-corp")
    runner("data", "rules", "acme-corp", "--end")
    assert "No JSON Schema" in runner("data", "rules", "acme-corp")
    former = runner("data", "rules", "acme-corp", "--former")
    put_back = ("data", "rules", "acme-corp", "--put-back", former.partition(":")[0])
    assert "more than you were told" in runner(*put_back, ends=2)
    runner(*put_back, "--although", "1")
    assert '"bsonType": "int"' in runner("data", "rules", "acme-corp")


def test_rules_are_not_changed_by_a_command_that_wants_two_things(runner):
    told = runner("data", "rules", "acme-corp", "--former", "--end", ends=2)
    assert "Give one of" in told


def test_commands_say_what_a_shared_collection_has_not(runner, app):
    an_organization("Harbour Club", strategy=Strategy.SHARED)
    words = runner("data", "rules", "harbour-club", ends=2)
    assert "shares one with others" in words


def test_what_tells_values_is_for_who_may_read_documents_too(app, acme):
    keeper = DataProgram(app, a_key(acme, None, ["indexes.manage"]))
    for method, path, body in (
        ("GET", "rules/proposal", None),
        ("POST", "rules/try", '{"schema": {"required": ["a"]}}'),
        ("POST", "indexes/check", '{"keys": {"a": 1}, "unique": true}'),
        ("POST", "indexes", '{"keys": {"a": 1}, "expire_after_seconds": 60}'),
        ("PUT", "rules", '{"schema": {"required": ["a"]}, "breaking": 0}'),
    ):
        answer = keeper.send(method, f"/org/acme-corp/{path}", body)
        assert fault(answer)[:2] == (403, "forbidden")
    assert keeper.send("GET", "/org/acme-corp/indexes").status_code == 200
