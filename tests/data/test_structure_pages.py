"""Pages of shape, indexes and rules, without JavaScript."""

import datetime
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from portal.data.access import operator_access
from portal.data.errors import QueryTooSlow
from portal.data.plans import MOST_SCANNED
from portal.data.reading import count_documents
from portal.data.rules import rules
from portal.database.connection import tenant_database
from portal.documents.accounts import Account
from portal.documents.index_suggestions import IndexSuggestion
from portal.documents.memberships import Role
from portal.documents.organizations import Organization, Strategy
from tests.factories import a_member, an_organization, verify
from tests.processes import wait_until

DATA = "/organizations/acme-corp/data"


@pytest.fixture
def mara(visitor):
    visitor.sign_up("Acme Corp", "mara@acme.example")
    verify()
    return visitor


@pytest.fixture
def filled(mara):
    acme = Organization.objects.get(slug="acme-corp")
    stored = tenant_database()[acme.placement.collection]
    stored.insert_many(
        [
            {"_id": n, "number": f"WO-{n + 10}", "hours": "0.5" if n == 3 else n, "a.b": 1}
            for n in range(60)
        ]
    )
    return stored


def row(page, name):
    found = page.html.find("code", string=name)
    return found.find_parent("tr")


def filter_in(link):
    [text] = parse_qs(urlsplit(link["href"]).query)["filter"]
    return json.loads(text)


def test_the_shape_leads_to_exactly_the_documents_that_stand_out(mara, filled):
    page = mara.get(f"{DATA}/shape")
    assert "All 60 documents" in page.text
    link = row(page, "hours").find("a")
    assert link.get_text() == "1: text"
    assert filled.count_documents(filter_in(link)) == 1
    assert "one field with a dot" in row(page, "a.b").get_text()
    assert page.html.find("a", string="Propose rules from this…")
    assert mara.get(link["href"]).status == 200


def test_a_viewer_sees_the_shape_without_sensitive_fields_and_no_indexes(mara, filled):
    acme = Organization.objects.get(slug="acme-corp")
    acme.update(set__viewers_read_documents=True, set__masked_fields=["number"])
    a_member(acme, Role.VIEWER)
    seen = mara.get(f"{DATA}/shape")
    assert "not drawn" in row(seen, "number").get_text()
    assert "WO-" not in seen.text
    mara.log_out()
    mara.log_in("teo@acme.example")
    page = mara.get(f"{DATA}/shape")
    assert page.html.find("code", string="number") is None
    assert "WO-" not in page.text
    assert page.html.find("a", string="Indexes") is None
    for path in ("indexes", "rules"):
        assert mara.get(f"{DATA}/{path}").status == 403


def test_an_index_is_built_hidden_and_dropped(mara, filled):
    built = mara.post(
        f"{DATA}/indexes/new",
        {"field_1": "number", "field_2": "hours", "order_2": "-1", "purpose": "find"},
        form_at=f"{DATA}/indexes",
        follow_redirects=True,
    )
    assert "The index number_1_hours_-1 is ready." in built.text.replace("\u2068", "").replace(
        "\u2069", ""
    )
    for verb, words in (("hide", "Hidden, kept current"), ("unhide", "Ready")):
        page = mara.post(
            f"{DATA}/indexes/number_1_hours_-1/{verb}",
            form_at=f"{DATA}/indexes",
            follow_redirects=True,
        )
        assert words in row(page, "number_1_hours_-1").get_text()
    path = f"{DATA}/indexes/number_1_hours_-1/drop"
    told = mara.get(f"{DATA}/indexes").text
    assert f"It reads all {filled.count_documents({})} documents" in told
    asked = mara.get(path)
    assert "Hide it first" in asked.text
    mara.post(path)
    assert set(filled.index_information()) == {"_id_"}


def test_what_stands_in_the_way_is_named_and_what_was_typed_stays(mara, filled):
    filled.update_one({"_id": 1}, {"$set": {"number": "WO-12"}})
    filled.update_many({"_id": {"$in": [5, 6]}}, {"$unset": {"number": ""}})
    sent = {"field_1": "number", "purpose": "unique", "which": "all"}
    page = mara.post(f"{DATA}/indexes/new", sent, form_at=f"{DATA}/indexes")
    assert page.status == 409
    assert page.fault("which") == "4 documents would not fit. Nothing was built."
    assert "missing counts as null" in page.text
    assert page.value("field_1") == "number"
    [_, same] = page.html.find("caption", string="In the way").find_parent("table").tbody("tr")
    link = same("a")[-1]
    assert filled.count_documents(filter_in(link)) == int(link.get_text())
    having = mara.post(
        f"{DATA}/indexes/new", {**sent, "which": "having"}, form_at=f"{DATA}/indexes"
    )
    assert having.fault("which") == "2 documents would not fit. Nothing was built."
    assert set(filled.index_information()) == {"_id_"}


def test_a_stale_form_of_an_index_keeps_what_was_typed(mara, filled):
    stale = {**mara.hidden(f"{DATA}/indexes"), "csrf_token": "of another session"}
    typed = {"field_1": "number", "purpose": "unique", "which": "sparse"}
    page = mara.send(f"{DATA}/indexes/new", {**stale, **typed})
    assert (page.status, page.value("field_1")) == (400, "number")
    assert "send it again" in page.html.select_one(".flash").get_text()
    chosen = {each["value"] for each in page.html.select(".new-index [checked]")}
    assert chosen == {"unique", "sparse"}
    assert set(filled.index_information()) == {"_id_"}


def test_a_stale_form_of_rules_keeps_them_and_what_was_chosen(mara, filled):
    form_at = f"{DATA}/rules?proposed=1"
    stale = {**mara.hidden(form_at), "csrf_token": "of another session"}
    sent = {"schema": '{"required": ["number"]}', "level": "strict", "action": "warn"}
    page = mara.send(f"{DATA}/rules/force", {**stale, **sent})
    assert page.status == 400
    assert "send it again" in page.html.select_one(".flash").get_text()
    form = page.html.select_one("form.force")
    assert json.loads(form.find("input", {"name": "schema"})["value"]) == json.loads(sent["schema"])
    assert {each["value"] for each in form.select("[checked]")} == {"strict", "warn"}
    assert "There are no rules yet" in mara.get(f"{DATA}/rules").text


def test_documents_are_deleted_by_an_index_only_when_that_is_wanted(mara, filled):
    filled.update_many({}, {"$set": {"at": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)}})
    sent = {"field_1": "at", "purpose": "expire", "after": "30", "unit": "days"}
    page = mara.post(f"{DATA}/indexes/new", sent, form_at=f"{DATA}/indexes")
    assert page.status == 409
    assert "60 documents would be deleted" in page.fault("deletes")
    assert set(filled.index_information()) == {"_id_"}
    built = mara.post(f"{DATA}/indexes/new", {**sent, "deletes": "y"}, form_at=f"{DATA}/indexes")
    assert built.status == 303
    assert filled.index_information()["at_1"]["expireAfterSeconds"] == 30 * 86400


@pytest.mark.parametrize(
    ("sent", "field", "words"),
    [
        ({}, "field_1", "Name a field. Nothing was built."),
        ({"field_1": "$a"}, "field_1", "names of fields"),
        ({"field_1": "a", "field_2": "a"}, "field_2", "a is there twice."),
        ({"field_1": "a", "purpose": "expire", "after": "soon"}, "after", "a whole number"),
        ({"field_1": "a", "which": "matching", "filter": "{"}, "filter", "Correct the filter"),
        ({"field_1": "a", "which": "matching", "filter": '{"$where": "1"}'}, "filter", "where"),
    ],
)
def test_what_makes_no_index_is_told_at_its_field(mara, sent, field, words):
    page = mara.post(f"{DATA}/indexes/new", sent, form_at=f"{DATA}/indexes")
    assert page.status == 422
    assert words in page.fault(field)


def test_another_field_is_asked_for_and_nothing_is_built(mara, filled):
    sent = {"field_1": "a", "field_2": "b", "more": "1"}
    page = mara.post(f"{DATA}/indexes/new", sent, form_at=f"{DATA}/indexes")
    assert page.html.find(id="field_3")
    assert page.value("field_2") == "b"
    assert set(filled.index_information()) == {"_id_"}


def test_refused_queries_suggest_an_index(mara, filled, monkeypatch):
    monkeypatch.setattr("portal.data.plans.MOST_SCANNED", 10)
    for _ in range(2):
        mara.get(DATA, query_string={"filter": '{"hours": {"$gt": 5}, "number": "x"}'})
    page = mara.get(f"{DATA}/indexes")
    suggestion = page.html.select_one(".would-help li")
    assert suggestion.code.get_text() == "number, _id, hours"
    assert "refused" in suggestion.get_text()
    page = mara.get(suggestion.a["href"])
    assert [page.value(f"field_{n}") for n in (1, 2, 3)] == ["number", "_id", "hours"]
    assert MOST_SCANNED == 100_000


def test_a_query_that_was_stopped_suggests_an_index(mara, filled, bare_client):
    acme = Organization.objects.get(slug="acme-corp")
    out_of_time = {"failCommands": ["aggregate"], "errorCode": 50, "namespace": filled.full_name}
    point = {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": out_of_time}
    bare_client.admin.command(point)
    with pytest.raises(QueryTooSlow):
        count_documents(operator_access(acme), {"hours": 5}, None)
    wait_until(lambda: IndexSuggestion.objects(organization=acme.id).first())
    page = mara.get(f"{DATA}/indexes")
    assert "too slow 1 time" in page.html.select_one(".would-help li").get_text()


def test_a_page_that_was_stopped_suggests_an_index(mara, filled, bare_client):
    """The newest documents, which are read twice beside it, need none."""
    acme = Organization.objects.get(slug="acme-corp")
    out_of_time = {"failCommands": ["aggregate"], "errorCode": 50, "namespace": filled.full_name}
    point = {"configureFailPoint": "failCommand", "mode": {"times": 3}, "data": out_of_time}
    bare_client.admin.command(point)
    assert "4 seconds" in mara.get(DATA, query_string={"filter": '{"hours": 5}'}).text
    wait_until(lambda: IndexSuggestion.objects(organization=acme.id).first())
    page = mara.get(f"{DATA}/indexes")
    [suggested] = page.html.select(".would-help li")
    assert suggested.code.get_text() == "hours, _id"
    assert "too slow 1 time" in suggested.get_text()


def test_a_failed_build_keeps_its_cause_until_it_is_forgotten(mara, filled):
    filled.update_many({}, {"$set": {"same": 1}})
    filled.create_index("same")
    filled.create_index([("x", 1)], name="y")
    mara.post(f"{DATA}/indexes/new", {"field_1": "x"}, form_at=f"{DATA}/indexes")
    page = mara.get(f"{DATA}/indexes")
    assert "x_1 was not built." in page.text
    mara.post(f"{DATA}/indexes/x_1/drop", form_at=f"{DATA}/indexes")
    assert "was not built" not in mara.get(f"{DATA}/indexes").text


def test_rules_are_proposed_tried_edited_and_put_into_force(mara, filled):
    assert "There are no rules yet" in mara.get(f"{DATA}/rules").text
    page = mara.get(f"{DATA}/rules?proposed=1")
    assert "1 of 60 documents would break these rules." in page.text
    assert "is the text “0.5”, not int32" in page.text
    schema = page.html.find("input", {"name": "schema"})["value"]
    edited = mara.post(f"{DATA}/rules", {"schema": schema, "edit": "1"})
    assert edited.html.textarea.get_text().strip() == schema
    wrong = mara.post(f"{DATA}/rules", {"schema": schema[:-1]})
    assert wrong.status == 422
    assert "Correct the JSON" in wrong.fault("schema")
    sent = {"schema": schema, "breaking": "1", "level": "moderate", "action": "error"}
    filled.update_one({"_id": 5}, {"$set": {"hours": "x"}})
    grown = mara.post(f"{DATA}/rules/force", sent, form_at=f"{DATA}/rules?proposed=1")
    assert grown.status == 409
    assert "More documents break these rules" in grown.text
    done = mara.post(
        f"{DATA}/rules/force", {**sent, "breaking": "2"}, form_at=f"{DATA}/rules?proposed=1"
    )
    assert done.status == 303
    page = mara.get(f"{DATA}/rules")
    assert "mara@acme.example" in page.text
    mara.post(f"{DATA}/rules/end", form_at=f"{DATA}/rules")
    page = mara.get(f"{DATA}/rules")
    assert "No rules are in force" in page.text
    [link] = page.html.find("caption", string="Former rules").find_parent("table").tbody("a")
    again = mara.get(link["href"])
    assert "2 of 60 documents would break these rules." in again.text
    hidden = again.html.select_one("form.force").select("input[type=hidden]")
    back = {each["name"]: each["value"] for each in hidden}
    mara.post(f"{DATA}/rules/force", {**sent, **back}, form_at=link["href"])
    assert "In force now" in mara.get(f"{DATA}/rules").text
    assert mara.get(f"{DATA}/rules?former=0").status == 404


def test_rules_tried_on_a_sample_are_put_into_force_by_what_was_told(mara, filled, monkeypatch):
    monkeypatch.setattr(rules, "TRYING_SECONDS", 1e-6)
    page = mara.post(f"{DATA}/rules", {"schema": '{"required": ["a"]}'})
    assert "60 of 60 documents would break" in page.text
    assert "on a random sample" in page.text
    assert page.html.find("a", string="60 of the sample")
    told = {each["name"]: each["value"] for each in page.html.select("form.force [type=hidden]")}
    sent = {"level": "moderate", "action": "error"}
    fewer = {**told, "breaking": "20", **sent}
    grown = mara.post(f"{DATA}/rules/force", fewer, form_at=f"{DATA}/rules?proposed=1")
    assert grown.status == 409
    done = mara.post(f"{DATA}/rules/force", {**told, **sent}, form_at=f"{DATA}/rules?proposed=1")
    assert done.status == 303


def test_in_a_shared_collection_pages_say_what_would_change_that(mara):
    owner = Account.objects.get(email="mara@acme.example")
    an_organization("Harbour Club", owner, Strategy.SHARED)
    for path in ("indexes", "rules"):
        page = mara.get(f"/organizations/harbour-club/data/{path}")
        assert page.status == 200
        assert "shares a collection with others" in page.text
        assert page.html.find("a", string="where it lives")
    assert mara.get("/organizations/harbour-club/data/shape").status == 200
