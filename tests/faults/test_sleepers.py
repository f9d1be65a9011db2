"""A process is stopped past its lease, and wakes after others went on."""

import pytest

from portal.database import client, tenant_database
from portal.errors import PortalError
from portal.organizations import runner
from portal.organizations.documents import Organization
from portal.organizations.purging import purge_organization
from portal.organizations.renaming import rename_organization
from portal.organizations.restoring import restore_organization
from portal.organizations.storage import stored_by
from portal.organizations.trashing import trash_organization
from portal.settings import current
from tests.factories import fresh
from tests.faults import doomed, invariant
from tests.faults.lapse import let_leases_run_out, let_transactions_run_out
from tests.faults.scenarios import DOCUMENTS, SCENARIOS, an_owned, by_mara, rename


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


def others_go_on(deed):
    """Take over what the sleeper has in hand, and then do something else, if there is something."""
    let_transactions_run_out(client())
    let_leases_run_out(client()[current().master_db])
    runner.recover_due_operations()
    organization = Organization.objects(state="active").first()
    if organization is not None:
        try:
            deed(organization)
        except PortalError:
            return  # it has this name


def look_at_all():
    """What pages and programs do, which finds collections that have a wrong name."""
    for organization in Organization.objects(state__ne="purged"):
        stored_by(organization)


def check_all_is_there(settings, *, documents):
    let_transactions_run_out(client())
    let_leases_run_out(client()[current().master_db])
    runner.recover_due_operations()
    look_at_all()
    master, tenant = client()[current().master_db], tenant_database()
    organizations = invariant.check_whole(
        master, tenant, idle_accounts=master.accounts.distinct("_id")
    )
    for organization in organizations:
        if organization["state"] != "purged" and documents:
            found = list(tenant[organization["placement"]["collection"]].find().sort("_id", 1))
            assert found == DOCUMENTS


@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_a_rename_that_comes_late_breaks_nothing(settings, meanwhile):
    """Row F1 of the attacks; no fence keeps a late renameCollection from being carried out."""
    (organization_id,) = an_owned()
    with doomed.asleep(settings, rename, organization_id, point="renameCollection to be sent #1"):
        others_go_on(meanwhile)
    check_all_is_there(settings, documents=True)


def test_a_name_that_a_dying_process_made_wrong_is_repaired(settings, tenant_db):
    (organization_id,) = an_owned()
    with doomed.asleep(
        settings,
        rename,
        organization_id,
        point="renameCollection to be sent #1",
        end="renameCollection answered #1",
    ):
        others_go_on(rename_away_again)
    organization = Organization.objects.get()
    assert organization.placement.collection == "org_acme_corp"
    assert tenant_db.list_collection_names() == ["org_other"]
    assert stored_by(organization).figures.documents == len(DOCUMENTS)
    assert tenant_db.list_collection_names() == ["org_acme_corp"]
    assert fresh(organization).operation is None
    check_all_is_there(settings, documents=True)


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "scenario", [scenario for scenario in SCENARIOS if not scenario.stranger], ids=str
)
def test_whenever_a_process_falls_asleep_it_breaks_nothing(
    settings, empty_database, scenario, figure
):
    """Row F1 of the attacks."""
    points = [
        point
        for point in doomed.live(settings, scenario.deed, *scenario.given()).points
        if "answered" not in point  # the next thing it does is to send another
    ]
    for point in points:
        for meanwhile in MEANWHILE:
            empty_database()
            try:
                with doomed.asleep(settings, scenario.deed, *scenario.given(), point=point):
                    others_go_on(meanwhile)
                check_all_is_there(settings, documents=scenario.kind != "create")
            except Exception as error:
                error.add_note(f"{scenario}: asleep at {point}, others {meanwhile.__name__}")
                raise
    figure(f"asleep at {len(points)} points, while others did {len(MEANWHILE)} things")
