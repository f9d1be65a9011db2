"""The choice of a place for a new organization."""

import threading
from collections import Counter

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from portal import clock
from portal.database.clusters import KnownCluster
from portal.documents.organizations import Strategy
from portal.documents.placement_policy import PlacementPolicy
from portal.placement import capacity
from portal.placement import clusters as clusters_module
from portal.placement.choosing import choose
from portal.placement.errors import ClustersUnavailable, RegionUnavailable, UnknownRegion
from tests.factories import an_organization


def test_by_default_it_gets_a_collection_of_its_own_on_the_first_cluster(app):
    placement = choose(None, None)
    assert (placement.strategy, placement.cluster) == (Strategy.COLLECTION, "main")


SHARED = '[[place]]\nstrategy = "shared"\n'
OWN = '[[place]]\nstrategy = "{}"\n'


@pytest.fixture
def elsewhere(monkeypatch):
    """Other clusters by name: region, weight, and the room for collections of their own. Some may
    be ``away``, or have an application that can't reach them."""
    room = {}

    def add(away=(), unreachable=(), **clusters):
        found = [
            KnownCluster(name.replace("_", "-"), None, region, weight, None, weight > 0, None)
            for name, (region, weight, _) in clusters.items()
        ]
        room.update({name.replace("_", "-"): full for name, (_, _, full) in clusters.items()})
        monkeypatch.setattr(clusters_module, "known_clusters", lambda: found)
        monkeypatch.setattr(clusters_module, "is_available", lambda name: name not in away)
        monkeypatch.setattr(
            clusters_module, "reachable_by_all_applications", lambda name: name not in unreachable
        )

    def take(cluster, strategy, policy):
        room[cluster] -= 1
        return room[cluster] >= 0

    monkeypatch.setattr(capacity, "take", take)
    return add


@pytest.mark.parametrize("strategy", list(Strategy))
def test_the_policy_names_the_strategy(in_force, strategy):
    in_force(OWN.format(strategy))
    assert choose(None, None).strategy == strategy


@pytest.mark.parametrize("strategy", [Strategy.COLLECTION, Strategy.DATABASE])
def test_what_finds_no_room_shares_at_once(in_force, log, strategy):
    in_force(OWN.format(strategy) + "[limits.main]\ncollections = 1\n")
    placement = choose("large", None)
    assert (placement.strategy, placement.cluster) == (Strategy.SHARED, "main")
    told = log.named("placement.chosen")[0]
    assert (told["wanted"], told["strategy"], told["plan"]) == (strategy, "shared", "large")


def test_the_first_ones_get_their_own_and_later_ones_share(in_force):
    in_force('[[place]]\nfirst = 2\nstrategy = "collection"\n' + SHARED)
    chosen = []
    for name in ("Acme", "Kestrel", "Juniper"):
        chosen.append(choose(None, None).strategy)
        an_organization(name)
    assert chosen == ["collection", "collection", "shared"]


def test_heavier_clusters_get_more(elsewhere, app):
    elsewhere(fra_1=(None, 9, 1000), fra_2=(None, 1, 1000), par_1=(None, 0, 1000))
    chosen = Counter(choose(None, None).cluster for _ in range(400))
    assert chosen["fra-1"] > 300 > chosen["fra-2"] > 0 == chosen["par-1"]


def test_emptier_clusters_get_more(elsewhere, app, monkeypatch):
    elsewhere(fra_1=(None, 9, 1000), fra_2=(None, 9, 1000), par_1=(None, 9, 1000))
    free = {"fra-1": 0.9, "fra-2": 0.1, "par-1": 0}
    monkeypatch.setattr(capacity, "free_share", lambda name, policy: free[name])
    chosen = Counter(choose(None, None).cluster for _ in range(400))
    assert chosen["fra-1"] > 300 > chosen["fra-2"] > 0 == chosen["par-1"]


def test_where_one_is_full_another_takes_it(elsewhere, app):
    elsewhere(fra_1=(None, 1000, 2), fra_2=(None, 1, 3))
    chosen = [choose(None, None) for _ in range(8)]
    own = Counter(one.cluster for one in chosen if one.strategy == Strategy.COLLECTION)
    assert own == {"fra-1": 2, "fra-2": 3}
    assert sum(one.strategy == Strategy.SHARED for one in chosen) == 3


@pytest.mark.parametrize("strategy", list(Strategy))
@given(
    regions=st.lists(st.sampled_from([None, "eu", "us", "ap"]), min_size=1, max_size=5),
    rooms=st.lists(st.integers(0, 2), min_size=5, max_size=5),
    asked=st.lists(st.sampled_from([None, "eu", "us", "ap"]), min_size=1, max_size=20),
)
@hypothesis_settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_region_is_never_left_not_by_the_guard_either(
    elsewhere, app, strategy, regions, rooms, asked
):
    names = [f"c{number}" for number in range(len(regions))]
    elsewhere(**{n: (r, 1, full) for n, r, full in zip(names, regions, rooms, strict=False)})
    in_region = dict(zip(names, regions, strict=True))
    PlacementPolicy.objects.delete()
    PlacementPolicy(id=1, text=OWN.format(strategy), set_at=clock.now()).save()
    for region in asked:
        if region is not None and region not in regions:
            with pytest.raises(UnknownRegion):
                choose(None, region)
        else:
            chosen = choose(None, region).cluster
            assert region is None or in_region[chosen] == region


def test_without_a_region_of_its_own_a_cluster_takes_nobody_who_is_bound_to_one(app):
    with pytest.raises(UnknownRegion) as refused:
        choose(None, "eu-central")
    assert "eu-central" in refused.value.words


def test_a_policy_that_changes_meanwhile_places_each_by_one_version(in_force, log):
    changing = threading.Thread(
        target=lambda: [in_force(OWN.format(s)) for s in ("shared", "database", "collection") * 3]
    )
    changing.start()
    while changing.is_alive():
        choose(None, None)
    changing.join()
    wanted = {0: "collection"} | {
        n: ("shared", "database", "collection")[(n - 1) % 3] for n in range(1, 10)
    }
    told = log.named("placement.chosen")
    assert told
    assert all(wanted[one["policy"]] == one["wanted"] for one in told)


def test_a_cluster_that_is_away_or_closed_takes_none(elsewhere, app):
    elsewhere(away=("fra-1",), fra_1=("eu", 9, 9), fra_2=("eu", 1, 9), fra_3=("eu", 0, 9))
    assert {choose(None, "eu").cluster for _ in range(9)} == {"fra-2"}


def test_where_an_application_cannot_follow_none_is_placed(elsewhere, app):
    elsewhere(unreachable=("fra-1",), fra_1=("eu", 9, 9), fra_2=("eu", 1, 9))
    assert {choose(None, "eu").cluster for _ in range(9)} == {"fra-2"}


def test_where_an_application_cannot_follow_one_is_placed_if_the_policy_forces_it(elsewhere, app):
    elsewhere(unreachable=("fra-1",), fra_1=("eu", 9, 9))
    with pytest.raises(RegionUnavailable):
        choose(None, "eu")
    text = OWN.format("collection") + "[guard]\napplications_follow = false\n"
    PlacementPolicy(id=1, text=text, set_at=clock.now()).save()
    assert choose(None, "eu").cluster == "fra-1"


def test_where_all_of_a_region_are_away_none_elsewhere_takes_it(elsewhere, app):
    elsewhere(away=("fra-1",), fra_1=("eu", 9, 9), nyc_1=("us", 9, 9))
    with pytest.raises(RegionUnavailable):
        choose(None, "eu")
    assert choose(None, None).cluster == "nyc-1"


def test_where_all_are_away_it_is_refused_with_words(elsewhere, app):
    elsewhere(away=("fra-1",), fra_1=("eu", 9, 9))
    with pytest.raises(ClustersUnavailable) as refused:
        choose(None, None)
    assert "Nothing was created" in refused.value.words


def test_where_the_clusters_of_the_policy_are_away_others_take_it(elsewhere, app):
    elsewhere(away=("fra-1",), fra_1=(None, 9, 9), fra_2=(None, 9, 9))
    text = OWN.format("collection") + 'clusters = ["fra-1"]\n'
    PlacementPolicy(id=1, text=text, set_at=clock.now()).save()
    assert choose(None, None).cluster == "fra-2"
