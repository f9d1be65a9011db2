"""Data that an earlier version left is served and carried on: nothing is lost, nothing begun anew.

``make_fed5813.py`` made the data.
"""

import gzip
import json
import re
from datetime import datetime
from pathlib import Path

import bson
import pytest
import requests
from bson import ObjectId
from pymongo import MongoClient

from portal import clock
from portal.mail.transport import stored_mails
from tests.placing import PORTALS_OWN
from tests.processes import Person, portal, wait_until
from tests.visitor import PASSWORD

DATA = Path(__file__).parent / "fed5813.bson.gz"
OPTIONS = bson.CodecOptions(uuid_representation=bson.binary.STANDARD, tz_aware=True)
# Hashed, times included.
TRAIL = "audit_events"
pytestmark = pytest.mark.processes


def load(client, name):
    """Load it into ``master_<name>`` and ``tenant_<name>``, as if it had been made just now. A
    collection gets another UUID, so what is recorded of it is changed; what people hold."""
    head, *parts = bson.decode_all(gzip.decompress(DATA.read_bytes()), OPTIONS)
    passed, collections = clock.now() - head["made_at"], []
    for part in parts:
        if "database" in part:
            part["into"] = client[part["database"].replace("test", name)][part["collection"]]
            collections.append((part, []))
        else:
            collections[-1][1].append(part)
    uuids = {}
    for part, documents in collections:
        into = part["into"]
        into.database.create_collection(into.name)
        listed = next(into.database.list_collections(filter={"name": into.name}))
        uuids[part["uuid"]] = listed["info"]["uuid"]
        if documents:
            into.insert_many(
                documents if into.name == TRAIL else [later(each, passed) for each in documents]
            )
    organizations = client[f"master_{name}"].organizations
    for one in organizations.find({"placement.uuid": {"$in": list(uuids)}}):
        now = uuids[one["placement"]["uuid"]]
        organizations.update_one({"_id": one["_id"]}, {"$set": {"placement.uuid": now}})
    return head


def later(value, passed):
    """The value with its times moved on."""
    if isinstance(value, dict):
        return {key: later(each, passed) for key, each in value.items()}
    if isinstance(value, list):
        return [later(each, passed) for each in value]
    return value + passed if isinstance(value, datetime) else value


@pytest.fixture(scope="module")
def upgraded(server, tmp_path_factory):
    """This version's portal on the older one's data; what people hold, and where mails go."""
    name, mails = f"older_{ObjectId()}", tmp_path_factory.mktemp("mails")
    with MongoClient(server.admin_uri, uuidRepresentation="standard", tz_aware=True) as client:
        head = load(client, name)
        kept = {key.upper(): value for key, value in head["secrets"].items()}
        with portal(server, name, workers=1, MAIL_DIRECTORY=str(mails), **kept) as running:
            master, tenant = client[f"master_{name}"], client[f"tenant_{name}"]
            # The older one put each off by seconds; whoever was killed would have left 30.
            wait_until(
                lambda: not master.organizations.count_documents({"operation": {"$ne": None}})
            )
            yield running, head["held"], kept, master, tenant, mails
        for database in (f"master_{name}", f"tenant_{name}"):
            client.drop_database(database)


def test_every_operation_that_was_unfinished_is_finished(upgraded):
    *_, master, tenant, _ = upgraded
    found = {one["name"]: one for one in master.organizations.find()}
    states = {name: (one["state"], one["slug"]) for name, one in found.items()}
    for when in ("first", "last"):
        assert states[f"Create {when}"] == ("active", f"create-{when}")
        assert states[f"Renamed {when}"] == ("active", f"renamed-{when}")
        assert states[f"Trash {when}"] == ("trashed", f"trash-{when}")
        assert states[f"Restore {when}"] == ("active", f"restore-{when}")
        assert states[f"Purge {when}"] == ("purged", f"purge-{when}")
        assert states[f"Repair {when}"] == ("active", f"repair-{when}")
    assert states["Back"] == ("active", "back")
    assert states["Acme & Sons"] == ("active", "acme-sons")
    assert (states["Trashed"][0], states["Purged"][0]) == ("trashed", "purged")
    kept = {one["placement"]["collection"] for one in found.values() if one["state"] != "purged"}
    assert set(tenant.list_collection_names()) - PORTALS_OWN == kept


def test_the_documents_of_each_organization_are_where_they_belong(upgraded):
    *_, master, tenant, _ = upgraded
    for one in master.organizations.find({"state": {"$ne": "purged"}}):
        of = [document["of"] for document in tenant[one["placement"]["collection"]].find()]
        born_empty = one["name"].startswith(("Create", "Acme", "Late", "By a program"))
        assert of == ([] if born_empty else [one["name"].replace("Renamed", "Rename")])


def test_who_was_logged_in_stays_so_and_old_addresses_lead_on(upgraded):
    running, held, *_ = upgraded
    browser = requests.Session()
    browser.cookies.update(held["cookies"])
    page = browser.get(f"{running.url}/organizations/acme-corp", timeout=30, allow_redirects=False)
    assert page.headers["Location"] == "/organizations/acme-sons"
    assert (
        "Acme &amp; Sons" in browser.get(f"{running.url}/organizations/acme-sons", timeout=30).text
    )


@pytest.mark.parametrize("credential", ["bearer", "api_key"])
def test_a_token_and_a_key_go_on_working(upgraded, credential):
    running, held, *_ = upgraded
    headers = {"Authorization": f"Bearer {held[credential]}"}
    answer = requests.get(f"{running.url}/org/acme-sons", headers=headers, timeout=30)
    assert answer.status_code == 200


def test_a_provisioning_key_goes_on_working(upgraded):
    running, held, *_ = upgraded
    answer = requests.post(
        f"{running.url}/org/create",
        json={
            "organization_name": "By a program",
            "email": "own@acme.example",
            "password": PASSWORD,
        },
        headers={"Authorization": f"Bearer {held['provisioning_key']}"},
        timeout=30,
    )
    assert answer.status_code == 201


def test_a_password_and_a_recovery_code_open_the_account(upgraded):
    running, held, *_ = upgraded
    person = Person(running.url)
    first = person.post("/login", email="teo@acme.example", password=PASSWORD)
    assert first.headers["Location"] == "/login/second"
    assert person.post("/login/second", code=held["recovery_code"]).status_code == 303
    assert person.get("/organizations/acme-sons").status_code == 200


def test_mails_that_had_not_left_leave_and_their_links_work(upgraded):
    running, *_, master, _, mails = upgraded
    person = Person(running.url)
    invited = link_to(mails, "ann@acme.example")
    assert "Acme & Sons" in person.page(invited).get_text()
    finish = link_to(mails, "late@acme.example")
    assert person.post(finish, password=PASSWORD).status_code == 303
    wait_until(lambda: master.organizations.find_one({"name": "Late Ltd", "operation": None}))


def link_to(mails, address):
    """The path of the link in the mail to an address."""

    def found():
        return [mail.text for mail in stored_mails(str(mails)) if mail.to == address]

    [text, *_] = wait_until(found)
    return re.search(r"http://localhost:\d+(/\S+)", text)[1]


def test_the_doctor_finds_nothing_and_the_trail_is_whole(upgraded, flask):
    *_, kept, master, tenant, _ = upgraded
    there = {"MASTER_DB": master.name, "TENANT_DB": tenant.name, **kept}
    for asked in (("doctor", "--json"), ("audit", "verify", "--json")):
        told = flask(*asked, **there)
        assert [json.loads(line) for line in told.stdout.splitlines()] == []
        assert told.returncode == 0
