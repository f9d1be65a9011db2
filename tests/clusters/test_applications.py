"""Applications on several clusters: their users there, and who can follow an organization."""

import re
from datetime import timedelta

import pytest
from bson.datetime_ms import DatetimeMS
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from portal import clock
from portal.applications import following
from portal.applications import managing as applications
from portal.applications.following import SETTLED_AFTER, reachable_by_all_applications
from portal.clusters import managing as registry
from portal.database import users
from portal.database.portal_role import OWN_COLLECTION, reports_database
from portal.documents.applications import Application
from portal.tenants import Tenants
from portal.tenants.reports import PROCESSES
from portal.web.context import RequestContext
from tests.applications.conftest import no_user_is_left  # noqa: F401
from tests.factories import an_organization
from tests.processes import wait_until


@pytest.fixture
def administrators(server, europe, monkeypatch):
    """The operator may ask the administrators of both clusters."""
    monkeypatch.setenv("MONGO_ADMIN_URI", server.admin_uri)
    monkeypatch.setenv("MONGO_ADMIN_URI_EUROPE", europe.admin_uri)


@pytest.fixture(autouse=True)
def none_is_left_there(there):
    yield
    home, prefix = there.admin, applications.user_prefix()
    for name in {*users.users_in(home, prefix), *users.roles_in(home, prefix)}:
        users.drop_user(home, name)


def names_there(there):
    return users.users_in(there.admin, applications.user_prefix())


def follows(cluster):
    following.forget_followers()
    return reachable_by_all_applications(cluster)


@pytest.fixture
def reported(admin, tenant_db):
    """Has a process of an application report, a while ago."""

    def report(application, ago, *names):
        admin[reports_database(tenant_db.name)][PROCESSES].insert_one(
            {
                "user": application.user,
                "library": "1.0",
                "clusters": list(names),
                "at": clock.now() - ago,
            }
        )

    return report


def test_a_user_is_made_on_each_cluster_with_an_administrator(
    administrators, command, there, in_europe
):
    told = command("applications", "add", "shop")
    main, elsewhere = told.stdout.splitlines()
    assert re.fullmatch(r"mongodb://app\w+:\w{40}@127\.0\.0\.1:\d+/master_test\?.*", main)
    name, uri = elsewhere.split()
    assert (name, names_there(there)) == ("europe", {Application.objects.get().user})
    here, organization = an_organization("Globex"), in_europe("Acme Corp")
    with Tenants({"main": main, "europe": uri}) as tenants:
        tenants.by_id(organization.id).insert_one({"_id": 1})
        tenants.by_id(here.id).insert_one({"_id": 2})
    assert there.tenant_test.org_acme_corp.find_one(1)


def test_it_may_there_what_it_may_here_and_reads_no_master_data(
    administrators, command, there, master_db
):
    uri = command("applications", "add", "shop").stdout.splitlines()[1].split()[1]
    with MongoClient(uri) as client:
        client.tenant_test.org_acme_corp.insert_one({})
        client[f"t_{'a' * 24}"][OWN_COLLECTION].insert_one({})
        for refused in (
            lambda: client[f"t_{'a' * 24}"].other.insert_one({}),
            client.elsewhere.documents.find_one,
            client[master_db.name].directory_organizations.find_one,
            client.tenant_test_internal.cluster.find_one,
            lambda: client.tenant_test.command("createUser", "evil", pwd="x", roles=[]),
            lambda: client.tenant_test.drop_collection("org_acme_corp"),
        ):
            with pytest.raises(OperationFailure):
                refused()


def test_an_application_that_is_there_is_extended_to_a_new_cluster(
    server, europe, command, there, monkeypatch
):
    monkeypatch.setenv("MONGO_ADMIN_URI", server.admin_uri)
    assert len(command("applications", "add", "shop").stdout.splitlines()) == 1
    assert "shop can't follow: no URI was made for it: flask applications extend shop europe" in (
        command("clusters", "list").stdout
    )
    assert not follows("europe")
    given = ("--cluster-admin-uri", f"europe={europe.admin_uri}")
    first = command("applications", "extend", "shop", "europe", *given).stdout.strip()
    second = command("applications", "extend", "shop", "europe", *given).stdout.strip()
    assert follows("europe")
    with MongoClient(second) as client:
        client.tenant_test.org_acme_corp.find_one()
    with MongoClient(first) as client, pytest.raises(OperationFailure):
        client.tenant_test.org_acme_corp.find_one()
    assert names_there(there) == {Application.objects.get().user}
    assert "  europe: can follow" in command("applications", "list").stdout


def test_without_an_administrator_there_one_reads_what_to_paste(
    server, europe, command, monkeypatch
):
    monkeypatch.setenv("MONGO_ADMIN_URI", server.admin_uri)
    command("applications", "add", "shop")
    told = command("applications", "extend", "shop", "europe")
    assert "admin.createUser(" in told.stderr
    assert told.stdout.startswith("mongodb://app")
    assert '"db": "master_test"' not in told.stderr


@pytest.mark.parametrize(
    "given", [("--cluster-admin-uri", "mongodb://u:p@h/"), ("--cluster-admin-uri", "europe")]
)
def test_an_administrators_uri_without_its_cluster_is_refused(server, europe, command, given):
    told = command("applications", "add", "shop", "--admin-uri", server.admin_uri, *given)
    assert told.returncode == 2
    assert "takes NAME=URI" in told.stderr
    assert not Application.objects


def test_an_administrator_of_another_cluster_is_refused(server, europe, command, monkeypatch):
    given = ("--cluster-admin-uri", f"europe={server.admin_uri}")
    told = command("applications", "add", "shop", "--admin-uri", server.admin_uri, *given)
    assert told.returncode == 2
    assert "leads to another MongoDB than the portal's for europe" in told.stderr


def test_a_rotation_makes_and_drops_users_on_each_cluster(administrators, command, there):
    before = command("applications", "add", "shop").stdout.splitlines()[1].split()[1]
    after = command("applications", "rotate", "shop").stdout.splitlines()[1].split()[1]
    application = Application.objects.get()
    assert names_there(there) == set(application.users)
    for uri in (before, after):
        with MongoClient(uri) as client:
            client.tenant_test.org_acme_corp.find_one()
    assert command("applications", "rotate", "shop", "--finish").returncode == 0
    assert names_there(there) == {application.user}
    assert command("applications", "remove", "shop", "--yes").returncode == 0
    assert names_there(there) == set()


@pytest.mark.attack("X3")
@pytest.mark.parametrize("unreachable", ["no administrator", "no answer"])
def test_a_removal_waits_for_what_could_not_be_dropped_and_says_no_more(
    administrators, command, there, europe, monkeypatch, unreachable
):
    """Row U4: removed here, pending there since, and never "removed"."""
    uri = command("applications", "add", "shop").stdout.splitlines()[1].split()[1]
    user = Application.objects.get().user
    with monkeypatch.context() as patched:
        if unreachable == "no answer":
            patched.setenv("MONGO_ADMIN_URI_EUROPE", "mongodb://u:p@127.0.0.1:1/")
        else:
            patched.delenv("MONGO_ADMIN_URI_EUROPE")
        told = command("applications", "remove", "shop", "--yes")
        assert (told.returncode, told.stdout) == (
            1,
            "Dropped on main: its open connections there are refused.\n",
        )
        assert "Not on europe yet: MONGO_ADMIN_URI_EUROPE leads to no administrator" in told.stderr
        patched.delenv("MONGO_ADMIN_URI_EUROPE", raising=False)
        listed = command("applications", "list").stdout
        assert re.search(r"to be removed since 20\d\d-\d\d-\d\d, still on europe\n", listed)
        assert "can follow" not in listed
        for name in ("add", "rotate"):
            refused = command("applications", name, "shop").stderr
            assert "is being removed. Finish that first" in refused
        assert command("doctor").stdout == "All well.\n"
        with MongoClient(uri) as client:
            client.tenant_test.org_acme_corp.find_one()  # so it isn't removed
        assert "Application shop removed" not in command("audit", "list").stdout
    monkeypatch.delenv("MONGO_ADMIN_URI")  # the first cluster is done
    told = command("applications", "remove", "shop", "--yes")
    assert (told.returncode, told.stdout) == (0, "Dropped. Its open connections are refused.\n")
    assert names_there(there) == set()
    assert command("audit", "list").stdout.endswith("Application shop removed\n")
    assert command("applications", "list").stdout == "There are no applications.\n"
    assert user not in command("doctor").stdout


def test_a_rotation_is_finished_once_the_former_user_is_dropped_everywhere(
    administrators, command, there, monkeypatch
):
    command("applications", "add", "shop")
    former = Application.objects.get().user
    command("applications", "rotate", "shop")
    with monkeypatch.context() as patched:
        patched.delenv("MONGO_ADMIN_URI_EUROPE")
        told = command("applications", "rotate", "shop", "--finish", "--yes")
        assert (told.returncode, "Not on europe yet" in told.stderr) == (1, True)
        listed = command("applications", "list").stdout
        assert re.search(rf"{former}  to be dropped since \S+, still on europe\n", listed)
        assert command("applications", "rotate", "shop").returncode == 2
        assert command("doctor").stdout == "All well.\n"
    assert names_there(there) == {former, Application.objects.get().user}
    assert command("applications", "rotate", "shop", "--finish", "--yes").returncode == 0
    assert names_there(there) == {Application.objects.get().user}
    assert "to be dropped" not in command("applications", "list").stdout


def test_where_a_user_never_was_no_administrator_is_needed(server, europe, command, monkeypatch):
    monkeypatch.setenv("MONGO_ADMIN_URI", server.admin_uri)
    command("applications", "add", "shop")
    assert command("applications", "rotate", "shop").returncode == 0
    assert command("applications", "rotate", "shop", "--finish", "--yes").returncode == 0
    assert command("applications", "remove", "shop", "--yes").returncode == 0
    assert not Application.objects


@pytest.mark.parametrize("made", [["europe"], None], ids=["with", "without"])
def test_what_an_earlier_version_made_is_dropped_everywhere_too(
    administrators, command, there, monkeypatch, made
):
    """It recorded the clusters of the current user alone, and forgot them with a rotation."""
    command("applications", "add", "shop")
    if made is None:
        command("applications", "rotate", "shop")
    Application.objects.update(
        unset__homes=True, unset__former_homes=True, **{} if made else {"unset__clusters": True}
    )
    monkeypatch.delenv("MONGO_ADMIN_URI_EUROPE")
    told = command("applications", "remove", "shop", "--yes")
    assert (told.returncode, "Not on europe yet" in told.stderr) == (1, True)
    told = command("applications", "remove", "shop", "--yes", "--dropped")
    assert (told.returncode, told.stdout) == (0, "Recorded as dropped by you on europe.\n")
    assert not Application.objects


@pytest.fixture
def shop(administrators, command):
    command("applications", "add", "shop")
    return Application.objects.get()


def test_without_applications_and_on_the_first_cluster_nobody_is_left_behind(europe):
    assert follows("europe")
    assert follows("main")


def test_an_application_follows_once_its_latest_processes_have_a_uri(shop, reported, command):
    reported(shop, timedelta(days=3), "main")
    assert not follows("europe")
    assert "has no URI for it" in command("clusters", "list").stdout
    reported(shop, SETTLED_AFTER / 2, "main", "europe")
    assert not follows("europe")  # a deployment takes a while
    assert "its processes have a URI for it since" in command("applications", "list").stdout
    Application.objects.update(set__user_since=clock.now())
    reported(shop, SETTLED_AFTER * 2, "main", "europe")
    assert follows("europe")
    reported(shop, timedelta(0), "main")  # one that was started with the old configuration
    assert not follows("europe")


def test_an_application_that_runs_for_longer_than_reports_are_kept_is_not_taken_to_follow(
    shop, reported, admin, tenant_db, command
):
    """Its latest process told once, weeks ago, that it has no URI."""

    def expire():
        following.keep_latest_reports(lambda: None)
        admin[reports_database(tenant_db.name)][PROCESSES].delete_many({})

    reported(shop, timedelta(days=29), "main")
    expire()
    assert not follows("europe")
    assert "has no URI for it" in command("clusters", "list").stdout
    following.keep_latest_reports(lambda: None)  # of none there are, the known one stays
    assert not follows("europe")
    reported(shop, timedelta(days=28), "main", "europe")
    expire()
    assert follows("europe")
    Application.objects.update(set__user="another")  # whose processes told nothing yet
    assert follows("europe")


def test_reports_of_any_shape_do_no_harm(shop, admin, tenant_db, command):
    reports = admin[reports_database(tenant_db.name)][PROCESSES]
    for strange in (
        {},
        {"at": 5},
        {"at": clock.now()},
        {"at": clock.now(), "clusters": {"$gt": 1}},
        {"at": DatetimeMS(10**15), "library": "1.0"},  # the year 33658
        {"at": DatetimeMS(-(10**15)), "library": "1.0"},
    ):
        reports.insert_one({"user": shop.user, **strange})
        following.keep_latest_reports(lambda: None)
    assert not follows("europe")
    assert command("applications", "list").returncode == 0


def test_a_real_process_that_has_a_uri_is_known_to(administrators, command, in_europe, shop):
    uri = command("applications", "rotate", "shop").stdout.splitlines()
    organization = in_europe("Acme Corp")
    uris = {"main": uri[0], "europe": uri[1].split()[1]}
    with Tenants(uris) as tenants:
        tenants.by_id(organization.id).find_one()
    wait_until(lambda: "can follow" in command("applications", "list").stdout)
    assert follows("europe")


def test_whoever_removes_a_cluster_takes_it_from_applications(shop):
    assert shop.clusters == ["europe"]
    registry.remove_cluster("europe", RequestContext())
    assert not Application.objects.get().clusters
    assert Application.objects.get().homes == ["main"]


def test_the_doctor_looks_after_users_on_each_cluster(shop, there, command):
    assert command("doctor").stdout == "All well.\n"
    home, left = there.admin, f"{applications.user_prefix()}left"
    users.create_user(home, left, "secret", ())
    more = users.Privilege("elsewhere", "", frozenset({"find"}))
    users.set_privileges(home, shop.user, [more])
    told = command("doctor").stdout
    assert f"{left}  in admin of europe, of no application" in " ".join(told.split()).replace(
        f"{left} in", f"{left}  in"
    )
    assert f"the role {shop.user} in admin of europe allows something else" in told
    command("doctor", "--repair")
    command("doctor", "--drop-users", "--yes")
    assert command("doctor").stdout == "All well.\n"
    assert names_there(there) == {shop.user}
    users.drop_user(home, shop.user)
    assert f"{shop.user} is not in europe" in command("doctor").stdout
