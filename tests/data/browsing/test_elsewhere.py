"""The page of documents in a shared collection, and for who may not see all."""

import pytest

from portal.documents.memberships import Role
from portal.documents.organizations import Organization, Strategy
from portal.organizations.storage import tenant_of
from tests.data.browsing.conftest import DATA, Onlooker
from tests.factories import a_member, an_account, an_organization
from tests.visitor import Visitor

CANARY = "canary-4711"


@pytest.fixture
def viewer(app, acme):
    changes = {"viewers_read_documents": True, "masked_fields": ["salary", "contact.email", "long"]}
    Organization.objects(id=acme.id).update(**changes)
    a_member(acme, Role.VIEWER, "teo@acme.example")
    visitor = Visitor(app)
    visitor.log_in("teo@acme.example")
    return Onlooker(visitor)


@pytest.fixture
def with_canaries(stored):
    stored.insert_one(
        {"_id": 1, "name": "Teo", "salary": CANARY, "long": CANARY * 1000,
         "contact": {"email": CANARY, "city": "Ulm", "more": ["x" * 500] * 9}}
    )  # fmt: skip
    stored.insert_one({"_id": 2, "name": "Mara"})


def test_a_masked_value_is_on_no_page(viewer, with_canaries):
    for query in ({}, {"as": "json"}, {"column": "salary"}, {"field": "salary"}):
        page = viewer.page(**query)
        assert page.status == 200
        assert "4711" not in page.text
    rows = viewer.rows(column=["name", "salary", "contact.email", "contact.city"])
    assert rows == [["2", "Mara", "•••", "•••", "missing"], ["1", "Teo", "•••", "•••", "Ulm"]]
    told = "\n".join(viewer.json_lines())
    assert '"salary": •••' in told
    assert "11 kB" not in told  # the size of what is masked
    value = viewer.visitor.get(f"{DATA}/documents/1/value", query_string={"path": '["long"]'})
    assert value.response.text == "•••"
    assert viewer.page(field="salary").text.count("In 2 of 2 documents.") == 1


def test_nobody_finds_or_sorts_by_what_is_masked_for_them(viewer, with_canaries):
    condition = '["salary","is","text","x"]'
    refused = ({"c": condition}, {"sort": "salary"}, {"filter": '{"contact": {"email": "x"}}'})
    for query in refused:
        assert viewer.page(**query).status == 403
        assert viewer.visitor.get(f"{DATA}/count", query_string=query).status in (403, 200)
    assert viewer.visitor.get(f"{DATA}/count", query_string={"c": condition}).status == 403


def test_a_search_for_words_is_of_what_one_may_see(viewer, with_canaries, stored):
    search = '{"$text": {"$search": "teo"}}'
    stored.create_index([("name", "text")])
    assert viewer.ids(filter=search) == ["1"]
    stored.drop_indexes()
    stored.create_index([("name", "text"), ("contact.email", "text")])
    assert viewer.page(filter=search).status == 403


def test_viewers_see_no_documents_unless_an_owner_allows_it(app, acme, stored):
    a_member(acme, Role.VIEWER, "teo@acme.example")
    visitor = Visitor(app)
    visitor.log_in("teo@acme.example")
    for path in ("", "/count", "/readings", "/views", "/views/new", "/documents/1/value"):
        assert visitor.get(f"{DATA}{path}").status == 403
    assert not visitor.get("/organizations/acme-corp").html.find("a", string="Data")


def test_documents_in_a_shared_collection_are_shown_and_found_alike(app, visitor):
    account = an_account("mara@acme.example")
    acme = an_organization("Acme Corp", account, strategy=Strategy.SHARED)
    other = an_organization("Other", account, strategy=Strategy.SHARED)
    tenant_of(acme).insert_many([{"_id": n, "a": n % 3, "t": "x" * 2000} for n in range(60)])
    tenant_of(other).insert_many([{"_id": n, "a": CANARY} for n in range(60)])
    visitor.log_in("mara@acme.example")
    onlooker = Onlooker(visitor)
    page = onlooker.page()
    assert [row.th.get_text() for row in page.html.select("tbody tr")][:2] == ["59", "58"]
    older = visitor.get(page.html.find("a", string="Older")["href"])
    assert len(older.html.select("tbody tr")) == 10
    assert CANARY not in page.text + older.text
    assert len(onlooker.find("a", "is", "1")) == 20
    assert "60 documents" in onlooker.page(count="1").html.select_one("#count").text
