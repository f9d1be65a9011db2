"""Moves to and from a cluster of three members, whose primary dies at the worst moments."""

import threading

import pytest
from pymongo.errors import DuplicateKeyError, PyMongoError

from portal.clusters import managing
from portal.clusters.managing import Changes
from portal.documents.moves import Move, Outcome
from portal.documents.organizations import Strategy
from portal.errors import PortalError
from portal.organizations.moving import mover
from portal.organizations.moving.managing import switch_move
from portal.organizations.moving.ways_back import go_back
from portal.organizations.storage import tenant_of
from portal.settings import current
from portal.web.context import RequestContext
from tests.factories import a_context, an_organization, fresh
from tests.faults.servers import ThreeMembers
from tests.organizations.moving.carrying import a_ready_move, documents_of, make_due, run_movers
from tests.processes import wait_until
from tests.rights import admit

PATIENCE_SECONDS = 120


@pytest.fixture
def three_members(tmp_path, app):
    """A cluster of three members, registered."""
    server = ThreeMembers(tmp_path)
    wait_until(server.all_are_well, 60)
    admit(server.admin_uri, current().master_db, current().tenant_db)
    managing.add_cluster("europe", Changes(server.uri), RequestContext())
    yield server
    server.end()


@pytest.fixture
def killed_at_the_fence(monkeypatch, three_members):
    """Has the primary be killed once, before or behind the intent to switch; and started again."""

    def set_up(after):
        def once(*arguments):
            if killed:
                return begin_switch(*arguments)
            if after:
                begun = begin_switch(*arguments)
                killed.append(three_members.kill_primary())
            else:
                killed.append(three_members.kill_primary())
                begun = begin_switch(*arguments)
            three_members.start(killed[0])
            return begun

        killed, begin_switch = [], mover.begin_switch
        monkeypatch.setattr(mover, "begin_switch", once)
        return killed

    yield set_up
    monkeypatch.undo()


class Writer(threading.Thread):
    """Inserts one document after the other, each until it is acknowledged."""

    def __init__(self, organization):
        super().__init__()
        self.organization, self.written, self.over = organization, [], threading.Event()

    def run(self):
        number = 0
        while not self.over.wait(0.01):
            try:
                tenant_of(fresh(self.organization)).insert_one({"_id": number})
            except DuplicateKeyError:
                pass  # by the try before, whose answer was lost
            except (PyMongoError, PortalError):
                continue
            self.written.append(number)
            number += 1


@pytest.mark.full
@pytest.mark.parametrize("after", [False, True], ids=["before the intent", "behind the intent"])
def test_a_primary_killed_at_the_fence_of_a_move_and_of_its_way_back_loses_nothing(
    killed_at_the_fence, three_members, after
):
    acme = an_organization("Acme Corp")
    writer = Writer(acme)
    writer.start()
    try:
        wait_until(lambda: len(writer.written) > 50)
        ready = a_ready_move(acme, Strategy.COLLECTION, "europe")

        def done(**wanted):
            Move.objects(open=True).update(unset__next_fence_at=True, set__switch_wanted=True)
            make_due()
            run_movers()
            return Move.objects(**wanted).first()

        killed = killed_at_the_fence(after)
        switch_move(str(ready.id), a_context())
        wait_until(lambda: done(id=ready.id, outcome=Outcome.MOVED), PATIENCE_SECONDS)
        assert killed
        wait_until(three_members.all_are_well, 60)
        written = len(writer.written)
        wait_until(lambda: len(writer.written) > written + 50, 60)

        killed = killed_at_the_fence(after)
        go_back(str(ready.id), a_context())
        back = {"way_back_of": ready.id, "outcome": Outcome.WENT_BACK}
        wait_until(lambda: done(**back), PATIENCE_SECONDS)
        assert killed
        written = len(writer.written)
        wait_until(lambda: len(writer.written) > written + 50, 60)
    finally:
        writer.over.set()
        writer.join()
    assert fresh(acme).placement.cluster == "main"
    found = [document["_id"] for document in documents_of(acme)]
    assert found[: len(writer.written)] == writer.written
    assert len(found) <= len(writer.written) + 1  # the last may have no answer
