"""Views of documents, for programs."""

import pytest
from bson import ObjectId

from portal import clock
from portal.documents.document_views import DocumentView
from tests.factories import a_key
from tests.program import Program

VIEWS = "/org/acme-corp/views"
WAITING = {"name": "Dispatch", "query": 'c=["status","is","text","waiting"]&sort=-due&column=due'}


def test_a_view_says_by_which_filter_its_documents_are_read(app, acme):
    program = Program(app, a_key(acme, None, ["documents.read", "documents.write"]))
    saved = program.post(VIEWS, {**WAITING, "shared": True})
    assert saved.status_code == 201
    [view] = program.get(VIEWS).json["views"]
    assert view == saved.json["view"]
    assert view["filter"] == {"status": {"$eq": "waiting"}}
    assert view["sort"] == {"due": -1}
    assert view["columns"] == ["due"]
    assert view["shared"]


def test_a_key_that_only_reads_keeps_no_view(app, acme):
    program = Program(app, a_key(acme, None, ["documents.read"]))
    assert program.post(VIEWS, WAITING).status_code == 403
    assert program.get(VIEWS).json["views"] == []


def test_a_change_of_what_was_changed_meanwhile_is_refused(app, acme):
    program = Program(app, a_key(acme, None, ["documents.read", "documents.write"]))
    url = f"{VIEWS}/{program.post(VIEWS, WAITING).json['view']['id']}"
    changed = {"name": "Dispatch", "query": "sort=due", "version": 1}
    assert program.ask("PUT", url, changed).json["view"]["version"] == 2
    refused = program.ask("PUT", url, {**changed, "query": ""})
    assert (refused.status_code, refused.json["error"]["code"]) == (409, "view_changed")
    assert program.ask("DELETE", url).status_code == 200
    assert program.ask("DELETE", url).status_code == 404


HALVES = (
    'c=["a","is","text","\\ud800"]',
    'c=["a\\udfff","present"]',
    'c=["a","\\ud800","text","b"]',
    'filter={"a":"\\ud800"}',
)


@pytest.mark.parametrize("query", HALVES)
def test_half_a_surrogate_pair_is_no_condition(app, acme, query):
    program = Program(app, a_key(acme, None, ["documents.read", "documents.write"]))
    refused = program.post(VIEWS, {"name": "Dispatch", "query": query, "shared": True})
    assert refused.status_code == 422
    assert program.get(VIEWS).json["views"] == []


def a_kept_view(acme, query):
    """A view as another version of the portal may have kept it."""
    return DocumentView(
        id=ObjectId(), organization=acme.id, name="Old", name_key="old", query=query,
        created_at=clock.now(),
    ).save()  # fmt: skip


def test_a_kept_view_that_cannot_be_read_breaks_no_list(app, acme):
    kept = a_kept_view(acme, HALVES[0])
    program = Program(app, a_key(acme, None, ["documents.read", "documents.write"]))
    assert program.post(VIEWS, {**WAITING, "shared": True}).status_code == 201
    views = {each["name"]: each["filter"] for each in program.get(VIEWS).json["views"]}
    assert views == {"Dispatch": {"status": {"$eq": "waiting"}}, "Old": None}
    assert program.ask("DELETE", f"{VIEWS}/{kept.id}").status_code == 200


def test_a_view_of_nonsense_is_refused(app, acme):
    program = Program(app, a_key(acme, None, ["documents.read", "documents.write"]))
    for query in ("c={", "filter={", "sort=$x", "field=begun", "c=" + "x" * 7000):
        assert program.post(VIEWS, {"name": "Dispatch", "query": query}).status_code == 422
