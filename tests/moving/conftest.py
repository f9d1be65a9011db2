"""What tests of moves stand on that a person or a command waits for."""

import threading

import pytest

from portal.organizations.moving import draining, mover


@pytest.fixture
def movers(app, monkeypatch):
    """The threads of a worker, as one that rests little, while the test runs."""
    monkeypatch.setattr(draining, "LOOK_SECONDS", 0.02)
    over = threading.Event()

    def work():
        while not over.wait(0.02):
            mover.run_copies()
            mover.run_due()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join()
