"""``flask clusters``, and the doctor on several clusters."""

import json

import pytest
from pymongo import MongoClient

from portal.clusters import checking
from portal.database import clusters, connection
from portal.documents.clusters import Cluster
from portal.documents.organizations import Organization
from tests.clusters.conftest import HIDDEN
from tests.processes import wait_until


def findings(command):
    told = command("doctor", "--json")
    return told.returncode, [json.loads(line) for line in told.stdout.splitlines()]


def test_a_cluster_from_its_registration_to_its_removal(second_cluster, flask, command):
    uri = second_cluster.uri
    added = flask("clusters", "add", "europe", "--region", "eu", CLUSTER_URI=uri)
    assert added.returncode == 0, added.stderr
    assert "europe  MongoDB 6.0" in added.stdout
    assert "replica set portal" in added.stdout
    assert "Portals use it within 5 seconds." in added.stdout
    assert uri.partition("@")[0] not in added.stdout + added.stderr
    clusters.forget_registry()  # as 5 seconds do
    assert command("clusters", "list").stdout.splitlines() == [
        "main  weight 1  0 organizations  answers",
        "europe  region eu  weight 1  0 organizations  answers",
    ]
    checked = command("clusters", "check")
    assert checked.returncode == 0
    assert [line.split()[0] for line in checked.stdout.splitlines()] == ["main", "europe"]
    assert command("clusters", "change", "europe", "--weight", "0").returncode == 0
    assert "weight 0" in command("clusters", "list").stdout
    assert command("clusters", "remove", "europe").returncode == 0
    assert command("clusters", "remove", "europe").returncode == 2


def test_a_uri_can_be_typed_where_no_one_sees_it(second_cluster, app):
    told = app.test_cli_runner().invoke(
        args=["clusters", "add", "europe"], input=f"{second_cluster.uri}\n"
    )
    assert told.exit_code == 0, told.output
    assert clusters.uri_of("europe") == second_cluster.uri


def test_what_is_refused_is_told_on_one_line_with_what_to_do(europe, in_europe, command):
    in_europe("Acme Corp")
    for arguments, words in (
        (("remove", "europe"), "europe was not removed, and takes organizations as before. It holds 1 organization (acme-corp)."),
        (("add", "europe", "--uri", "mongodb://localhost/"), "flask clusters change"),
        (("change", "asia", "--weight", "1"), "There is no cluster asia"),
        (("change", "europe", "--uri", "http://localhost/"), "The URI must name a replica set"),
        (("check", "asia"), "There is no cluster asia"),
        (("lost", "asia", "--confirm", "asia"), "There is no cluster asia"),
    ):  # fmt: skip
        told = command("clusters", *arguments)
        assert told.returncode != 0
        assert words in told.stdout + told.stderr


@pytest.mark.usefixtures("real_limits")
def test_a_check_tells_one_that_does_not_answer_and_goes_on(europe, command, monkeypatch):
    monkeypatch.setattr(checking, "CHECK_SECONDS", 1)
    europe.kill()
    told = command("clusters", "check")
    assert told.returncode == 1
    main, silent = told.stdout.splitlines()
    assert main.startswith("main  MongoDB 6.0")
    assert "MongoDB has no primary that can be reached: 127.0.0.1:" in silent
    assert (
        "europe  weight 1  0 organizations  it does not answer"
        in command("clusters", "list").stdout
    )


def test_a_check_tells_a_clock_that_differs_and_a_server_that_leaks(europe, command, monkeypatch):
    monkeypatch.setattr(connection, "clock_difference", lambda of=None: 20.0)
    monkeypatch.setattr(connection, "leaks_memory", lambda server: True)
    told = command("clusters", "check", "europe")
    assert told.returncode == 1
    assert "The portal's clock is 20 s ahead of" in told.stdout
    assert "CVE-2025-14847" in told.stdout


def test_behind_mongos_a_check_tells_what_the_config_servers_have(europe, there):
    """These documents, which any server may hold, are all that is asked there."""
    assert checking._look_behind_mongos(clusters.client_of("europe"))[1:] == [
        "The portal's user may not read the database config, which tells more."
    ]
    config = there.config
    config.shards.insert_many([{"_id": "rs-1"}, {"_id": "rs-2"}])
    config.settings.insert_one({"_id": "balancer", "stopped": True})
    config.databases.insert_one({"_id": "tenant_test", "primary": "rs-2"})
    config.collections.insert_one({"_id": "tenant_test.shared_1_1"})
    try:
        assert checking._look_behind_mongos(there)[1] == (
            "Shards: rs-1, rs-2. The balancer is stopped. New collections are made on rs-2. "
            "Sharded tenant collections: 1."
        )
    finally:
        for name in ("shards", "settings", "databases", "collections"):
            config[name].delete_many({})


def test_a_check_tells_a_cluster_that_was_put_in_the_place_of_another(europe, there, command):
    there.tenant_test_internal.cluster.delete_many({})
    told = command("clusters", "check", "europe")
    assert told.returncode == 1
    assert "another MongoDB than the one that was added" in told.stdout


@pytest.mark.usefixtures("real_limits")
def test_the_doctor_never_says_all_well_of_a_cluster_that_it_did_not_see(
    europe, in_europe, command, monkeypatch
):
    in_europe("Acme Corp")
    assert command("doctor").stdout == "All well.\n"
    monkeypatch.setattr(checking, "CHECK_SECONDS", 1)
    europe.kill()
    status, found = findings(command)
    assert status == 1
    assert [(one["kind"], one["subject"], one["harmless"]) for one in found] == [
        ("silent_cluster", "europe", False)
    ]
    assert "nothing is known of their organizations" in found[0]["advice"]
    assert "All well." not in command("doctor").stdout
    europe.start_again()
    wait_until(lambda: clusters.is_available("europe"))
    assert findings(command) == (0, [])


def test_the_doctor_finds_what_is_amiss_on_any_cluster(europe, in_europe, there, command):
    organization = in_europe("Acme Corp")
    there.tenant_test.stray.insert_one({})
    there.tenant_test.org_acme_corp.drop()
    _, found = findings(command)
    assert {one["kind"] for one in found} == {"stray_collection", "missing_collection"}
    organization.delete()


def test_the_doctor_finds_organizations_in_a_cluster_that_nobody_registered(
    europe, in_europe, command
):
    in_europe("Acme Corp")
    Cluster.objects.delete()
    clusters.forget_registry()
    _, found = findings(command)
    assert [(one["kind"], one["subject"], one["words"]) for one in found] == [
        ("unknown_cluster", "europe", "1 organization")
    ]


def test_the_doctor_finds_organizations_outside_their_region(europe, in_europe, command):
    Cluster.objects(name="europe").update(set__region="eu")
    in_europe("Acme Corp")
    Organization.objects.update(set__region="eu")
    assert findings(command) == (0, [])
    Cluster.objects(name="europe").update(set__region="us")
    status, found = findings(command)
    assert [(one["kind"], one["subject"], one["words"]) for one in found] == [
        ("outside_region", "acme-corp", "Acme Corp: bound to eu, on europe in us")
    ]
    assert status == 1


def test_the_doctor_finds_a_removal_that_broke_off(europe, command):
    Cluster.objects(name="europe").update(set__removing_since="2026-01-01")
    _, found = findings(command)
    assert [(one["kind"], one["subject"]) for one in found] == [("half_removed_cluster", "europe")]


def test_the_doctor_tells_organizations_that_are_lost_and_that_does_no_harm(
    europe, in_europe, command
):
    in_europe("Acme Corp")
    command("clusters", "lost", "europe", "--confirm", "europe")
    status, found = findings(command)
    assert [(one["kind"], one["harmless"]) for one in found] == [("lost_organizations", True)]
    assert status == 0


def test_an_oplog_is_made_larger_while_it_runs(second_cluster, passive, command):
    arguments = ("clusters", "oplog", "europe", "1200")
    refused = command(*arguments)
    assert "Name an administrator of europe" in refused.stderr
    uri = f"europe={second_cluster.admin_uri}"
    told = command(*arguments, "--cluster-admin-uri", uri)
    done, *elsewhere = told.stdout.splitlines()
    assert done == "The oplog of europe keeps 1,200 MB."
    assert [each.partition(": ")[0] for each in elsewhere] == [
        f"Do the same on {member}" for member in (passive, HIDDEN)
    ]
    with MongoClient(second_cluster.admin_uri) as admin:
        assert admin.local.command("collStats", "oplog.rs")["maxSize"] == 1200 * 2**20
    assert command("clusters", "oplog", "europe", "100").returncode == 2
