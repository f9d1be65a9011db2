"""The order in which the directory is read: an organization never as it was before its pool."""

from pymongo import monitoring

from tests.tenants.library.conftest import APPLICATION

POOLS, ORGANIZATIONS = "directory_pools", "directory_organizations"


class Answers(monitoring.CommandListener):
    """When the directory was read: the earliest time that was asked for, and that of the answer."""

    def __init__(self):
        self.asked, self.told = [], []
        self._views = {}

    def started(self, event):
        view = event.command.get(event.command_name)
        if view in (POOLS, ORGANIZATIONS):
            self._views[event.request_id] = view
            concern = event.command["readConcern"]
            assert concern["level"] == "majority"
            self.asked.append((view, concern.get("afterClusterTime")))

    def succeeded(self, event):
        if view := self._views.pop(event.request_id, None):
            self.told.append((view, event.reply["operationTime"]))

    def failed(self, event):
        pass


def test_an_organization_is_not_read_as_it_was_before_its_pool(connect, fake):
    """Also by a primary that is new, and whose committed state may be behind for a moment."""
    acme, neighbour = fake.create("acme", "shared"), fake.create("neighbour", "shared")
    answers = Answers()
    store = connect(fake.uri, appname=APPLICATION, event_listeners=[answers]).by_id(acme)
    store.insert_one({"_id": 1})
    fake.trash(neighbour)
    store.insert_one({"_id": 2})
    assert [view for view, _ in answers.told][-2:] == [POOLS, ORGANIZATIONS]
    for (_, told), (_, asked) in zip(answers.told, answers.asked[1:], strict=False):
        assert asked is not None
        assert asked >= told


def test_another_cluster_is_read_by_its_own_clock(connect, fake):
    acme = fake.create("acme", "shared")
    answers = Answers()
    tenants = connect(fake.uri, event_listeners=[answers])
    tenants.by_id(acme).insert_one({"_id": 1})
    answers.asked.clear()
    tenants.replace_uri("main", f"{fake.uri}&maxIdleTimeMS=60000")
    fake.advance_pool(1)
    tenants.by_id(acme).insert_one({"_id": 2})
    assert answers.asked[0][1] is None
