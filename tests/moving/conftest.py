"""What tests of moves stand on that a person or a command waits for."""

import threading

import pytest

from portal.organizations.moving import draining, mover
from tests.api.conftest import owner  # noqa: F401
from tests.clusters.conftest import europe, in_europe, there  # noqa: F401
from tests.doctor.conftest import found, repair  # noqa: F401


def pytest_itemcollected(item):
    """Documents are moved in every test here, which ``make test-fast`` leaves out."""
    item.add_marker("slow")


@pytest.fixture
def movers(app, monkeypatch):
    """The threads of a worker, as one that rests little, while the test runs."""
    monkeypatch.setattr(draining, "LOOK_SECONDS", 0.02)
    over = threading.Event()

    def work():
        while not over.wait(0.02):
            mover.run_once()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join()
