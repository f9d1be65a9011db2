"""What tests of faults stand on."""

from contextlib import closing, contextmanager

import pytest
from bson import ObjectId

from tests.faults import invariant
from tests.faults.world import World
from tests.rights import admit


def pytest_itemcollected(item):
    """Here something is killed or stopped in every test, or many meet in portals of their own."""
    item.add_marker("processes")


@pytest.fixture
def databases(bare_client, server):
    """The name of two fresh databases, and what is in them afterwards, straight from MongoDB."""
    name = f"fault_{ObjectId()}"[:30]
    admit(server.admin_uri, f"master_{name}", f"tenant_{name}")
    yield name
    bare_client.drop_database(f"master_{name}")
    bare_client.drop_database(f"tenant_{name}")


@pytest.fixture
def hang(bare_client, databases):
    """Has the portal's next command of a kind hang, and then fail without having run; of the
    ``findAndModify`` those of organizations alone, as jobs are claimed by it at any time."""
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
        if command == "findAndModify":
            data["namespace"] = f"master_{databases}.organizations"
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
    """The invariant of ``databases``: nothing half, nothing stray."""
    master, tenant = bare_client[f"master_{databases}"], bare_client[f"tenant_{databases}"]
    return lambda: invariant.check_whole(master, tenant)


@pytest.fixture
def world(empty_database, settings, admin):
    """What processes that die leave behind, and what becomes of it."""
    with closing(World(empty_database, settings, admin)) as world:
        yield world
