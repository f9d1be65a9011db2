"""``flask doctor`` compares applications with MongoDB's users, where an administrator lets it."""

import json
from datetime import timedelta

import pytest

from portal import clock
from portal.applications import managing
from portal.database import users
from portal.documents.applications import Application
from portal.web.context import RequestContext


@pytest.fixture
def shop(app, admin):
    managing.add_application("shop", {"main": admin}, RequestContext())
    return Application.objects.get()


@pytest.fixture
def found(operator, command):
    """Kind and subject of what the doctor finds."""

    def found(*options):
        told = command("doctor", "--json", *options)
        assert told.returncode in (0, 1), told.stderr
        rows = map(json.loads, told.stdout.splitlines())
        return [(row["kind"], row["subject"]) for row in rows if "application" in row["kind"]]

    return found


def test_an_application_is_well(shop, found):
    assert found() == []


def test_a_user_that_nobody_recorded_is_told_and_dropped_where_one_says_so(
    shop, found, command, admin
):
    left = f"{managing.user_prefix()}left"
    users.create_user(admin["admin"], left, "secret", managing.granted_privileges())
    assert found("--repair") == [("unrecorded_application_user", left)]
    assert found() == [("unrecorded_application_user", left)]
    told = command("doctor", "--drop-users", "--yes")
    assert (told.returncode, "1 repaired, All well." in told.stdout) == (0, True)
    assert found() == []
    assert command("audit", "list").stdout.endswith(f"Left over MongoDB user {left} dropped\n")


def test_one_of_ours_in_another_database_is_told(shop, found, admin, tenant_db):
    tenant_db.command("createUser", shop.user, pwd="secret", roles=[])
    try:
        assert found() == [("unrecorded_application_user", shop.user)]
        found("--drop-users", "--yes")
        assert found() == []
    finally:
        users.drop_user(tenant_db, shop.user)


def test_a_user_that_somebody_dropped_is_told(shop, found, admin):
    users.drop_user(admin["admin"], shop.user)
    assert found() == [("missing_application_user", "shop")]


def test_a_role_that_somebody_changed_is_given_its_rights_back(shop, found, admin):
    home, wanted = admin["admin"], frozenset(managing.granted_privileges())
    more = users.Privilege("elsewhere", "", frozenset({"find"}))
    users.set_privileges(home, shop.user, [*wanted, more])
    assert found() == [("changed_application_role", "shop")]
    found("--repair")
    assert users.roles_in(home, shop.user) == {shop.user: wanted}
    assert found() == []


def test_without_an_administrator_it_looks_at_the_rest(shop, command, admin):
    users.drop_user(admin["admin"], shop.user)
    assert command("doctor").stdout == "All well.\n"


def test_users_that_a_removal_could_not_drop_are_told(shop, found, admin, command):
    """On a cluster that was down, or had no administrator's URI."""
    managing.remove_application("shop", {}, RequestContext())
    assert found() == []  # a command may be dropping them
    Application.objects.update(ending_since=clock.now() - timedelta(days=1))
    assert found() == [("undropped_application_user", "shop")]
    assert f"{shop.user}: to be dropped since" in command("doctor").stdout
    managing.remove_application("shop", {"main": admin}, RequestContext())
    assert found() == []


def test_a_former_user_that_could_not_be_dropped_is_told(shop, found, admin):
    managing.rotate_application("shop", {"main": admin}, RequestContext())
    assert found() == []  # until the rotation is finished it is to work
    managing.finish_rotation("shop", {}, RequestContext())
    Application.objects.update(finishing_since=clock.now() - timedelta(days=1))
    assert found() == [("undropped_application_user", "shop")]
    managing.finish_rotation("shop", {"main": admin}, RequestContext())
    assert found() == []
