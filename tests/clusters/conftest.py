"""What tests of clusters stand on."""

import pytest
from pymongo import MongoClient

from portal.clusters import managing
from portal.clusters.managing import Changes
from portal.web.context import RequestContext


@pytest.fixture
def europe(second_cluster):
    """A second cluster, registered."""
    managing.add_cluster("europe", Changes(second_cluster.uri), RequestContext())
    return second_cluster


@pytest.fixture
def there(second_cluster):
    """A client that may do everything on the second cluster."""
    with MongoClient(
        second_cluster.admin_uri, uuidRepresentation="standard", tz_aware=True
    ) as client:
        yield client
