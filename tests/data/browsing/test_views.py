"""Views of documents: kept, opened, changed, deleted, and by whom they are seen."""

from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from portal.documents.audit import AuditEvent
from portal.documents.document_views import DocumentView
from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from tests.data.browsing.conftest import DATA, Onlooker
from tests.data.browsing.test_views_api import a_kept_view
from tests.factories import a_key, a_member
from tests.program import Program
from tests.visitor import Visitor

VIEWS = f"{DATA}/views"
WAITING = (
    "c=%5B%22status%22,%22is%22,%22text%22,%22waiting%22%5D&sort=-due&column=due&column=status"
)


@pytest.fixture
def viewer(app, acme):
    Organization.objects(id=acme.id).update(viewers_read_documents=True)
    a_member(acme, Role.VIEWER, "teo@acme.example")
    visitor = Visitor(app)
    visitor.log_in("teo@acme.example")
    return Onlooker(visitor)


def save(onlooker, name, whose="own", query=WAITING):
    fields = {"name": name, "whose": whose}
    return onlooker.visitor.post(f"{VIEWS}/new?{query}", fields)


def names(onlooker):
    return [
        cell.get_text(strip=True) for cell in onlooker.visitor.get(VIEWS).html.select("tbody th")
    ]


def test_a_view_opens_as_it_was_saved(onlooker, stored):
    stored.insert_many(
        [{"_id": n, "status": ("waiting", "done")[n % 2], "due": n} for n in range(6)]
    )
    saved = save(onlooker, "Dispatch")
    assert saved.status == 303
    page = onlooker.visitor.get(saved.location, follow_redirects=True)
    assert [head.get_text(strip=True) for head in page.html.select("thead th")[1:]] == [
        "_id",
        "due",
        "status",
    ]
    assert [row.th.get_text(strip=True) for row in page.html.select("tbody tr")] == ["4", "2", "0"]
    assert "“Dispatch” is kept." in page.text
    assert page.html.select_one("#view option[selected]").text == "Dispatch"


def test_a_kept_view_that_cannot_be_read_breaks_no_page(onlooker, acme):
    view = a_kept_view(acme, 'c=["a","is","text","\\ud800"]')
    save(onlooker, "Mine")
    assert names(onlooker) == ["Mine", "Old"]
    assert "can’t be read any more" in onlooker.visitor.get(VIEWS).text
    opened = onlooker.visitor.get(f"{DATA}?view={view.id}", follow_redirects=True)
    assert opened.status == 422
    assert "half of a surrogate pair" in opened.text
    assert onlooker.visitor.get(f"{VIEWS}/{view.id}/change").status == 200
    assert onlooker.visitor.post(f"{VIEWS}/{view.id}/delete", {}).status == 303
    assert names(onlooker) == ["Mine"]


@pytest.mark.parametrize(
    ("query", "sort"),
    [("sort=-due\n", "-due\n"), ("sort=a#b", "a#b"), ("sort=due\r\nX: y", "due\r\nX: y"),
     ("sort=größe", "größe")],
    ids=["line break", "number sign", "header", "umlaut"],
)  # fmt: skip
def test_a_view_opens_whoever_wrote_its_parameters(app, onlooker, acme, query, sort):
    kept = a_kept_view(acme, query)
    program = Program(app, a_key(acme, None, ["documents.read", "documents.write"]))
    saved = program.post("/org/acme-corp/views", {"name": "New", "query": query, "shared": True})
    for view_id in (kept.id, saved.json["view"]["id"]):
        opened = onlooker.visitor.get(f"{DATA}?view={view_id}")
        assert opened.status == 302
        arguments = parse_qs(urlsplit(opened.location).query)
        assert arguments == {"sort": [sort], "view": [str(view_id)]}
        assert onlooker.visitor.get(opened.location).status == 200
    assert DocumentView.objects.get(name="New").query == urlencode({"sort": sort})


def test_a_person_sees_everyones_views_and_their_own(onlooker, viewer):
    save(onlooker, "Mine")
    save(onlooker, "Ours", "shared")
    assert names(onlooker) == ["Mine", "Ours"]
    assert names(viewer) == ["Ours"]


def test_a_viewer_keeps_views_of_their_own_alone(onlooker, viewer, acme):
    assert save(viewer, "Mine", "shared").status == 303
    assert DocumentView.objects.get(name="Mine").account
    save(onlooker, "Ours", "shared")
    view = DocumentView.objects.get(name="Ours")
    for action in ("change", "delete"):
        assert viewer.visitor.get(f"{VIEWS}/{view.id}/{action}").status == 403
    mine = DocumentView.objects.get(name="Mine")
    assert onlooker.visitor.get(f"{VIEWS}/{mine.id}/delete").status == 404


def test_two_views_of_one_name_are_not_both_kept(onlooker):
    save(onlooker, "Dispatch")
    page = save(onlooker, "DISPATCH")
    assert page.status == 409
    assert "there is a view “DISPATCH” already" in page.fault("name")
    assert save(onlooker, "Dispatch", "shared").status == 303


def test_a_view_that_was_changed_in_another_tab_is_not_overwritten(onlooker):
    save(onlooker, "Dispatch")
    view = DocumentView.objects.get()
    url = f"{VIEWS}/{view.id}/change"
    first, second = (onlooker.visitor.hidden(f"{url}?{WAITING}&sort=due") for _ in range(2))
    done = onlooker.visitor.send(f"{url}?sort=due", {**first, "name": "Dispatch"})
    assert done.status == 303
    page = onlooker.visitor.send(f"{url}?sort=-status", {**second, "name": "Dispatch"})
    assert page.status == 409
    assert DocumentView.objects.get().query == "sort=due"


def test_a_view_is_deleted_and_no_document_is(onlooker, stored):
    stored.insert_one({"_id": 1})
    save(onlooker, "Dispatch")
    view = DocumentView.objects.get()
    assert onlooker.visitor.post(f"{VIEWS}/{view.id}/delete").status == 303
    assert not DocumentView.objects
    assert stored.count_documents({}) == 1
    actions = [event.action for event in AuditEvent.objects(action__startswith="view.")]
    assert sorted(actions) == ["view.deleted", "view.saved"]


def test_a_form_sent_twice_keeps_one_view(onlooker):
    hidden = onlooker.visitor.hidden(f"{VIEWS}/new?{WAITING}")
    for _ in range(2):
        sent = {**hidden, "name": "Dispatch", "whose": "own"}
        assert onlooker.visitor.send(f"{VIEWS}/new?{WAITING}", sent).status == 303
    assert DocumentView.objects.count() == 1


def test_a_view_by_a_sensitive_field_is_not_shown_to_who_may_not_see_it(onlooker, viewer, acme):
    salary = "c=%5B%22salary%22,%22is%22,%22number%22,%224711%22%5D"
    save(onlooker, "Top", "shared", salary)
    Organization.objects(id=acme.id).update(masked_fields=["salary"])
    assert names(viewer) == []
    assert names(onlooker) == ["Top"]
    assert "4711" not in viewer.visitor.get(VIEWS).text


def test_a_view_by_words_is_shown_where_these_are_not_sensitive(onlooker, viewer, acme, stored):
    save(onlooker, "Red", "shared", "filter=%7B%22%24text%22:%7B%22%24search%22:%22red%22%7D%7D")
    Organization.objects(id=acme.id).update(masked_fields=["salary"])
    stored.create_index([("name", "text")])
    assert names(viewer) == ["Red"]
    stored.drop_indexes()
    stored.create_index([("name", "text"), ("salary", "text")])
    assert names(viewer) == []


def test_a_view_of_nonsense_is_not_kept(onlooker):
    assert save(onlooker, "Dispatch", query="c=%7B").status == 422
    assert save(onlooker, "Dispatch", query="filter=%7B").status == 422
    assert not DocumentView.objects


@pytest.mark.parametrize("name", ["column", "columns", "wide", "sort", "field", "uuid", "c"])
def test_half_a_surrogate_pair_in_a_url_breaks_no_page(onlooker, stored, name):
    stored.insert_one({"_id": 1, "a": 1})
    text = quote('["a.\\ud800"]' if name != "c" else '["a","is","text","\\ud800"]')
    for page in (f"{DATA}?", f"{DATA}?add=value&value=x&operator=is&"):
        assert onlooker.visitor.get(f"{page}{name}={text}").status in (200, 302, 422)
