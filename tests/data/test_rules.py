"""Rules: proposed from the shape, tried before they are put into force, and then kept by MongoDB."""

import json

import pytest
from bson import Int64, ObjectId
from hypothesis import HealthCheck, given, settings
from pymongo.errors import WriteError

from portal import clock
from portal.data.access import operator_access
from portal.data.document_ids import address_of, parse_document_id
from portal.data.errors import InvalidRules, NeedsOwnPlacement, RulesBroken, RulesNotFound
from portal.data.rules import rules, versions
from portal.data.rules.former import find_former, former_rules
from portal.data.rules.proposing import propose_rules
from portal.data.rules.rules import STRICT, WARN, Known, rules_of, set_rules, try_rules
from portal.data.rules.schemas import clauses_of, lines_of, parse_schema
from portal.documents.audit import AuditEvent
from portal.documents.organizations import Strategy
from tests.data.test_shape import DOCUMENTS
from tests.factories import a_context, an_access, an_organization

SCHEMA = {
    "bsonType": "object",
    "required": ["number", "site"],
    "properties": {
        "number": {"bsonType": "string", "pattern": "^WO-[0-9]+$"},
        "status": {"enum": ["planned", "done"]},
        "hours": {"bsonType": "number", "minimum": 0},
        "parts": {"bsonType": "array", "items": {"properties": {"count": {"bsonType": "int"}}}},
    },
}


@pytest.fixture
def seen(acme):
    return operator_access(acme)


def test_rules_are_proposed_that_most_documents_keep(seen, stored):
    stored.insert_many(
        [
            {
                "number": f"WO-{n + 100}" if n else "",
                "status": "Done" if n == 1 else ("done", "planned")[n % 2],
                "hours": -1 if n == 2 else (n % 5) * (0.5 if n % 2 else 1),
                "customer": ObjectId(),
                "note": "seldom" if n < 40 else None,
                "mixed": "x" if n % 2 else 1,
                "parts": [{"count": 1}] * (n % 3),
                "a.b": 1,
            }
            for n in range(300)
        ]
    )
    proposal = propose_rules(seen)
    assert (proposal.named, proposal.fields) == (6, 8)
    assert proposal.schema == {
        "bsonType": "object",
        "required": ["number", "status", "hours", "customer", "parts"],
        "properties": {
            "number": {"bsonType": "string", "pattern": "^WO\\-[0-9]+$"},
            "status": {"bsonType": "string", "enum": proposal.schema["properties"]["status"]["enum"]},
            "hours": {"bsonType": "number", "minimum": 0},
            "customer": {"bsonType": "objectId"},
            "note": {"bsonType": ["string", "null"], "minLength": 1},
            "parts": {
                "bsonType": "array",
                "items": {
                    "bsonType": "object",
                    "required": ["count"],
                    "properties": {"count": {"bsonType": "int", "minimum": 0}},
                },
            },
        },
    }  # fmt: skip
    trial = try_rules(seen, proposal.schema)
    assert (trial.breaking, trial.tried, trial.complete) == (3, 300, True)


def test_documents_that_break_rules_are_told_with_line_reason_and_all_of_their_kind(seen, stored):
    stored.insert_many(
        [
            {"_id": 1, "number": "", "site": "B"},
            {"_id": 2, "number": "WO-1", "site": "B", "status": "Done"},
            {"_id": 3, "number": "WO-1", "hours": "0.5", "site": "B"},
            {"_id": 4, "number": "WO-1", "hours": "2", "site": "B"},
            {"_id": 5, "number": "WO-1"},
            {"_id": 6, "number": "WO-1", "site": "B", "parts": [{"count": "1"}]},
            {"_id": 7, "number": "WO-1", "site": "B", "hours": 3},
        ]
    )
    trial = try_rules(seen, SCHEMA)
    assert trial.breaking == 6
    told = {(each.clause.name, each.words, each.documents) for each in trial.examples}
    assert ("hours", "is the text “0.5”, not number", 2) in told
    assert len(trial.examples) == 5
    by_line = {line.number: line.text.strip() for line in lines_of(SCHEMA)}
    for each in trial.examples:
        last = each.clause.path[-1]
        assert last in by_line[each.line]
        query = json.loads(each.filter)
        assert stored.count_documents(query) == each.documents
        assert address_of(parse_document_id(each.address)) == each.address
    words = {each.clause.name: each.words for each in trial.examples}
    others = {
        "number": "is “”, which doesn’t match ^WO-[0-9]+$",
        "status": "is “Done”, not one of the 2",
        "site": "is missing",
        "parts.count": 'has an element that breaks bsonType "int"',
    }
    assert all(words[name] == other for name, other in others.items() if name in words)


def test_rules_bind_who_writes_and_leave_what_was_there(acme, stored, seen):
    stored.insert_one({"_id": 1, "hours": "x"})
    set_rules(an_access(acme), {"properties": {"hours": {"bsonType": "number"}}}, a_context())
    found = rules_of(acme)
    assert (found.schema, found.level) == (
        {"properties": {"hours": {"bsonType": "number"}}},
        rules.MODERATE,
    )
    assert found.at is not None
    with pytest.raises(WriteError):
        stored.insert_one({"hours": "x"})
    stored.update_one({"_id": 1}, {"$set": {"note": "still"}})
    set_rules(an_access(acme), found.schema, a_context(), level=STRICT)
    with pytest.raises(WriteError):
        stored.update_one({"_id": 1}, {"$set": {"note": "refused"}})
    set_rules(an_access(acme), found.schema, a_context(), action=WARN)
    stored.insert_one({"hours": "let through"})
    set_rules(an_access(acme), None, a_context())
    assert rules_of(acme).schema is None
    actions = [event.action for event in AuditEvent.objects(chain=acme.id).order_by("seq")]
    assert actions[-4:] == ["rules.changed"] * 3 + ["rules.ended"]


def test_rules_that_more_documents_break_than_was_told_are_not_put_into_force(acme, stored):
    schema = {"required": ["a"]}
    stored.insert_many([{}, {}])
    with pytest.raises(RulesBroken) as refusal:
        set_rules(an_access(acme), schema, a_context(), known=Known(1))
    assert "2 documents" in refusal.value.words
    assert rules_of(acme).schema is None
    set_rules(an_access(acme), schema, a_context(), known=Known(2))
    assert rules_of(acme).schema == schema


def test_a_validator_that_is_no_schema_is_told_beside_it(acme, stored, tenant_db):
    tenant_db.command("collMod", stored.name, validator={"a": {"$gt": 1}})
    found = rules_of(acme)
    assert (found.schema, found.others) == (None, {"a": {"$gt": 1}})


def test_a_validator_that_is_no_schema_stays_beside_new_rules(acme, stored, tenant_db):
    tenant_db.command("collMod", stored.name, validator={"a": {"$gt": 1}})
    set_rules(an_access(acme), SCHEMA, a_context())
    found = rules_of(acme)
    assert (found.schema, found.others) == (SCHEMA, {"a": {"$gt": 1}})
    set_rules(an_access(acme), None, a_context())
    assert rules_of(acme).others is None


def test_rules_that_were_in_force_are_kept_with_who_and_when(acme, stored, seen):
    def former():
        return former_rules(seen, rules_of(acme))

    one, other = {"required": ["a"]}, {"required": ["b"]}
    set_rules(an_access(acme), one, a_context(), level=STRICT)
    assert former() == []
    set_rules(an_access(acme), other, a_context())
    set_rules(an_access(acme), other, a_context(), action=WARN)
    set_rules(an_access(acme), None, a_context())
    found = former()
    assert [(each.rules.schema, each.rules.level, each.rules.action) for each in found] == [
        (other, rules.MODERATE, WARN),
        (other, rules.MODERATE, rules.REFUSE),
        (one, STRICT, rules.REFUSE),
    ]
    times = [time for each in found for time in (each.until, each.rules.at)]
    assert times == sorted(times, reverse=True)
    assert find_former(seen, rules_of(acme), found[2].id) == found[2]
    with pytest.raises(RulesNotFound):
        find_former(operator_access(an_organization("Globex")), rules_of(acme), found[2].id)


def test_what_a_program_had_set_is_kept_as_it_is_replaced(acme, stored, seen, tenant_db):
    schema = {"properties": {"n": {"minimum": Int64(1), "enum": [1.0, Int64(2)]}}}
    tenant_db.command("collMod", stored.name, validator={"$jsonSchema": schema, "a": 1})
    set_rules(an_access(acme), {"required": ["a"]}, a_context())
    [found] = former_rules(seen, rules_of(acme))
    assert (found.rules.schema, found.rules.at) == (schema, None)
    assert type(found.rules.schema["properties"]["n"]["minimum"]) is Int64
    assert found.until is not None


def test_the_oldest_of_many_former_rules_go(acme, seen, monkeypatch):
    monkeypatch.setattr(versions, "MOST_KEPT", 2)
    for name in "abc":
        set_rules(an_access(acme), {"required": [name]}, a_context())
    set_rules(an_access(acme), None, a_context())
    found = former_rules(seen, rules_of(acme))
    assert [each.rules.schema["required"] for each in found] == [["c"], ["b"]]


def test_rules_are_tried_on_a_sample_where_all_would_take_too_long(seen, stored, monkeypatch):
    stored.insert_many([{"n": n} for n in range(50)])
    monkeypatch.setattr(rules, "TRYING_SECONDS", 1e-6)
    trial = try_rules(seen, {"properties": {"n": {"bsonType": "string"}}})
    assert (trial.breaking, trial.tried, trial.complete) == (50, 50, False)


def test_rules_that_a_sample_shows_to_be_broken_are_not_put_into_force(acme, stored, monkeypatch):
    stored.insert_many([{"n": n} for n in range(50)])
    monkeypatch.setattr(rules, "TRYING_SECONDS", 1e-6)
    schema = {"required": ["a"]}
    for known in (Known(49), Known(0, of=250), Known(10, of=250)):
        with pytest.raises(RulesBroken) as refusal:
            set_rules(an_access(acme), schema, a_context(), known=known)
        assert "At least 50 documents" in refusal.value.words
    assert rules_of(acme).schema is None
    set_rules(an_access(acme), schema, a_context(), known=Known(50, of=50))
    assert rules_of(acme).schema == schema


@pytest.mark.parametrize(
    ("breaking", "more", "tried", "complete", "known", "exceeds"),
    [
        (0, False, 250, False, Known(0, of=250), False),
        (1, False, 250, False, Known(0, of=250), True),
        (20, False, 250, False, Known(12, of=250), False),  # as two samples differ
        (40, False, 250, False, Known(12, of=250), True),
        (480, False, 10_000, True, Known(12, of=250), False),
        (1_480, False, 10_000, True, Known(12, of=250), True),
        (10_000, True, 90_000, True, Known(10_000), True),
        (10_000, True, 90_000, True, Known(10_001), False),  # more than 10,000 were told
        (10_000, True, 90_000, True, Known(250, of=250), True),
        (250, False, 250, False, Known(10_001), False),
        (250, False, 250, False, Known(249), True),
    ],
)
def test_a_trial_tells_whether_more_documents_break_rules(
    breaking, more, tried, complete, known, exceeds
):
    trial = rules.Trial(breaking, more, tried, complete, (), (), "", clock.now())
    assert trial.exceeds(known) is exceeds
    assert not trial.exceeds(trial.known)


@pytest.mark.parametrize(
    "text",
    [
        '{"bsonType": "wild"}',
        '{"colour": "red"}',
        '{"required": "a"}',
        '{"required": []}',
        '{"properties": []}',
        '{"properties": {"a": 5}}',
        '{"properties": {"a": {"pattern": "("}}}',
        '{"$where": "1"}',
        '{"allOf": [{"$where": "1"}]}',
        '{"minimum": "x"}',
    ],
)
def test_what_is_no_schema_is_refused_in_words(seen, acme, text):
    with pytest.raises(InvalidRules) as refusal:
        try_rules(seen, parse_schema(text))
    assert len(refusal.value.reason) > 10
    with pytest.raises(InvalidRules):
        set_rules(an_access(acme), parse_schema(text), a_context())


def test_a_shared_collection_has_no_rules(app):
    shared = an_organization("Shared", strategy=Strategy.SHARED)
    for attempt in (
        lambda: rules_of(shared),
        lambda: try_rules(operator_access(shared), {}),
        lambda: set_rules(an_access(shared), {}, a_context()),
    ):
        with pytest.raises(NeedsOwnPlacement):
            attempt()


ADDITIONAL = (
    ('{"properties": {"p": {"items": [{"bsonType": "int"}], "additionalItems": false}}}',
     {"p": [1, 2]}, {"p": ["x"]}, "additionalItems"),
    ('{"properties": {"p": {"items": {"items": [{}, {}], "additionalItems": {"type": "string"}}}}}',
     {"p": [[1, 2, 3]]}, {"p": [[1, 2, "x"]]}, "additionalItems"),
    ('{"properties": {"_id": {}, "p": {"bsonType": "int"}}, "patternProperties": {"^x": '
     '{"bsonType": "int"}}, "additionalProperties": false}',
     {"p": 1, "q": 1}, {"p": "x", "xs": "x"}, "additionalProperties"),
)  # fmt: skip


@pytest.mark.parametrize(("text", "broken", "others", "keyword"), ADDITIONAL)
def test_what_is_additional_breaks_its_own_clause_alone(
    seen, stored, text, broken, others, keyword
):
    stored.delete_many({})
    stored.insert_many([{"_id": 1, **broken}, {"_id": 2, **others}])
    broken_by = {
        clause.keyword: [each["_id"] for each in stored.find(clause.breaking, {"_id": 1})]
        for clause in clauses_of(parse_schema(text))
    }
    assert broken_by.pop(keyword) == [1]
    assert not any(1 in each for each in broken_by.values())
    [example] = [each for each in try_rules(seen, parse_schema(text)).examples
                 if each.clause.keyword == keyword]  # fmt: skip
    assert example.documents == 1


def test_a_schema_reads_back_from_its_lines():
    text = "\n".join(line.text for line in lines_of(SCHEMA))
    assert parse_schema(text) == SCHEMA
    assert [line.number for line in lines_of(SCHEMA)] == list(range(1, text.count("\n") + 2))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(documents=DOCUMENTS)
def test_what_is_told_is_what_the_server_says(seen, stored, documents):
    """Whatever the documents are, their proposal is a schema, and its clauses together are it."""
    stored.delete_many({})
    stored.insert_many([{"_id": n, "data": each} for n, each in enumerate(documents)])
    schema = propose_rules(seen).schema
    trial = try_rules(seen, schema)
    assert trial.breaking == stored.count_documents({"$nor": [{"$jsonSchema": schema}]})
    clauses = [{"$jsonSchema": clause.schema} for clause in clauses_of(schema)]
    assert trial.breaking == stored.count_documents({"$nor": [{"$and": clauses}]})
    for each in trial.examples:
        assert stored.count_documents(each.clause.breaking) == each.documents
