"""What tests of faults stand on."""

from contextlib import contextmanager

import pytest
from bson import ObjectId


@pytest.fixture
def databases(bare_client):
    """The name of two fresh databases, and what is in them afterwards, straight from MongoDB."""
    name = f"fault_{ObjectId()}"[:30]
    yield name
    bare_client.drop_database(f"master_{name}")
    bare_client.drop_database(f"tenant_{name}")


@pytest.fixture
def hang(bare_client):
    """Has the portal's next command of a kind hang, and then fail without having run."""
    admin = bare_client.admin

    @contextmanager
    def hanging(command, skip=0):
        data = {
            "failCommands": [command],
            "blockConnection": True,
            "blockTimeMS": 2_000,  # turning it off waits as long
            "errorCode": 11601,
            "appName": "portal",
        }
        mode = {"skip": skip} if skip else "alwaysOn"
        entered = admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})[
            "count"
        ]

        def until_reached():
            admin.command(
                {
                    "waitForFailPoint": "failCommand",
                    "timesEntered": entered + 1,
                    "maxTimeMS": 20_000,
                }
            )

        try:
            yield until_reached
        finally:
            admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    return hanging


@pytest.fixture
def check_whole(bare_client, databases):
    """The invariant, written without the portal's code: nothing half, nothing stray."""

    def check():
        master, tenant = bare_client[f"master_{databases}"], bare_client[f"tenant_{databases}"]
        organizations = list(master.organizations.find())
        collections = {
            found["name"]: found["info"]["uuid"].as_uuid() for found in tenant.list_collections()
        }
        recorded = {o["placement"]["collection"]: o["placement"]["uuid"] for o in organizations}
        assert collections == recorded
        assert not [o for o in organizations if "operation" in o]
        for organization in organizations:
            assert master.memberships.count_documents(
                {"organization": organization["_id"], "role": "owner"}
            )
            slugs = list(
                master.slugs.find({"organization": organization["_id"], "state": "current"})
            )
            wanted = [organization["slug"]] if organization["state"] == "active" else []
            assert [slug["_id"] for slug in slugs] == wanted
        known = {o["_id"] for o in organizations}
        accounts = set(master.accounts.distinct("_id"))
        assert set(master.slugs.distinct("organization")) <= known
        assert master.slugs.count_documents({"state": "target"}) == 0
        assert set(master.memberships.distinct("organization")) <= known
        assert set(master.memberships.distinct("account")) == accounts
        assert set(master.sessions.distinct("account")) <= accounts
        assert set(master.audit_events.distinct("chain")) <= known | accounts
        return organizations

    return check
