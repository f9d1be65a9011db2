"""A portal of one worker with four threads, while a cluster hangs that many ask for."""

import threading
import time
from statistics import median

import pytest

from tests.factories import an_organization, the_owner
from tests.processes import Person, portal
from tests.visitor import PASSWORD

CROWD = 8
REQUEST_SECONDS = 4
UNAFFECTED_SECONDS = 1
WATCHED_SECONDS = 6


def logged_in(url, organization):
    person = Person(url)
    person.post("/login", email=the_owner(organization).email, password=PASSWORD)
    return person


def watch(bystander):
    """When each of the bystander's requests was sent, and how long it took."""
    begun, seconds = time.monotonic(), []
    while time.monotonic() - begun < WATCHED_SECONDS:
        for path in ("/organizations/globex", "/readyz"):
            asked = time.monotonic()
            assert bystander.get(path).status_code == 200
            seconds.append((asked - begun, time.monotonic() - asked))
    return seconds


@pytest.fixture
def running(server, europe):
    with portal(server, "test", workers=1) as running:
        yield running


@pytest.mark.attack("D5")
def test_a_crowd_that_asks_for_a_hanging_cluster_keeps_the_others_waiting_once_at_most(
    europe, in_europe, running, record_property
):
    there, here = in_europe("Acme Corp"), an_organization("Globex")
    crowd = [logged_in(running.url, there) for _ in range(CROWD)]
    bystander = logged_in(running.url, here)
    assert crowd[0].get("/organizations/acme-corp").status_code == 200
    over, statuses = threading.Event(), set()

    def insist(person):
        while not over.is_set():
            statuses.add(person.get("/organizations/acme-corp").status_code)

    with europe.stopped():
        threads = [threading.Thread(target=insist, args=(person,)) for person in crowd]
        for thread in threads:
            thread.start()
        try:
            seconds = watch(bystander)
        finally:
            over.set()
            for thread in threads:
                thread.join()
    assert statuses == {503}
    later = [took for at, took in seconds if at > REQUEST_SECONDS]
    longest = max(took for _, took in seconds)
    record_property("figure", f"longest {longest:.1f} s, median later {median(later):.2f} s")
    assert longest < REQUEST_SECONDS + 2
    assert median(later) < UNAFFECTED_SECONDS
