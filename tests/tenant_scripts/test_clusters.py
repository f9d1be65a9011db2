"""A script reaches organizations in other clusters, and does without one that is away."""

import pytest

from portal.clusters.managing import lose_cluster
from portal.database.clusters import is_available
from portal.documents.jobs import JobItem
from portal.documents.organizations import Strategy
from portal.organizations.storage import tenant_of
from portal.tenant_scripts import applying
from tests.clusters.conftest import europe, there  # noqa: F401 (fixtures)
from tests.factories import a_context, an_organization, fresh
from tests.processes import wait_until

INSERT = "def apply(tenant): tenant.update_one({'_id': 1}, {'$set': {'n': 1}}, upsert=True)"


@pytest.mark.usefixtures("real_limits")
@pytest.mark.full
def test_one_in_a_cluster_that_is_away_fails_alone_until_that_is_back(script, apply, europe):  # noqa: F811
    here = an_organization("Here")
    away = an_organization("There", strategy=Strategy.COLLECTION, cluster="europe")
    europe.kill()
    told = apply(script(INSERT), "--max-failures", 100)
    assert told.returncode == 1
    assert "  there  failed: " in told.stdout
    assert "in the cluster europe" in told.stdout
    assert tenant_of(fresh(here)).find_one()["n"] == 1
    assert apply(script(INSERT), "--cluster", "main").stdout.startswith(
        "Nothing to do for add_status: done for 1 org"
    )
    europe.start_again()
    wait_until(lambda: is_available("europe"))
    assert apply(script(INSERT), "--cluster", "europe").returncode == 0
    assert tenant_of(fresh(away)).find_one()["n"] == 1


def test_slow_reads_on_a_cluster_that_the_wave_wrote_to_keep_the_gate_shut(
    script,
    apply,
    europe,  # noqa: F811
    there,  # noqa: F811
    monkeypatch,
):
    """Those of master data are as fast as ever."""
    monkeypatch.setattr(applying, "GATE_LOOKS", 1)
    monkeypatch.setattr(applying, "_READS", 1)
    first = an_organization("There", cluster="europe")
    for name in ("Here", "Elsewhere"):
        an_organization(name)
    slow = {"failCommands": ["find"], "blockConnection": True, "blockTimeMS": 900}
    there.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=slow)
    try:
        told = apply(script(INSERT), "--max-latency", 800)
    finally:
        there.admin.command("configureFailPoint", "failCommand", mode="off")
    assert told.returncode == 1
    assert "behind the wave “canary” the portal's own reads on europe take" in told.stdout
    assert [item.organization for item in JobItem.objects] == [first.id]
    assert apply(script(INSERT), "--max-latency", 5000).returncode == 0


@pytest.mark.usefixtures("real_limits")
@pytest.mark.full
def test_one_that_was_lost_with_its_cluster_is_left_out(script, apply, europe):  # noqa: F811
    here = an_organization("Here")
    an_organization("There", strategy=Strategy.COLLECTION, cluster="europe")
    europe.kill()
    lose_cluster("europe", a_context())
    assert apply(script(INSERT)).returncode == 0
    assert [item.organization for item in JobItem.objects] == [here.id]
