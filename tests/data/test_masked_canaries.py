"""Masked values are planted, and looked for in all that those get who may not see them."""

import json
from urllib.parse import urlencode

import bson
import pytest
from bson import Binary, ObjectId

from portal.data import writing
from portal.data.access import document_access
from portal.data.browsing.saved_views import save_view
from portal.data.document_ids import address_of
from portal.data.formats.options import Format, WriteOptions
from portal.data.history.changing import BulkEdit, start_change
from portal.data.history.entries import list_edits
from portal.data.history.field_changes import FieldChanges, SetField
from portal.data.indexes.builds import create_index
from portal.data.indexes.listing import IndexSpec
from portal.data.masks.masks import MASKED
from portal.data.queries import Query
from portal.data.transfer.exports import start_export
from portal.documents.audit import AuditEvent
from portal.documents.document_views import DocumentView
from portal.documents.jobs import Job
from portal.documents.mails import Mail
from portal.documents.memberships import Role
from portal.jobs import runner
from portal.permissions import FOR_API_KEYS
from tests.data.conftest import DataProgram
from tests.data.transfer.conftest import imported, lines, uploaded
from tests.factories import a_context, a_key, a_member, an_access, the_owner

CANARY = "canary-5f1c"
NUMBER = 517_283_946
MASKS = ["iban", "contact.email", "parts.price", "file", "a.b.c", "born"]


def document(n):
    """Canaries wherever a masked field can be, and something to see beside them."""
    return {
        "_id": n,
        "city": f"city-{n}",
        "iban": f"{CANARY}-{'x' * 3000 * (n % 2)}",
        "contact": {"name": "Mara", "email": f"{CANARY}@acme.example"},
        "parts": [{"n": 1, "price": NUMBER}, [{"price": NUMBER}], {"price": {"net": CANARY}}],
        "file": Binary(CANARY.encode() * (n * 40 + 1)),
        "a": [{"b": {"c": CANARY}}, {"b.c": CANARY}],
        "a.b.c": CANARY,
        "contact.email": CANARY,
        "born": NUMBER if n % 2 else [CANARY],
    }


@pytest.fixture
def planted(acme, stored, monkeypatch):
    """An organization in which an owner has done all there is with masked values."""
    acme.update(set__masked_fields=MASKS, set__viewers_read_documents=True)
    acme.reload()
    access = an_access(acme)
    owner = document_access(access, a_context(the_owner(acme)))
    writing.insert_documents(owner, [bson.encode(document(n)) for n in range(6)], None)
    changed = {**document(1), "iban": f"{CANARY}-changed", "city": "another"}
    one = bson.encode({"": 1})
    writing.replace_document(owner, one, bson.encode(changed), None, None, reason="why")
    writing.update_many(owner, {"iban": {"$gt": "c"}}, {"$set": {"iban": f"{CANARY}-all"}}, None)
    writing.delete_document(owner, bson.encode({"": 5}), None, None)
    query = {"iban": {"$gte": f"{CANARY}-"}}
    changes = FieldChanges((SetField("born", bson.encode({"": NUMBER})),))
    start_change(owner, BulkEdit(query, changes, 5), ObjectId(), reason="why")
    for options in (WriteOptions(each) for each in Format):
        start_export(owner, Query(), options, "all documents")
    rows = (
        {"_id": 100, "iban": CANARY, "born": NUMBER},
        {"_id": 1, "iban": CANARY, "born": NUMBER},
    )
    imported(owner, lines(*rows), stop_per_mille=1000)
    table = f"iban,born\ntrue,0{NUMBER}\nfalse,n/a\n{CANARY},\ntrue,5\n"
    uploaded(owner, table.encode(), "x.csv")
    create_index(access, IndexSpec({"iban": 1}, unique=True), owner.context)
    create_index(access, IndexSpec({"city": 1, "born": 1}), owner.context)
    runner.run_due_jobs()
    query = urlencode({"filter": json.dumps({"iban": CANARY})})
    save_view(access, "By bank", query, owner.context, shared=True)
    assert Job.objects(organization=acme.id, state="failed").count() == 1
    return acme


def paths_of(app, prefix, values):
    """The paths of all GET routes below a prefix, with their variables filled."""
    found = []
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(prefix) and "GET" in rule.methods:
            names = {name: values.get(name, values["edit_id"]) for name in rule.arguments}
            found.append(rule.build(names, append_unknown=False)[1])
    return sorted(set(found))


def values_for(organization):
    edits = list_edits(organization).rows
    exports = Job.objects(organization=organization.id, kind="export")
    imports = Job.objects(organization=organization.id, kind="import")
    address = address_of(bson.encode({"": 1}))
    return {
        "slug": "acme-corp",
        "name": "acme-corp",
        "address": address,
        "document_id": address,
        "index_name": "iban_1",
        "edit_id": str(edits[0].id),
        "file_id": str(exports.first().parameters["file"]),
        "export_id": str(exports.first().parameters["file"]),
        "import_id": str(imports.first().parameters["file"]),
        "job_id": str(exports.first().id),
        "view_id": str(DocumentView.objects.first().id),
    }


def assert_silent(answer, path):
    """Assert that an answer has no canary, in headers and content."""
    content = answer.get_data()
    seen = content + str(answer.headers).encode()
    assert CANARY.encode() not in seen, path
    assert str(NUMBER).encode() not in seen, path
    assert answer.status_code < 500, path
    return content.decode("utf-8", "replace")


BROWSED = [
    {"as": "json"},
    {"column": "iban"},
    {"columns": "iban\ncontact.email\nparts.price"},
    {"sort": "iban"},
    {"sort": "-born"},
    {"filter": json.dumps({"iban": {"$regex": CANARY[:4]}})},
    {"filter": json.dumps({"$expr": {"$gt": ["$$ROOT.born", 1]}})},
    {"field": "iban", "choose": "1"},
    {"field": "contact.email", "operator": "contains", "value": CANARY[:3], "add": "and"},
    {"count": "1", "filter": json.dumps({"parts.price": NUMBER + 1})},
]


@pytest.mark.attack("X4")
def test_no_page_tells_a_viewer_a_masked_value(planted, app, visitor, log):
    a_member(planted, Role.VIEWER)
    visitor.log_in("teo@acme.example")
    values, masked = values_for(planted), 0
    paths = paths_of(app, "/organizations/<slug>", values)
    data = "/organizations/acme-corp/data"
    paths += [f"{data}?{urlencode(query)}" for query in BROWSED]
    for name in (["iban"], ["contact", "email"], ["file"], ["a", "0", "b"], ["a.b.c"], ["parts"]):
        path = urlencode({"path": json.dumps(name)})
        paths.append(f"{data}/documents/{values['address']}/value?{path}")
    for path in paths:
        masked += MASKED in assert_silent(visitor.client.get(path, follow_redirects=True), path)
    assert masked >= 5
    assert_kept_nowhere_else(log)


@pytest.mark.attack("X4")
def test_no_export_of_a_viewer_has_a_masked_value(planted, visitor):
    a_member(planted, Role.VIEWER)
    visitor.log_in("teo@acme.example")
    for kind in Format:
        made = visitor.post("/organizations/acme-corp/data/exports", {"format": kind.value})
        assert made.status == 303
        runner.run_due_jobs()
        answer = visitor.client.get(f"{made.location}/file")
        assert answer.status_code == 200
        assert MASKED in assert_silent(answer, kind)


PIPELINES = [
    [{"$project": {"all": {"$objectToArray": "$$ROOT"}}}],
    [{"$group": {"_id": "$contact", "all": {"$push": "$$ROOT"}}}],
    [{"$unwind": "$parts"}, {"$replaceWith": {"x": "$parts"}}],
    [{"$sortByCount": "$a"}],
    [{"$match": {"city": {"$gt": ""}}}, {"$project": {"k": {"$meta": "indexKey"}}}],
    [{"$project": {"x": {"$getField": "a.b.c"}, "y": {"$getField": "contact.email"}}}],
    [{"$facet": {"x": [{"$bucketAuto": {"groupBy": {"$getField": "born"}, "buckets": 2}}]}}],
    [{"$setWindowFields": {"sortBy": {"city": 1}, "output": {"x": {"$push": "$$ROOT"}}}}],
    [{"$redact": "$$DESCEND"}],
    [{"$project": {"iban": 1, "contact": 1}}],
    [{"$set": {"x": "$a"}}, {"$unset": "a"}],
]
PROJECTIONS = [{"iban": 1}, {"contact": 1, "parts": {"$slice": 1}}, {"city": 0}, {"x": "$city"}]


@pytest.mark.attack("X4")
def test_no_answer_tells_a_key_a_masked_value(planted, app, log):
    key = a_key(planted, None, sorted(FOR_API_KEYS - {"documents.unmask"}))
    program, masked = DataProgram(app, key), 0
    documents = "/org/acme-corp/documents"
    answers = {
        path: program.get(path) for path in paths_of(app, "/org/<name:name>", values_for(planted))
    }
    for projection in PROJECTIONS:
        query = {"projection": json.dumps(projection)}
        for path in (documents, f"{documents}/1"):
            answers[f"{path} {projection}"] = program.get(path, query_string=query)
    stream = {"Accept": "application/x-ndjson"}
    answers["stream"] = program.get(documents, headers=stream)
    for pipeline in PIPELINES:
        body = json.dumps({"pipeline": pipeline})
        answers[body] = program.send("POST", f"{documents}/aggregate", body)
    for text in ('{"iban": "canary-5f1c-all"}', '{"_id": 1}', '{"_id": 9, "born": 517283946}'):
        answers[f"insert {text}"] = program.insert(text)
    for path, answer in answers.items():
        if not path.startswith("insert"):  # what it sent itself
            masked += MASKED in assert_silent(answer, path)
    assert masked >= 5
    allowed = [answers[json.dumps({"pipeline": each})].status_code for each in PIPELINES]
    assert allowed.count(200) >= 7
    assert_kept_nowhere_else(log)


def assert_kept_nowhere_else(log):
    """Assert that nothing which the portal keeps or sends of its own has a canary."""
    kept = [str(each.to_mongo()) for found in (AuditEvent, Mail, Job) for each in found.objects]
    kept += [str(event) for event in log.events]
    for each in kept:
        assert CANARY not in each
        assert str(NUMBER) not in each


def test_an_owner_sees_what_was_planted(planted, app, visitor):
    """So that the others are known to look at the right place."""
    visitor.log_in(the_owner(planted).email)
    shown = visitor.get("/organizations/acme-corp/data?as=json").response.get_data(as_text=True)
    assert CANARY in shown
    assert str(NUMBER) in shown
