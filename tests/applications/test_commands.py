"""``flask applications``: an operator gives applications their MongoDB users, and takes them away."""

import json
import re

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from portal.applications import managing
from portal.applications.errors import ApplicationChanged
from portal.database import directory, users
from portal.database.portal_role import reports_database
from portal.documents.applications import Application
from portal.documents.organizations import Strategy
from portal.tenants import Tenants
from portal.tenants.reports import PROCESSES, reports_of
from portal.web.context import RequestContext
from tests.applications.conftest import works
from tests.factories import an_organization
from tests.processes import at_once, wait_until


@pytest.fixture
def add(operator, command):
    def add(name="shop"):
        told = command("applications", "add", name)
        assert told.returncode == 0, told.stderr
        return told.stdout.strip()

    return add


def users_there(admin):
    return users.users_in(admin["admin"], managing.user_prefix())


def test_the_uri_that_is_printed_works(add, command, master_db, tenant_db):
    acme = an_organization("Acme Corp")
    uri = add()
    assert re.fullmatch(
        rf"mongodb://app\w+:\w{{40}}@127\.0\.0\.1:\d+/{master_db.name}\?authSource=admin&\S+", uri
    )
    assert "tls=false" in uri
    with MongoClient(uri, uuidRepresentation="standard") as client:
        entry = client.get_default_database()[directory.ORGANIZATIONS].find_one(acme.id)
        client[tenant_db.name][entry["placement"]["collection"]].insert_one({"_id": 1})
    assert tenant_db.org_acme_corp.find_one() == {"_id": 1}


def test_applications_are_listed_with_their_connections(add, command):
    assert command("applications", "list").stdout == "There are no applications.\n"
    with MongoClient(add(), appname="shop\x1b[2J web") as client:
        client.admin.command("hello")
        client.get_default_database()[directory.SLUGS].find_one()
        listed = command("applications", "list").stdout.splitlines()
    assert listed[0].startswith("shop  app")
    assert listed[0].endswith("proven")
    assert listed[1] == "  1 x shop\\x1b[2J web, from 127.0.0.1"


def test_applications_are_listed_with_what_their_processes_reported(add, command, admin, tenant_db):
    several = an_organization("Acme Corp"), an_organization("Other")
    alone = an_organization("Third", strategy=Strategy.DATABASE)
    uri = add()
    reports = admin[reports_database(tenant_db.name)][PROCESSES]
    for organizations in (several, (alone,)):
        with Tenants(uri) as tenants:
            for organization in organizations:  # each is read from the directory
                tenants.by_id(organization.id).insert_one({})
    wait_until(lambda: reports.count_documents({}) >= 2)
    [report, _] = reports.find()  # one of each
    assert report["clusters"] == ["main"]
    told = {"user": report["user"], "at": report["at"]}
    reports.insert_many([{**told, "library": "\x1b[2J"}, {**told, "library": 5}, {"user": 1}])
    assert reports.index_information()["at_1"]["expireAfterSeconds"] == 30 * 24 * 3600
    listed = command("applications", "list").stdout
    assert "  started with portal-tenants unknown: 2 processes, the last 20" in listed
    assert "portal-tenants \\x1b[2J: 1 processes" in listed


def test_what_operators_did_is_in_the_installations_trail(add, command):
    add()
    command("applications", "rotate", "shop")
    command("applications", "rotate", "shop", "--finish")
    command("applications", "remove", "shop", "--yes")
    lines = command("audit", "list").stdout.splitlines()
    assert [line.partition("the operator  ")[2] for line in lines] == [
        "Application shop added",
        "Application shop given another MongoDB user",
        "Former MongoDB user of application shop dropped",
        "Application shop removed",
    ]


def test_no_password_is_stored_or_logged(add, master_db, log):
    password = re.search(r":(\w+)@", add().removeprefix("mongodb:"))[1]
    stored = [list(master_db[name].find()) for name in ("applications", "audit_events")]
    assert password not in repr(stored) + log.text


@pytest.mark.parametrize("name", ["", "Shop", "shop_1", "-shop", "shop-", "s" * 41, "shop\n", "ß"])
def test_other_names_are_refused(operator, command, name):
    told = command("applications", "add", "--", name)
    assert told.returncode == 2
    assert "is no name for an application" in told.stderr


def test_a_name_belongs_to_one_application(add, command):
    uri = add()
    told = command("applications", "add", "shop")
    assert (told.returncode, told.stdout) == (2, "")
    assert "rotate gives it another user" in told.stderr
    assert works(uri)


def test_of_two_that_add_it_at_once_no_user_is_left_over(app, admin):
    def add():
        try:
            return managing.add_application("shop", {"main": admin}, RequestContext())
        except (managing.ApplicationExists, ApplicationChanged) as refused:
            return refused

    made = [one for one in at_once([add, add]) if isinstance(one, managing.MadeUser)]
    assert [works(one.uri) for one in made] == [True]
    assert users_there(admin) == {Application.objects.get().user}


def test_one_that_was_not_finished_is_taken_up_again(add, command, admin, monkeypatch):
    def lost(*_):
        raise OperationFailure("interrupted")

    with monkeypatch.context() as patched:
        patched.setattr(users, "prove", lambda *_, **__: lost())
        told = command("applications", "add", "shop")
    assert (told.returncode, told.stdout) == (2, "")
    assert "its URI isn't shown. Call the command again" in told.stderr
    assert Application.objects.get().user_state == "pending"
    assert works(add())
    assert users_there(admin) == {Application.objects.get().user}


def test_a_rotation_overlaps_until_it_is_finished(add, command, admin):
    before = add()
    rotated = command("applications", "rotate", "shop").stdout.strip()
    assert rotated != before
    assert works(before)
    assert works(rotated)
    assert len(users_there(admin)) == 2
    again = command("applications", "rotate", "shop")
    assert again.returncode == 2
    assert "--finish" in again.stderr
    assert command("applications", "rotate", "shop", "--finish").returncode == 0
    assert not works(before)
    assert works(rotated)
    assert users_there(admin) == {Application.objects.get().user}
    assert command("applications", "rotate", "shop", "--finish").returncode == 2


def test_a_former_user_that_is_in_use_is_asked_about(add, command):
    before = add()
    command("applications", "rotate", "shop")
    with MongoClient(before, appname="worker") as client:
        client.get_default_database()[directory.SLUGS].find_one()
        asked = command("applications", "rotate", "shop", "--finish")
        assert asked.returncode == 1
        assert "  1 x worker, from 127.0.0.1\n" in asked.stderr
        assert works(before)
        assert command("applications", "rotate", "shop", "--finish", "--yes").returncode == 0
    assert not works(before)


def test_the_former_user_stays_where_the_new_one_is_gone(add, command, admin):
    before = add()
    assert command("applications", "rotate", "shop").returncode == 0
    users.drop_user(admin["admin"], Application.objects.get().user)
    told = command("applications", "rotate", "shop", "--finish")
    assert (told.returncode, "is not in MongoDB" in told.stderr) == (2, True)
    assert works(before)
    another = command("applications", "rotate", "shop").stdout.strip()
    assert command("applications", "rotate", "shop", "--finish").returncode == 0
    assert (works(before), works(another)) == (False, True)


def test_what_is_gone_can_be_removed(add, command, admin):
    add()
    command("applications", "rotate", "shop")
    for user in users_there(admin):
        users.drop_user(admin["admin"], user)
    assert command("applications", "remove", "shop", "--yes").returncode == 0
    assert not Application.objects
    assert command("applications", "remove", "shop", "--yes").returncode == 2


def test_a_name_can_be_given_again(add, command):
    before = add()
    assert command("applications", "remove", "shop", "--yes").returncode == 0
    after = add()
    assert (works(before), works(after)) == (False, True)


def test_without_the_right_to_see_connections_the_operator_is_asked(add, command, monkeypatch):
    add()
    assert command("applications", "rotate", "shop").returncode == 0
    monkeypatch.setattr(users, "may_list_connections", lambda client: False)
    listed = command("applications", "list")
    assert listed.stdout.count("connections unknown: the portal's MongoDB user lacks inprog") == 2
    asked = command("applications", "rotate", "shop", "--finish")
    assert (asked.returncode, "may be in use" in asked.stderr) == (1, True)


def test_nothing_is_removed_without_a_yes(add, command):
    uri = add()
    assert command("applications", "remove", "shop").returncode == 1
    assert works(uri)


def test_without_an_administrator_the_command_says_what_to_paste(command, admin, monkeypatch):
    monkeypatch.delenv("MONGO_ADMIN_URI", raising=False)
    told = command("applications", "add", "shop")
    assert not works(told.stdout.strip())
    role, user = map(json.loads, re.findall(r"create(?:Role|User)\((.*)\);", told.stderr))
    home = admin["admin"]
    home.command("createRole", role.pop("role"), **role)
    home.command("createUser", user.pop("user"), **user)
    assert works(told.stdout.strip())
    assert "by hand" in command("applications", "list").stdout
    told = command("applications", "remove", "shop", "--yes")
    assert set(re.findall(r'drop(?:User|Role)\("(\w+)"\)', told.stderr)) == users_there(admin)
    assert "to be removed since" in command("applications", "list").stdout
    assert command("applications", "remove", "shop", "--yes", "--dropped").returncode == 0
    assert not Application.objects


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        (["readAnyDatabase"], "lacks createRole, createUser"),
        (None, "refuses the administrator's user name or password"),
    ],
)
def test_an_administrator_who_is_none_is_told_of(command, admin, server, monkeypatch, roles, words):
    user = f"{managing.user_prefix()}poor"
    if roles is not None:
        admin["admin"].command("createUser", user, pwd="poor", roles=roles)
    uri = re.sub(r"//admin:\w+", f"//{user}:poor", server.admin_uri)
    told = command("applications", "add", "shop", "--admin-uri", uri)
    assert told.returncode == 2
    assert words in told.stderr
    assert not Application.objects


def test_library_and_portal_mean_the_same_database_of_reports():
    assert reports_of("tenant_db") == reports_database("tenant_db")
