"""Writers who go on while their organization moves, and goes back."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import permutations

import pytest

from portal.documents.moves import Move, Outcome
from portal.documents.organizations import Strategy
from portal.organizations.moving.ways_back import go_back
from portal.settings import current
from portal.tenants import Tenants
from tests.factories import a_context, an_organization
from tests.organizations.moving.carrying import begin, make_due, run_movers
from tests.processes import wait_until

WRITERS = 4


@dataclass
class Writers:
    """Applications' writers, who count what was acknowledged to them."""

    uri: str
    organization: object
    inserted: list = field(default_factory=list)
    deleted: list = field(default_factory=list)
    added: Counter = field(default_factory=Counter)
    failed: list = field(default_factory=list)
    longest: float = 0
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self):
        self.tenants = Tenants(self.uri.replace("/?", f"/{current().master_db}?", 1), tz_aware=True)
        self.threads = [
            threading.Thread(target=self.write, args=[number]) for number in range(WRITERS)
        ]
        self.documents = self.tenants.by_id(self.organization)
        self.documents.insert_many([{"_id": f"sum {number}", "n": 0} for number in range(WRITERS)])
        for thread in self.threads:
            thread.start()
        return self

    def write(self, number):
        count = 0
        while not self.over.is_set():
            count += 1
            begun = time.monotonic()
            try:
                self.documents.insert_one({"_id": (new := f"{number} {count}")})
                self.inserted.append(new)
                self.documents.update_one({"_id": f"sum {number}"}, {"$inc": {"n": 1}})
                self.added[number] += 1
                if count % 3 == 0:
                    self.documents.delete_one({"_id": new})
                    self.deleted.append(new)
            except Exception as error:
                self.failed.append(repr(error))
                return
            self.longest = max(self.longest, time.monotonic() - begun)
            time.sleep(0.01)

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()
        self.found = {one["_id"]: one.get("n") for one in self.documents.find({})}
        self.tenants.close()

    def check(self):
        assert not self.failed, self.failed[:3]
        expected = set(self.inserted) - set(self.deleted)
        sums = {f"sum {number}": self.added[number] for number in range(WRITERS)}
        assert self.found.keys() - sums.keys() == expected
        assert {name: self.found[name] for name in sums} == sums


@pytest.mark.parametrize(("source", "target"), [*permutations(Strategy, 2)])
def test_no_write_is_lost_or_doubled(app, server, source, target):
    acme = an_organization("Acme Corp", strategy=source)
    with Writers(server.uri, acme.id) as writers:
        wait_until(lambda: len(writers.inserted) > 50)
        moved = begin(acme, target)

        def done(**wanted):
            make_due()
            run_movers()
            return Move.objects(**wanted).first()

        wait_until(lambda: done(id=moved.id, outcome=Outcome.MOVED), 20)
        before = len(writers.inserted)
        wait_until(lambda: len(writers.inserted) > before + 50 or writers.failed)
        go_back(str(moved.id), a_context())
        wait_until(lambda: done(way_back_of=moved.id, outcome=Outcome.WENT_BACK), 20)
        before = len(writers.inserted)
        wait_until(lambda: len(writers.inserted) > before + 50 or writers.failed)
    writers.check()
