"""Documents by the API and on pages while their organization moves to another place."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pymongo
import pytest

from portal.clusters import managing
from portal.clusters.managing import Changes
from portal.data import importing, writing
from portal.documents.organizations import Organization, Strategy
from portal.organizations import storage
from portal.organizations.access.errors import OrganizationMoving
from portal.organizations.storage import tenant_of
from portal.web.context import RequestContext
from tests.data.conftest import ACME, DataProgram
from tests.factories import a_key, an_organization, fresh
from tests.program import fault
from tests.relocation import between_places, relocating

KEY = {"Idempotency-Key": "first-0123456789abcdef"}


@pytest.fixture
def europe(second_cluster):
    managing.add_cluster("europe", Changes(second_cluster.uri), RequestContext())
    return "europe"


@pytest.fixture
def meanwhile():
    """Runs what waits for the end of a move."""
    with ThreadPoolExecutor(4) as threads:

        def begin(function, *arguments, **options):
            running = threads.submit(function, *arguments, **options)
            with pytest.raises(TimeoutError):
                running.result(0.1)
            return running

        yield begin


def test_writes_and_reads_that_meet_the_fence_are_answered_by_the_new_place(
    writer, acme, europe, meanwhile
):
    writer.insert('{"_id": "a", "n": 1}')
    with relocating(acme, europe):
        many = '{"filter": {"n": 1}, "update": {"$inc": {"n": 1}}}'
        waiting = [
            meanwhile(writer.insert, '{"_id": "b"}'),
            meanwhile(writer.send, "POST", f"{ACME}/update", many),
            meanwhile(writer.one, "a"),
        ]
    assert [each.result().status_code for each in waiting] == [201, 200, 200]
    assert list(tenant_of(fresh(acme)).find()) == [{"_id": "a", "n": 2}, {"_id": "b"}]
    assert fresh(acme).placement.cluster == "europe"
    assert writer.ids() == ["a", "b"]


def test_one_that_leaves_a_pool_is_waited_for_too(app, meanwhile):
    organization = an_organization("Acme Corp", None, Strategy.SHARED)
    key = a_key(organization, None, ["documents.read", "documents.write"])
    writer = DataProgram(app, key)
    writer.insert('{"_id": "a"}')
    before = tenant_of(organization)
    with relocating(organization):
        waiting = [
            meanwhile(writer.insert, '{"_id": "b"}'),
            meanwhile(before.insert_one, {"_id": "c"}),
        ]
    assert waiting[0].result().status_code == 201
    waiting[1].result()
    assert writer.ids() == ["a", "b", "c"]


def test_a_key_is_used_once_also_in_another_cluster(writer, acme, europe, meanwhile):
    """Its record was made beside the documents, and travels with them."""
    first = writer.insert('{"n": 1}', headers=KEY)
    other = {"Idempotency-Key": "second-0123456789abcdef"}
    with relocating(acme, europe):
        waiting = meanwhile(writer.insert, '{"n": 2}', headers=other)
    assert waiting.result().status_code == 201
    for text, key, answer in (('{"n": 1}', KEY, first), ('{"n": 2}', other, waiting.result())):
        again = writer.insert(text, headers=key).json
        assert (again["ids"], again["repeated"]) == (answer.json["ids"], 1)
    assert len(writer.ids()) == 2


def test_a_write_of_many_goes_on_behind_its_last_batch(writer, acme, europe, monkeypatch):
    monkeypatch.setattr(writing, "BATCH_DOCUMENTS", 2)
    tenant_of(acme).insert_many({"_id": n, "n": 0} for n in range(6))
    written, go_on = [], threading.Event()
    batch = writing._write_batch

    def write_batch(*arguments):
        progress = batch(*arguments)
        written.append(progress)
        if len(written) == 1:
            go_on.wait(10)
        return progress

    monkeypatch.setattr(writing, "_write_batch", write_batch)
    many = '{"filter": {"n": {"$lt": 9}}, "update": {"$inc": {"n": 1}}}'
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(writer.send, "POST", f"{ACME}/update", many, headers=KEY)
        with relocating(acme, europe):
            go_on.set()
    assert running.result().json["modified"] == 6
    assert writer.send("POST", f"{ACME}/update", many, headers=KEY).json["modified"] == 6
    assert [each["n"] for each in tenant_of(fresh(acme)).find()] == [1] * 6


def test_a_stream_of_documents_is_inserted_once(writer, acme, europe, monkeypatch):
    monkeypatch.setattr(importing, "BATCH_DOCUMENTS", 2)
    lines = "".join(f'{{"_id": {n}}}\n' for n in range(7))

    def send():
        return writer.insert(lines, kind="application/x-ndjson", headers=KEY)

    with ThreadPoolExecutor(1) as threads:
        with relocating(acme, europe):
            running = threads.submit(send)
        assert running.result().json["inserted"] == 7
    assert send().json["inserted"] == 7
    assert tenant_of(fresh(acme)).count_documents({}) == 7


def test_what_waits_too_long_is_refused_with_nothing_done(writer, acme, monkeypatch):
    monkeypatch.setattr(storage, "MOVING_SECONDS", 0.2)
    with between_places(acme):
        refused = writer.insert('{"_id": "a"}')
        assert fault(refused)[:2] == (503, "organization_moving")
        assert int(refused.headers["Retry-After"]) >= 1
        assert "Nothing was changed" in refused.json["error"]["message"]
        assert fault(writer.one("a"))[:2] == (503, "organization_moving")
    assert writer.ids() == []


def test_a_request_that_has_little_time_left_still_says_why(acme, monkeypatch):
    monkeypatch.setattr(storage, "_SPARE_SECONDS", 20)  # a machine may stand still meanwhile
    with between_places(acme), pymongo.timeout(20.2), pytest.raises(OrganizationMoving):
        tenant_of(acme).insert_one({})


def test_the_organizations_page_is_there_throughout(visitor, monkeypatch):
    monkeypatch.setattr(storage, "_SHOWN_MOVING_SECONDS", 0.1)
    visitor.sign_up("Acme Corp", "mara@acme.example")
    organization = Organization.objects.get(slug="acme-corp")
    with between_places(organization):
        assert visitor.get("/organizations/acme-corp").status == 200
        assert storage.stored_by(organization).state == storage.CollectionState.PRESENT
    with relocating(organization):
        pass
    assert storage.stored_by(organization).figures.documents == 0
