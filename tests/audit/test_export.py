"""The trail as a file: safe in a spreadsheet, true to its schema, whole or visibly not."""

import csv
import json
import tracemalloc
from pathlib import Path

import pytest
import requests
from bson import ObjectId
from jsonschema import Draft202012Validator
from pymongo import _csot
from pymongo.errors import NetworkTimeout

from portal.audit import export
from portal.audit.export import COLUMNS
from portal.documents.accounts import Account
from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from portal.organizations.lifecycle.renaming import rename_organization
from portal.web import streaming
from tests.factories import a_context, a_member, an_organization, collections_in, fresh
from tests.processes import Person, portal
from tests.visitor import PASSWORD, Visitor

HERE = "/organizations/acme-corp/activity"
SCHEMA = Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "docs/audit-event.schema.json").read_text())
)


def lines(answer):
    return [json.loads(line) for line in answer.response.text.splitlines()]


def rows(answer):
    return list(csv.DictReader(answer.response.data.decode("utf-8-sig").splitlines()))


def test_every_line_keeps_to_the_schema(lived, owner, visitor, master_db):
    visitor.post("/organizations/acme-corp/rename", {"organization_name": "ACME Corp"})
    count = lived(30)
    master_db.audit_events.update_one(
        {"seq": 2}, {"$unset": {"personal.address.value": 1, "personal.address.salt": 1}}
    )
    exported = lines(visitor.get(f"{HERE}.jsonl"))
    for line in exported:
        SCHEMA.validate(line)
        assert line["schema"] == 1
    assert [line["seq"] for line in exported[:-1]] == list(range(1, count + 1))
    head = Organization.objects.get().audit_head
    assert exported[-1]["head"] == {"seq": head.seq, "hash": head.hash}
    for event in owner.get("/org/acme-corp/audit").json["events"]:
        SCHEMA.validate(event)


def test_the_last_line_says_what_the_file_was_narrowed_by(lived, visitor):
    lived(9)
    exported = lines(visitor.get(f"{HERE}.jsonl?who=the+portal&from=2100-03-01"))
    assert len(exported) == 4
    assert exported[-1]["filters"] == {"who": "the portal", "from": "2100-03-01"}
    SCHEMA.validate(exported[-1])


def test_a_spreadsheet_reads_a_csv_file_as_utf_8(owner, visitor):
    assert visitor.get(f"{HERE}.csv").response.data.startswith(b"\xef\xbb\xbfseq,")
    assert visitor.get(f"{HERE}.jsonl").response.data.startswith(b"{")


@pytest.mark.attack("X1")
def test_a_file_has_a_plain_name_and_is_kept_nowhere(owner, visitor):
    for ending, kind in (("csv", "text/csv"), ("jsonl", "application/jsonl")):
        headers = visitor.get(f"{HERE}.{ending}").response.headers
        assert headers["Content-Type"].startswith(kind)
        assert headers["Cache-Control"] == "no-store"
        name = headers["Content-Disposition"].removeprefix("attachment; filename=")
        assert name.startswith("acme-corp-activity-20")
        assert name.endswith(f".{ending}")
        assert name.replace("-", "").replace(".", "").isalnum()


@pytest.mark.attack("X1", "N1")
@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "|", "%"])
def test_no_cell_is_a_formula(visitor, sign):
    email = f"{sign}cmd@acme.example"
    account = Account.objects.create(
        email=email, email_key=email, password_hash="x", created_at="2026-01-01"
    )
    organization = an_organization("Acme Corp", account)
    viewer = Visitor(visitor.client.application)
    viewer.log_in(a_member(organization, Role.ADMIN).email)
    [row] = rows(viewer.get(f"{HERE}.csv"))
    assert row["who"].startswith(f"'{sign}") or row["who"].startswith("'\\|")
    assert row["what"] == "Organization created"
    assert tuple(row) == COLUMNS


@pytest.mark.attack("X1", "N1")
def test_names_stay_in_their_cell(owner, visitor):
    visitor.post("/organizations/acme-corp/rename", {"organization_name": "Acme, Corp"})
    *_, row = rows(visitor.get(f"{HERE}.csv"))
    assert row["what"] == "Renamed from Acme Corp to Acme, Corp"
    assert json.loads(row["details"]) == {"name_before": "Acme Corp", "name": "Acme, Corp"}
    assert row["who"] == "mara@acme.example"


@pytest.mark.attack("T3")
def test_a_viewer_reads_the_trail_and_exports_nothing(app, visitor):
    organization = an_organization("Acme Corp")
    visitor.log_in(a_member(organization, Role.VIEWER).email)
    page = visitor.get(HERE)
    assert page.status == 200
    assert not page.html.select(".sift-row a")
    for ending in ("csv", "jsonl"):
        assert visitor.get(f"{HERE}.{ending}").status == 403


def test_by_an_old_address_a_filtered_file_stays_filtered(owner, visitor):
    visitor.post("/organizations/acme-corp/rename", {"organization_name": "Other"})
    answer = visitor.get(f"{HERE}.csv?who=the+portal&from=2100-03-01")
    assert answer.status == 307
    assert answer.location == "/organizations/other/activity.csv?who=the+portal&from=2100-03-01"


def test_what_happens_meanwhile_is_not_in_the_file(lived, visitor, monkeypatch):
    monkeypatch.setattr(streaming, "ROWS_AT_ONCE", 2)
    count = lived(5)
    answer = visitor.client.get(f"{HERE}.jsonl", buffered=False)
    organization = Organization.objects.get()
    rename_organization(fresh(organization), "ACME Corp", a_context())
    exported = [json.loads(line) for line in answer.text.splitlines()]
    assert len(exported) == count + 1
    assert exported[-1]["head"]["hash"] == exported[-2]["hash"]


def test_a_long_trail_is_read_in_pages_each_with_a_limit_of_its_own(
    lived, visitor, commands, monkeypatch
):
    limits = []
    read = export.events_after

    def note(*args, **options):
        limits.append(_csot.get_timeout())
        return read(*args, **options)

    monkeypatch.setattr(export, "events_after", note)
    count = lived(1200)
    answer = visitor.client.get(f"{HERE}.jsonl", buffered=False)
    assert len(limits) == 1
    assert sum(1 for _ in answer.text.splitlines()) == count + 1
    assert limits == [streaming.READ_SECONDS] * 3


@pytest.mark.slow
def test_memory_does_not_grow_with_the_trail(lived, visitor, monkeypatch):
    monkeypatch.setattr(streaming, "ROWS_AT_ONCE", 50)
    count = lived(5000)
    answer = visitor.client.get(f"{HERE}.jsonl", buffered=False)
    tracemalloc.start()
    size = sum(len(part) for part in answer.response)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > count * 300
    assert most < size / 4, (most, size)


@pytest.mark.attack("D2")
def test_a_few_are_exported_at_once_and_others_are_told_to_wait(lived, visitor, monkeypatch):
    """Whoever takes files slowly leaves threads to others."""
    monkeypatch.setattr(streaming, "ROWS_AT_ONCE", 5)
    lived(20)
    open_ones = [
        visitor.client.get(f"{HERE}.csv", buffered=False) for _ in range(streaming.AT_ONCE)
    ]
    answer = visitor.get(f"{HERE}.csv")
    assert answer.status == 503
    assert answer.response.headers["Retry-After"]
    assert visitor.get(HERE).status == 200
    for one in open_ones:
        one.close()
    assert visitor.get(f"{HERE}.csv").status == 200


def test_an_export_gives_its_place_back_however_it_ends(lived, visitor, monkeypatch):
    monkeypatch.setattr(streaming, "ROWS_AT_ONCE", 5)
    lived(20)
    for _ in range(2 * streaming.AT_ONCE):
        assert visitor.client.head(f"{HERE}.csv").status_code == 200
        assert visitor.get(f"{HERE}.jsonl").status == 200
        with monkeypatch.context() as broken:
            broken.setattr(export, "events_after", away)
            assert visitor.get(f"{HERE}.csv").status == 503
        answer = visitor.client.get(f"{HERE}.csv", buffered=False)
        next(iter(answer.response))
        answer.close()


@pytest.mark.attack("F1")
def test_a_database_that_is_away_at_once_is_told_as_ever(lived, visitor, monkeypatch):
    monkeypatch.setattr(export, "events_after", away)
    answer = visitor.get(f"{HERE}.csv")
    assert answer.status == 503
    assert answer.response.headers["Retry-After"]


@pytest.mark.attack("F1")
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_database_that_goes_away_in_the_middle_breaks_the_answer_off(
    lived, visitor, monkeypatch, log, ending
):
    monkeypatch.setattr(streaming, "ROWS_AT_ONCE", 5)
    lived(20)
    answer = visitor.client.get(f"{HERE}.{ending}", buffered=False)
    monkeypatch.setattr(export, "events_after", away)
    parts = iter(answer.response)
    sent = b"".join(next(parts) for _ in range(2))
    assert b"organization.renamed" in sent
    with pytest.raises(NetworkTimeout):
        next(parts)
    [broken] = log.named("audit.export_broken")
    assert broken["events"] == 5
    assert broken["request_id"] == answer.headers["X-Request-ID"]
    assert not log.named("audit.exported")


def away(*_, **__):
    raise NetworkTimeout("away")


def test_what_was_exported_is_logged(lived, visitor, log, commands):
    count = lived(5)
    commands.clear()
    answer = visitor.get(f"{HERE}.csv")
    assert len(commands) <= 4
    [line] = log.named("audit.exported")
    assert line["events"] == count
    assert line["request_id"] == answer.response.headers["X-Request-ID"]


@pytest.mark.attack("F1")
@pytest.mark.processes
def test_a_client_sees_that_the_answer_was_broken_off(server, bare_client, master_db, lived):
    """By gunicorn, where the database fails at the second page."""
    lived(3 * streaming.ROWS_AT_ONCE)
    name = f"broken_{ObjectId()}"[:30]
    bare_client.drop_database(f"master_{name}")
    for collection in collections_in(master_db):
        master_db[collection].aggregate([{"$out": {"db": f"master_{name}", "coll": collection}}])
    fault = {
        "failCommands": ["find"],
        "namespace": f"master_{name}.audit_events",
        "closeConnection": True,
    }
    try:
        with portal(server, name, workers=1, MASTER_DB=f"master_{name}") as running:
            person = Person(running.url)
            person.post("/login", email="mara@acme.example", password=PASSWORD)
            for ending, sign in (("jsonl", '"end"'), ("csv", "\r\n1501,")):
                address = f"{running.url}{HERE}.{ending}"
                assert sign in person.session.get(address, timeout=30).text
                admin = bare_client.admin
                admin.command(
                    {"configureFailPoint": "failCommand", "mode": {"skip": 1}, "data": fault}
                )
                with pytest.raises(requests.exceptions.ChunkedEncodingError):
                    person.session.get(address, timeout=30)
                admin.command({"configureFailPoint": "failCommand", "mode": "off"})
            assert running.is_ready()
    finally:
        bare_client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        bare_client.drop_database(f"master_{name}")
