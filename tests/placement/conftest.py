"""Givens of tests of placements."""

import pytest

from portal import clock
from portal.database.clusters import forget_registry, known_clusters
from portal.documents.clusters import Cluster
from portal.documents.placement_policy import PlacementPolicy
from portal.placement import capacity, policies
from tests.clusters.conftest import europe, in_europe, there  # noqa: F401
from tests.factories import a_context


@pytest.fixture(autouse=True)
def nothing_known():
    """As in a process that has read no cluster yet."""
    capacity.forget()
    yield
    capacity.forget()


@pytest.fixture
def in_force(app):
    """Put a policy in force."""

    def set_policy(text):
        version, _ = policies.current_text()
        known = {cluster.name for cluster in known_clusters()}
        return policies.set_policy(text, version, known, a_context())

    yield set_policy
    PlacementPolicy.objects.delete()


@pytest.fixture
def hosted(admin):
    """Have the server refuse what hosted ones refuse, so many times or always."""

    def refuse(code, *commands, times=None):
        admin.admin.command(
            "configureFailPoint",
            "failCommand",
            mode={"times": times} if times else "alwaysOn",
            data={"failCommands": list(commands), "errorCode": code},
        )

    yield refuse
    admin.admin.command("configureFailPoint", "failCommand", mode="off")


@pytest.fixture
def main_in(app):
    """Have the first cluster be in a region."""

    def set_region(region):
        Cluster(name="main", region=region, added_at=clock.now()).save()
        forget_registry()

    yield set_region
    forget_registry()
