"""A clock that is wrong is told: at the start, and by the doctor."""

from datetime import timedelta

import pytest

from portal import clock
from portal.database import connection


@pytest.fixture
def clock_is(monkeypatch):
    """Have the portal's clock be wrong by so many seconds."""
    right = clock.now

    def wrong(seconds):
        monkeypatch.setattr(clock, "now", lambda: right() + timedelta(seconds=seconds))

    return wrong


@pytest.mark.parametrize(
    ("seconds", "words"), [(3600, "3600 s ahead of"), (-90, "90 s behind"), (10, "10 s ahead of")]
)
def test_the_doctor_says_by_how_much_the_portal_and_the_server_differ(
    command, clock_is, seconds, words
):
    clock_is(seconds)
    told = command("doctor")
    assert told.returncode == 1
    assert f"the portal's clock is {words} the database server's" in told.stdout
    assert "NTP" in told.stdout


@pytest.mark.parametrize("seconds", [0, 2, -2])
def test_clocks_that_differ_by_what_nobody_notices_are_no_finding(command, clock_is, seconds):
    clock_is(seconds)
    assert command("doctor").stdout == "All well.\n"


def test_the_time_that_an_answer_takes_is_no_difference(monkeypatch):
    now = clock.now()
    asked_and_answered = iter([now, now + timedelta(seconds=60)])
    monkeypatch.setattr(clock, "now", lambda: next(asked_and_answered))
    monkeypatch.setattr(connection, "server_time", lambda of: now + timedelta(seconds=20))
    assert connection.clock_difference() == 0


def test_the_start_warns(app, clock_is, log, monkeypatch):
    clock_is(600)
    monkeypatch.setattr(connection._state, "prepared", False)
    connection.prepare()
    [told] = log.named("database.clocks_differ")
    assert (told["level"], told["note"][:44]) == (
        "warning",
        "the portal's clock is 600 s ahead of the dat",
    )
