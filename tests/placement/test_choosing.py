"""Where a new organization goes."""

from portal.documents.organizations import Strategy
from portal.placement.choosing import choose


def test_by_default_it_gets_a_collection_of_its_own_on_the_first_cluster(app):
    placement = choose(None, None)
    assert (placement.strategy, placement.cluster) == (Strategy.COLLECTION, "main")
