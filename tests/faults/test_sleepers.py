"""A process is stopped past its lease, and wakes after others went on."""

import pytest

from portal.documents.organizations import Organization
from portal.errors import PortalError
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.storage import stored_by
from tests.factories import fresh
from tests.faults.invariant import recorded_name
from tests.faults.scenarios import DOCUMENTS, EVERY, SCENARIOS, by_mara

RENAME, ROLLED_BACK = (
    next(scenario for scenario in SCENARIOS if scenario.name == name)
    for name in ("rename", "rename turned back")
)


def nothing(organization):
    return organization


def rename_on(organization):
    return rename_organization(organization, "Third", by_mara())


def rename_to_and_fro(organization):
    name = organization.name
    return rename_organization(rename_on(organization), name, by_mara())


def rename_away_again(organization):
    """So that it has the name that it had when the sleeper looked."""
    return rename_organization(organization, "Acme Corp", by_mara())


def trash(organization):
    return trash_organization(organization, None, by_mara())


def trash_and_restore(organization):
    return restore_organization(trash(organization), "Third", by_mara())


def purge(organization):
    return purge_organization(organization, None, by_mara())


MEANWHILE = [nothing, rename_on, rename_to_and_fro, rename_away_again, trash, trash_and_restore, purge]  # fmt: skip


def others_go_on(world, deed):
    """Take over what the sleeper has in hand, and then do something else, if there is something."""
    world.let_time_pass()
    world.recover()
    organization = Organization.objects(state="active", name__ne="Bystander").first()
    if organization is not None:
        try:
            deed(organization)
        except PortalError:
            return  # it has this name


def do_it_again(world, scenario):
    """Take over and turn back what the sleeper has in hand; then what was in the way goes away,
    and the same is done again."""
    world.let_time_pass()
    world.recover()
    world.drop_stranger()
    try:
        scenario.deed(*world.arguments)
    except PortalError:
        return  # it was not turned back: the sleeper hadn't begun


def look_at_all():
    """What pages and programs do, which finds collections that have a wrong name."""
    for organization in Organization.objects(state__ne="purged"):
        stored_by(organization)


def check_all_is_there(world, scenario):
    world.let_time_pass()
    world.recover()
    look_at_all()
    world.check_whole()
    for organization in Organization.objects(state__ne="purged", name__ne="Bystander"):
        placement = organization.placement.to_mongo()
        name = None if "pool" in placement else recorded_name(placement)
        if scenario.kind != "create" and name not in world.strangers:
            assert world.documents_of(organization) == DOCUMENTS


@pytest.mark.attack("F1")
@pytest.mark.parametrize(
    "meanwhile",
    [
        pytest.param(deed, marks=() if deed in (rename_away_again, purge) else pytest.mark.full)
        for deed in MEANWHILE
    ],
)
def test_a_rename_that_comes_late_breaks_nothing(world, meanwhile):
    """No fence keeps a late renameCollection from being carried out."""
    world.begin(RENAME)
    with world.asleep(RENAME, "renameCollection to be sent #1"):
        others_go_on(world, meanwhile)
    check_all_is_there(world, RENAME)


def test_a_name_that_a_dying_process_made_wrong_is_repaired(world, tenant_db):
    world.begin(RENAME)
    point, end = "renameCollection to be sent #1", "renameCollection answered #1"
    with world.asleep(RENAME, point, end):
        others_go_on(world, rename_away_again)
    organization = Organization.objects.get(name="Acme Corp")
    assert organization.placement.collection == "org_acme_corp"
    assert "org_other" in tenant_db.list_collection_names()
    assert stored_by(organization).figures.documents == len(DOCUMENTS)
    assert "org_acme_corp" in tenant_db.list_collection_names()
    assert fresh(organization).operation is None
    check_all_is_there(world, RENAME)


@pytest.mark.attack("F1")
@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scenario", EVERY, ids=str)
def test_whenever_a_process_falls_asleep_it_breaks_nothing(world, scenario, figure):
    world.begin(scenario)
    points = [
        point
        for point in world.live(scenario).points
        if "answered" not in point  # the next thing it does is to send another
    ]
    ways = [(deed.__name__, lambda deed=deed: others_go_on(world, deed)) for deed in MEANWHILE]
    if scenario.stranger:
        ways = [ways[0], ("do_it_again", lambda: do_it_again(world, scenario))]
    for point in points:
        for name, go_on in ways:
            try:
                world.begin(scenario)
                with world.asleep(scenario, point):
                    go_on()
                check_all_is_there(world, scenario)
            except Exception as error:
                error.add_note(f"{scenario}: asleep at {point}, others {name}")
                raise
    figure(f"asleep at {len(points)} points, while others did {len(ways)} things, 0 broken")


@pytest.mark.attack("F1", "X2")
@pytest.mark.parametrize("command", ["revokePrivilegesFromRole", "grantPrivilegesToRole"])
def test_privileges_that_come_late_are_set_right(world, command):
    """No fence keeps those of a credential from being given under a name that is over."""
    world.begin(RENAME)
    with world.asleep(RENAME, f"{command} to be sent #1"):
        others_go_on(world, rename_away_again)
    check_all_is_there(world, RENAME)


@pytest.mark.attack("F1")
def test_privileges_taken_after_others_rolled_back_are_given_back(world):
    """No lease guards roles: whoever finds its own lost sets them right."""
    world.begin(ROLLED_BACK)
    with world.asleep(ROLLED_BACK, "before take_privileges #1"):
        others_go_on(world, nothing)
    check_all_is_there(world, ROLLED_BACK)
