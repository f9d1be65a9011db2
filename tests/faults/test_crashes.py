"""Processes and servers that die or hang in the middle."""

import threading
import time
from contextlib import ExitStack

import pytest
import requests

from tests.faults.lapse import let_leases_run_out
from tests.placing import collections_on
from tests.processes import Person, at_once, portal, stopped, wait_until
from tests.visitor import PASSWORD


def in_background(action):
    def quietly():
        try:
            action()
        except requests.RequestException:
            return  # the portal is killed meanwhile

    thread = threading.Thread(target=quietly)
    thread.start()
    return thread


def timed(action):
    begin = time.monotonic()
    result = action()
    return time.monotonic() - begin, result


@pytest.mark.attack("F1")
@pytest.mark.parametrize(
    ("command", "skip"),
    [
        pytest.param("listCollections", 0, id="collection made", marks=pytest.mark.full),
        pytest.param("renameCollection", 0, id="uuid recorded", marks=pytest.mark.full),
        pytest.param("findAndModify", 1, id="renamed"),
    ],
)
def test_a_sign_up_killed_in_the_middle_is_finished_after_a_restart(
    server, databases, bare_client, hang, check_whole, command, skip
):
    master = bare_client[f"master_{databases}"]
    with portal(server, databases, workers=1) as running:
        person = Person(running.url)
        token = person.token("/signup")
        fields = {
            "organization_name": "Acme Corp",
            "email": "mara@acme.example",
            "password": PASSWORD,
        }
        with hang(command, skip) as until_reached:
            request = in_background(lambda: person.send("/signup", token, **fields))
            until_reached()
            wait_until(master.organizations.find_one)  # it may have been the runner that hangs
            running.kill()
            request.join()
    assert master.organizations.find_one()["operation"]["kind"] == "create"
    let_leases_run_out(master)
    with portal(server, databases, workers=1) as running:
        wait_until(lambda: not master.organizations.find_one({"operation": {"$exists": True}}))
        [organization] = check_whole()
        assert organization["placement"]["collection"] == "org_acme_corp"
        person = Person(running.url)
        assert (
            person.post("/login", email="mara@acme.example", password=PASSWORD).status_code == 303
        )
        assert person.get("/organizations/acme-corp").status_code == 200


@pytest.mark.attack("F1")
@pytest.mark.full
@pytest.mark.parametrize("command", ["create", "commitTransaction"])
def test_a_sign_up_killed_in_its_transaction_leaves_nothing(
    server, databases, bare_client, hang, check_whole, command
):
    fields = {"organization_name": "Acme Corp", "email": "mara@acme.example", "password": PASSWORD}
    with portal(server, databases, workers=1) as running:
        person = Person(running.url)
        token = person.token("/signup")
        with hang(command) as until_reached:
            request = in_background(lambda: person.send("/signup", token, **fields))
            until_reached()
            running.kill()
            request.join()
    assert check_whole() == []
    assert not collections_on(bare_client[f"tenant_{databases}"])


# test_crash_points.py kills a process in each kind of operation; here a portal is killed in one.
@pytest.mark.full
@pytest.mark.parametrize(
    ("command", "skip"),
    [
        pytest.param("renameCollection", 0, id="before the rename"),
        pytest.param("findAndModify", 1, id="renamed"),
    ],
)
def test_a_rename_killed_in_the_middle_is_finished_after_a_restart(
    server, databases, bare_client, hang, check_whole, command, skip
):
    master, tenant = bare_client[f"master_{databases}"], bare_client[f"tenant_{databases}"]
    with portal(server, databases, workers=1) as running:
        person = Person(running.url)
        person.sign_up("Acme Corp")
        tenant.org_acme_corp.insert_many([{"_id": n} for n in range(100)])
        token = person.token("/organizations/acme-corp/rename")
        with hang(command, skip) as until_reached:
            request = in_background(
                lambda: person.send(
                    "/organizations/acme-corp/rename", token, organization_name="Other"
                )
            )
            until_reached()
            running.kill()
            request.join()
    let_leases_run_out(master)
    with portal(server, databases, workers=1):
        wait_until(lambda: not master.organizations.find_one({"operation": {"$exists": True}}))
        [organization] = check_whole()
        assert (organization["name"], organization["slug"]) == ("Other", "other")
        assert tenant.org_other.count_documents({}) == 100


@pytest.mark.full
def test_a_slow_rename_is_answered_in_time_shown_and_finished(
    server, databases, bare_client, hang, check_whole
):
    """Once the intent is written the answer is success, with the running operation shown."""
    master = bare_client[f"master_{databases}"]
    with portal(server, databases, workers=1) as running:
        person = Person(running.url)
        person.sign_up("Acme Corp")
        token = person.token("/organizations/acme-corp/rename")
        with hang("renameCollection"):
            begin = time.monotonic()
            answer = person.send(
                "/organizations/acme-corp/rename", token, organization_name="Other"
            )
            assert time.monotonic() - begin < 5
            assert answer.status_code == 303
            assert answer.headers["Location"] == "/organizations/acme-corp"
            assert "Renaming to Other" in person.get("/organizations/acme-corp").text
        let_leases_run_out(master)
        wait_until(lambda: not master.organizations.find_one({"operation": {"$exists": True}}))
        check_whole()
        assert person.get("/organizations/other").status_code == 200


def test_a_database_that_hangs_is_a_503_in_5_seconds_and_well_again_by_itself(server, databases):
    with portal(server, databases, workers=1) as running:
        person = Person(running.url)
        person.sign_up("Acme Corp")
        token = person.token("/organizations/new")
        static_file = Person(running.url).page("/").find("link", rel="stylesheet")["href"]
        log_in = {"email": "mara@acme.example", "password": PASSWORD}
        asking = [
            lambda: person.send("/login", token, **log_in),
            lambda: person.send("/organizations/new", token, organization_name="Other"),
            lambda: person.get("/organizations"),
            lambda: person.get("/organizations/acme-corp"),
        ]
        with stopped(server.running.process.pid):
            for seconds, answer in at_once([lambda ask=ask: timed(ask) for ask in asking]):
                assert seconds < 5
                assert answer.status_code == 503
                assert int(answer.headers["Retry-After"]) > 0
                assert "can’t reach its database" in answer.text
            assert person.get(static_file).status_code == 200
            assert person.get("/healthz").status_code == 200
            assert person.get("/readyz").status_code == 503
        wait_until(lambda: person.get("/organizations/acme-corp").status_code == 200)


def test_a_portal_that_starts_before_its_database_is_well_when_that_comes(
    server, databases, check_whole
):
    with ExitStack() as running_portal:
        with stopped(server.running.process.pid):
            starting = portal(server, databases, workers=1, wait=False)
            running = running_portal.enter_context(starting)
            person = Person(running.url)
            wait_until(lambda: person.get("/healthz").status_code == 200)
            assert person.get("/signup").status_code == 503
        wait_until(running.is_ready)
        assert person.sign_up().status_code == 303
        check_whole()
