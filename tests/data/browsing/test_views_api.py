"""Views of documents, for programs."""

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


def test_a_view_of_nonsense_is_refused(app, acme):
    program = Program(app, a_key(acme, None, ["documents.read", "documents.write"]))
    for query in ("c={", "filter={", "sort=$x", "field=begun", "c=" + "x" * 7000):
        assert program.post(VIEWS, {"name": "Dispatch", "query": query}).status_code == 422
