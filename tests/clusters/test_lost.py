"""A cluster that is gone for ever: nothing waits for it, and what was there is told as lost."""

import pytest

from portal.clusters import managing
from portal.clusters.errors import ClusterIsLost
from portal.clusters.managing import Changes
from portal.data.access import document_access
from portal.data.formats.options import Format, WriteOptions
from portal.data.queries import Query
from portal.data.transfer.exports import start_export
from portal.database import clusters
from portal.database.clusters import client_of
from portal.database.errors import ClusterClosed, ClusterLost
from portal.database.transactions import transaction
from portal.documents.credentials import Credential
from portal.documents.jobs import JobState
from portal.documents.organizations import (
    OperationKind,
    Organization,
    OrganizationState,
    Placement,
    Slug,
    Strategy,
)
from portal.jobs import runner as runner_of_jobs
from portal.jobs.managing import find_job
from portal.organizations.credentials import tending
from portal.organizations.credentials.managing import revoke_credential
from portal.organizations.lifecycle import creating, runner
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.placement.measuring import measure_organizations
from portal.web.context import RequestContext
from tests.clusters.test_credentials import make
from tests.factories import a_context, an_access, an_account, the_owner

CONTEXT = RequestContext()
pytestmark = pytest.mark.usefixtures("real_limits")


@pytest.fixture
def lose(europe, command):
    """Gives the second cluster up."""

    def lose():
        return command("clusters", "lost", "europe", "--confirm", "europe")

    return lose


def again(organization):
    return Organization.objects.get(id=organization.id)


def test_it_is_given_up_where_its_name_is_typed(europe, command):
    refused = command("clusters", "lost", "europe", "--confirm", "eu")
    assert (refused.returncode, clusters.is_lost("europe")) == (2, False)
    done = command("clusters", "lost", "europe", "--confirm", "europe")
    assert (
        done.stdout
        == "europe is given up: organizations lost: 0, operations ended: 0, moves and ways back ended: 0.\n"
    )
    assert "lost since 20" in command("clusters", "list").stdout
    assert command("clusters", "lost", "europe", "--confirm", "europe").returncode == 2
    assert command("clusters", "lost", "main", "--confirm", "main").returncode == 2


@pytest.mark.parametrize("strategy", list(Strategy))
def test_its_organizations_are_shown_as_lost_and_can_be_deleted(
    in_europe, europe, lose, visitor, strategy
):
    organization = in_europe("Acme Corp", strategy)
    visitor.log_in(the_owner(organization).email)
    measure_organizations()
    europe.kill()
    assert "organizations lost: 1" in lose().stdout
    page = visitor.get("/organizations/acme-corp")
    assert page.status == 200
    assert "Its documents are lost." in page.text
    assert "the cluster europe" in page.text
    assert "makes no backup and knows of none" in page.text
    page = visitor.get("/organizations/acme-corp/placement")
    assert page.status == 200
    assert "it had 1 document" in page.text
    assert "The portal makes no backup and knows of none" in page.text
    assert "none that the portal knows of" in page.text
    assert "reads and writes are answered 503" not in page.text
    assert visitor.get("/organizations/acme-corp/settings").status == 200
    page = visitor.get("/organizations/acme-corp/connect")
    assert ("which was given up as lost" in page.text) == (strategy != Strategy.SHARED)  # no users
    trash_organization(again(organization), None, CONTEXT)
    purge_organization(again(organization), None, CONTEXT)
    assert again(organization).state == OrganizationState.PURGED
    managing.remove_cluster("europe", CONTEXT)


@pytest.mark.parametrize(
    ("kind", "state", "strategy"),
    [
        (OperationKind.RENAME, OrganizationState.ACTIVE, Strategy.COLLECTION),
        (OperationKind.TRASH, OrganizationState.TRASHED, Strategy.DATABASE),
        (OperationKind.TRASH, OrganizationState.TRASHED, Strategy.SHARED),
        (OperationKind.PURGE, OrganizationState.PURGED, Strategy.COLLECTION),
        (OperationKind.PURGE, OrganizationState.PURGED, Strategy.SHARED),
    ],
)
def test_an_operation_that_waits_for_it_ends(in_europe, europe, lose, kind, state, strategy):
    organization = in_europe("Acme Corp", strategy)
    europe.kill()
    started = {
        OperationKind.RENAME: lambda: rename_organization(organization, "Globex", CONTEXT),
        OperationKind.TRASH: lambda: trash_organization(organization, None, CONTEXT),
        OperationKind.PURGE: lambda: purge_organization(organization, None, CONTEXT),
    }[kind]()
    assert started.operation.kind == kind
    assert (
        lose().stdout
        == "europe is given up: organizations lost: 1, operations ended: 1, moves and ways back ended: 0.\n"
    )
    ended = again(organization)
    assert (ended.operation, ended.state) == (None, state)
    if kind == OperationKind.RENAME:
        assert ended.slug == "acme-corp"
        assert ended.rolled_back.failure == "cluster lost"
        assert not Slug.objects(id="globex")


def test_a_sign_up_that_waits_for_it_ends_and_its_organization_is_lost(europe, lose, visitor):
    account = an_account("mara@acme.example")
    europe.kill()
    created = creating.create_organization(
        account.id, "Acme Corp", a_context(account), placement=Placement(cluster="europe")
    )
    assert created.operation.kind == OperationKind.CREATE
    assert "operations ended: 1" in lose().stdout
    assert again(created).operation is None
    visitor.log_in("mara@acme.example")
    assert "Its documents are lost." in visitor.get("/organizations/acme-corp").text


def test_what_begins_later_does_not_wait_for_it_either(in_europe, europe, lose):
    organization = in_europe("Acme Corp")
    lose()
    with pytest.raises(ClusterLost):
        rename_organization(organization, "Globex", CONTEXT)
    assert again(organization).operation is None
    with pytest.raises(ClusterLost):
        client_of("europe")
    with pytest.raises(ClusterClosed):
        transaction(lambda: clusters.ensure_placeable("europe"))
    with pytest.raises(ClusterIsLost):
        managing.change_cluster("europe", Changes(weight=1), CONTEXT)
    with pytest.raises(ClusterIsLost):
        managing.check_known("europe")
    assert runner.recover_due_operations() == 0


def test_a_purge_that_is_due_is_done_without_it(in_europe, europe, lose):
    organization = in_europe("Acme Corp")
    lose()
    trashed = trash_organization(again(organization), None, CONTEXT)
    Organization.objects(id=trashed.id).update(set__purge_at="2026-01-01")
    runner.run_once()
    assert again(organization).state == OrganizationState.PURGED


def test_a_job_on_its_documents_fails_instead_of_waiting(in_europe, europe, lose):
    organization = in_europe("Acme Corp")
    access = document_access(an_access(organization), a_context(the_owner(organization)))
    started = start_export(access, Query(), WriteOptions(Format.BSON), "all documents")
    lose()
    runner_of_jobs.run_due_jobs()
    job = find_job(started.job.id)
    assert job.state == JobState.FAILED
    assert "was given up as lost" in job.reason


def test_its_credentials_are_revoked_and_dropped_without_it(in_europe, europe, lose):
    organization = in_europe("Acme Corp")
    made = make(organization)
    lose()
    _, dropped = revoke_credential(an_access(again(organization)), made.credential, CONTEXT)
    assert dropped
    tending.run_once()
    assert not Credential.objects
