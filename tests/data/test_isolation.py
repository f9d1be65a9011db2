"""Two organizations with the same ids: no operation of the data API reaches the other's."""

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portal.documents.organizations import Strategy
from tests import placing
from tests.data.conftest import DataProgram
from tests.factories import a_key, an_organization

JSON, NDJSON = "application/json", "application/x-ndjson"
IDS = (0, 3, 9)
ALL = {"filter": {}}
# The rule of each operation, its path and body, and the form in which it is sent or asked for.
CALLS = [
    *(
        ("POST /documents", "/documents", {"_id": n, "of": "acme"}, kind)
        for n in IDS
        for kind in (JSON, NDJSON)
    ),
    *(("PUT /documents/<document_id>", f"/documents/{n}", {"of": "acme"}, JSON) for n in IDS),
    *(("PATCH /documents/<document_id>", f"/documents/{n}", {"$set": {"n": 1}}, JSON) for n in IDS),
    *(("GET /documents/<document_id>", f"/documents/{n}", None, JSON) for n in IDS),
    *(("GET /documents", "/documents", None, kind) for kind in (JSON, NDJSON)),
    *(
        ("POST /documents/query", "/documents/query", query, kind)
        for query in ({"sort": {"_id": -1}}, {"filter": {"_id": {"$in": IDS}}})
        for kind in (JSON, NDJSON)
    ),
    ("POST /documents/count", "/documents/count", {"filter": {"of": "kestrel"}}, JSON),
    (
        "POST /documents/aggregate",
        "/documents/aggregate",
        {"pipeline": [{"$group": {"_id": "$of"}}]},
        JSON,
    ),
    ("POST /documents/update", "/documents/update", {**ALL, "update": {"$set": {"n": 2}}}, JSON),
    ("GET /indexes", "/indexes", None, JSON),
    ("POST /indexes", "/indexes", {"keys": {"n": 1}}, JSON),
    ("POST /indexes", "/indexes", {"keys": {"of": 1}, "unique": True}, JSON),
    ("POST /indexes/check", "/indexes/check", {"keys": {"of": 1}, "unique": True}, JSON),
    ("PATCH /indexes/<index_name>", "/indexes/n_1", {"hidden": True}, JSON),
    ("DELETE /indexes/<index_name>", "/indexes/n_1", None, JSON),
    *(("DELETE /documents/<document_id>", f"/documents/{n}", None, JSON) for n in IDS),
    ("POST /documents/delete", "/documents/delete", ALL, JSON),
]


def test_every_operation_is_tried(app):
    rules = {
        f"{method} {rule.rule.removeprefix('/org/<name:name>')}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.endpoint.partition(".")[0] in ("documents", "indexes") and "by-id" not in rule.rule
    }
    assert {rule for rule, *_ in CALLS} == rules


@pytest.mark.each_case
@pytest.mark.attack("T1")
@pytest.mark.slow
@pytest.mark.parametrize("strategy", [Strategy.COLLECTION, Strategy.SHARED])
def test_two_with_equal_ids_never_meet(app, strategy, tenant_db, master_db):
    """Every operation on one leaves the other as it was, and sees nothing of it."""
    acme, kestrel = (an_organization(name, strategy=strategy) for name in ("Acme Corp", "Kestrel"))
    may = ["documents.read", "documents.write", "indexes.manage"]
    writer = DataProgram(app, a_key(acme, None, may))
    pools = list(master_db.pools.find())
    stored = [{"_id": n, "of": "kestrel"} for n in range(6)]
    placing.store(tenant_db, kestrel.to_mongo(), pools, *stored)
    theirs = placing.collection_of(tenant_db, kestrel.to_mongo(), pools)
    if strategy == Strategy.COLLECTION:
        theirs.create_index("n")

    def now():
        return list(theirs.find({"of": "kestrel"}, sort={"_id": 1})), theirs.index_information()

    before = now()

    @settings(max_examples=6, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @example(CALLS)
    @given(st.lists(st.sampled_from(CALLS), max_size=8))
    def never_meet(drawn):
        for rule, path, body, kind in drawn:
            answer = writer.send(
                rule.partition(" ")[0],
                f"/org/acme-corp{path}",
                None if body is None else json.dumps(body),
                kind if rule == "POST /documents" else JSON,
                headers={"Accept": kind},
            )
            assert answer.status_code < 500
            assert "kestrel" not in answer.text
            if path == "/documents/count":
                assert answer.json["count"] == 0
        assert now() == before

    never_meet()
