"""After a restore of master data versions count in a new epoch, so applications go on (row A4)."""

import pytest

from portal.applications import managing
from portal.database import directory
from portal.database.portal_role import Rights, internal_database
from portal.doctor import restored_master
from portal.doctor.restored_master import notice_restored
from portal.documents.audit import AuditEvent
from portal.documents.installation import INSTALLATION, Installation
from portal.organizations.lifecycle.renaming import rename_organization
from portal.tenants import Tenants
from portal.tenants.errors import DirectorySetBack
from portal.web.context import RequestContext
from tests.factories import a_context, an_organization, fresh
from tests.processes import at_once


@pytest.fixture
def shop(app, admin):
    """A running application, by the library."""
    uri = managing.add_application("shop", {"main": admin}, RequestContext()).uri
    with Tenants(uri) as tenants:
        yield tenants
    managing.remove_application("shop", {"main": admin}, RequestContext())


@pytest.fixture
def beside(admin, tenant_db):
    return admin[internal_database(tenant_db.name)][restored_master.COLLECTION]


def epoch(master_db, organization):
    return master_db[directory.ORGANIZATIONS].find_one(organization.id)["epoch"]


def epochs_told():
    return AuditEvent.objects(action="installation.epoch_begun").count()


@pytest.fixture
def restored(shop, master_db, tenant_db):
    """Acme's handle in a process that saw it renamed since the backup, which was then restored with
    the same UUIDs; and what there is to restore."""
    acme = an_organization("Acme Corp")
    handle = shop.by_id(acme.id)
    handle.insert_one({"_id": 1})
    names = ("organizations", "slugs", "installation")
    backup = {name: list(master_db[name].find()) for name in names}
    notice_restored()  # as each hour
    for name in ("Acme Limited", "Acme Group"):
        rename_organization(fresh(acme), name, a_context())
        handle.find_one()
    for name, documents in backup.items():
        master_db[name].delete_many({})
        master_db[name].insert_many(documents)
    tenant_db.org_acme_group.rename("org_acme_corp")
    return acme, handle


@pytest.mark.parametrize("how", ["noticed", "said"])
def test_an_application_that_saw_higher_versions_goes_on(
    restored, master_db, flask, command, beside, how
):
    acme, handle = restored
    before = epoch(master_db, acme)
    with pytest.raises(DirectorySetBack):
        handle.find_one()
    if how == "noticed":
        assert flask("doctor").returncode in (0, 1)  # as the start of a portal
    else:  # where the backup had both databases, and nothing tells
        beside.delete_many({})
        assert command("doctor", "--adopt-restored", "--yes").returncode == 0
    assert epoch(master_db, acme) > before
    assert handle.find_one() == {"_id": 1}
    handle.insert_one({"_id": 2})
    assert epochs_told() == 1
    told = epoch(master_db, acme)
    rename_organization(fresh(acme), "Acme Other", a_context())
    assert handle.count_documents({}) == 2
    for _ in range(2):
        notice_restored()
    assert (epoch(master_db, acme), epochs_told()) == (told, 1)


def test_nothing_is_noticed_where_nothing_was_restored(app, beside):
    at_once([notice_restored] * 4)
    for _ in range(3):
        notice_restored()
    assert epochs_told() == 0
    assert beside.find_one()["marks"] == Installation.objects.get().marks == 7


@pytest.mark.parametrize("lost", ["marks of master data", "what is beside"])
def test_master_data_of_an_earlier_version_or_on_another_server_are_noticed(app, beside, lost):
    notice_restored()
    if lost == "what is beside":
        beside.drop()
    else:
        Installation.objects.update(unset__marks=True)
    notice_restored()
    assert epochs_told() == 1
    notice_restored()
    assert epochs_told() == 1


def test_an_interrupted_notice_is_taken_up_again(app, beside, monkeypatch):
    notice_restored()
    beside.update_one({"_id": INSTALLATION}, {"$set": {"marks": 100}})

    def interrupted(*_):
        raise OSError("interrupted")

    for _ in range(2):
        with monkeypatch.context() as patched:
            patched.setattr(restored_master, "_record", interrupted)
            with pytest.raises(OSError, match="interrupted"):
                notice_restored()
    notice_restored()
    notice_restored()
    assert epochs_told() == 1


def test_without_the_right_to_compare_the_portal_goes_on(portal_without, tenant_db, log):
    portal_without(Rights(internal_database(tenant_db.name), ("find",)))
    notice_restored()
    assert "master_data.not_compared" in log.text
