"""A sign-up is placed by the policy, whoever asks for it."""

import threading
from collections import Counter
from functools import partial
from itertools import count

import pytest

from portal.database import clusters
from portal.database.clusters import database_of
from portal.documents.accounts import Account
from portal.documents.clusters import Cluster
from portal.documents.organizations import Organization, Strategy
from portal.documents.placement_policy import PlacementPolicy
from portal.identity.api_keys import credentials
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import trash_organization
from portal.organizations.storage import tenant_of
from portal.placement import capacity, policies
from tests.factories import a_context, an_account, an_organization, fresh
from tests.processes import at_once
from tests.program import PASSWORD, Program, fault

SHARED_BUT_LARGE = """
[[place]]
strategy = "database"
plans = ["large"]

[[place]]
strategy = "shared"
"""


@pytest.fixture
def billing(app):
    """The program that knows what customers pay for."""
    return Program(app, credentials.create_provisioning_key("Billing"))


def wanted(**more):
    return {
        "organization_name": "Acme Corp",
        "email": "mara@acme.example",
        "password": PASSWORD,
        **more,
    }


def the_placement():
    placement = Organization.objects.get().placement
    return placement.strategy, placement.cluster


def test_of_a_visitor_by_the_policy_in_force(app, in_force):
    in_force(SHARED_BUT_LARGE)
    assert Program(app).post("/org/create", wanted()).status_code == 201
    assert the_placement() == (Strategy.SHARED, "main")
    assert Organization.objects.get().placement.pool == 1


SHARED, DATABASE = ('[[place]]\nstrategy = "' + each + '"\n' for each in ("shared", "database"))
FULL = policies.DEFAULT + "\n[limits.main]\ncollections = 1\n"


def test_a_collection_is_promised_where_there_will_be_one(visitor, in_force):
    typed = {"organization_name": "Acme Corp", "slug": ""}

    def previewed():
        return visitor.get("/organizations/preview", query_string=typed).text

    assert "org_ acme_corp" in previewed()
    before_it_is_typed = visitor.get("/organizations/preview").html
    [collection] = [
        row for row in before_it_is_typed.select("dl > div") if "Collection" in row.text
    ]
    assert collection.dd.get_text(strip=True) == "org_…"
    for policy in (SHARED, DATABASE):
        in_force(policy)
        assert "acme-corp" in previewed()
        assert "Collection" not in previewed()
        assert "org_" not in visitor.get("/signup").text
    in_force(FULL)
    an_organization("Kestrel")
    capacity.take("main", Strategy.COLLECTION, policies.current_policy())
    assert "Collection" not in previewed()


def test_a_full_cluster_keeps_nobody_who_is_there_from_anything(app, in_force):
    """A limit on new ones isn't one on those that there are."""
    Program(app).post("/org/create", wanted())
    in_force(FULL)
    acme = Organization.objects.get()
    assert not capacity.take("main", Strategy.COLLECTION, policies.current_policy())
    rename_organization(acme, "Renamed", a_context())
    restore_organization(trash_organization(fresh(acme), None, a_context()), None, a_context())
    tenant_of(fresh(acme)).insert_one({"_id": 1})
    tenant_of(fresh(acme)).create_index("a")
    assert the_placement() == (Strategy.COLLECTION, "main")
    other = {**wanted(), "organization_name": "Other", "email": "o@acme.example"}
    assert Program(app).post("/org/create", other).status_code == 201
    assert Organization.objects.get(slug="other").placement.strategy == Strategy.SHARED


def test_of_an_account_by_the_policy_in_force(app, in_force):
    in_force(SHARED_BUT_LARGE)
    an_account("mara@acme.example")
    mara = Program(app)
    mara.log_in("mara@acme.example")
    assert mara.post("/org/create", {"organization_name": "Acme Corp"}).status_code == 201
    assert the_placement() == (Strategy.SHARED, "main")


def test_of_a_provisioning_program_by_the_plan_it_tells(billing, in_force, main_in):
    in_force(SHARED_BUT_LARGE)
    main_in("eu-central")
    told = wanted(plan="large", region="eu-central")
    assert billing.post("/org/create", told).status_code == 201
    assert the_placement() == (Strategy.DATABASE, "main")
    acme = Organization.objects.get()
    assert (acme.plan, acme.region) == ("large", "eu-central")
    assert database_of(acme.placement).name == f"t_{acme.id}"


@pytest.mark.parametrize("field", ["plan", "region"])
def test_nobody_else_says_plan_or_region(app, field):
    refused = Program(app).post("/org/create", wanted(**{field: "large"}))
    assert fault(refused)[::2] == (422, {field})
    assert not Organization.objects


def test_one_bound_to_a_region_that_its_cluster_leaves_meanwhile_goes_elsewhere_there(
    billing, europe, main_in
):
    """Between the choice and the commit: what this process knows of the registry is a moment old."""
    main_in("eu-central")
    clusters.known_clusters()
    Cluster.objects(name="main").update(set__region="us-east")
    Cluster.objects(name="europe").update(set__region="eu-central")
    assert billing.post("/org/create", wanted(region="eu-central")).status_code == 201
    assert the_placement() == (Strategy.COLLECTION, "europe")
    main_in("eu-central")
    clusters.known_clusters()
    Cluster.objects.update(set__region="us-east")
    other = {**wanted(region="eu-central"), "organization_name": "Other", "email": "o@acme.example"}
    assert fault(billing.post("/org/create", other))[1] == "unknown_region"
    assert Organization.objects.count() == 1


def test_nothing_is_left_of_one_bound_to_a_region_that_nobody_has(billing):
    refused = billing.post("/org/create", wanted(region="eu-central"))
    assert fault(refused)[1] == "unknown_region"
    assert not Organization.objects


def test_the_policy_changed_meanwhile_moves_nobody(app, in_force):
    in_force(SHARED_BUT_LARGE)
    Program(app).post("/org/create", wanted())
    tenant_of(Organization.objects.get()).insert_one({"_id": 1})
    in_force('[[place]]\nstrategy = "collection"\n')
    assert the_placement() == (Strategy.SHARED, "main")
    assert tenant_of(Organization.objects.get()).find_one() == {"_id": 1}
    assert PlacementPolicy.objects.count() == 2


def test_the_policy_is_changed_while_sign_ups_run(app, in_force, log):
    """Each is placed by one version of it, whole, and none is refused."""
    strategies = [*Strategy] * 4
    ended = threading.Event()

    def change():
        for strategy in strategies:
            in_force(f'[[place]]\nstrategy = "{strategy}"\n')
        ended.set()

    def sign_up(number):
        signed_up = 0
        while not ended.is_set() or not signed_up:
            name = f"Acme {number} {signed_up}"
            email = f"mara{number}-{signed_up}@acme.example"
            answer = Program(app).post("/org/create", wanted(organization_name=name, email=email))
            assert answer.status_code == 201
            signed_up += 1
        return signed_up

    _, *signed_up = at_once([change, *(partial(sign_up, number) for number in range(3))])
    by_version = dict(enumerate(strategies, 1)) | {0: Strategy.COLLECTION}
    chosen = log.named("placement.chosen")
    assert len(chosen) == sum(signed_up) == Organization.objects.count()
    assert all(told["strategy"] == by_version[told["policy"]] for told in chosen)
    placed = Counter(one.placement.strategy for one in Organization.objects(operation=None))
    assert placed == Counter(told["strategy"] for told in chosen)
    for organization in Organization.objects:
        tenant_of(organization).insert_one({"_id": 1})
        assert tenant_of(organization).count_documents({}) == 1
    Organization.objects.delete()
    Program(app).post("/org/create", wanted(organization_name="Last", email="last@acme.example"))
    assert the_placement()[0] == strategies[-1]


def test_from_95_percent_on_sign_ups_share_within_the_same_request(app, in_force, monkeypatch):
    for kept in ("KEPT_SECONDS", "IN_FLIGHT_SECONDS"):
        monkeypatch.setattr(capacity, kept, 0)

    def sign_up(number):
        told = wanted(organization_name=f"Acme {number}", email=f"mara{number}@acme.example")
        assert Program(app).post("/org/create", told).status_code == 201
        return Organization.objects.get(slug=f"acme-{number}").placement.strategy

    rule = '[[place]]\nstrategy = "collection"\n'
    in_force(rule)
    sign_up(0)
    held = capacity.read("main", databases=False).collections
    limit = next(most for most in count(held) if most * 95 // 100 == held + 3)
    in_force(f"{rule}[limits.main]\ncollections = {limit}\n")
    assert [sign_up(number) for number in range(1, 7)] == ["collection"] * 3 + ["shared"] * 3


@pytest.mark.parametrize("code", [8000, 264])
def test_where_a_server_refuses_another_collection_it_shares_one(app, hosted, log, code):
    """At a limit that nobody told: "already using 500 collections of 500", TooManyFilesOpen."""
    hosted(code, "create", times=1)
    assert Program(app).post("/org/create", wanted()).status_code == 201
    assert the_placement() == (Strategy.SHARED, "main")
    assert log.named("capacity.refused")[0]["cluster"] == "main"
    # The next one doesn't try.
    other = wanted(organization_name="Kestrel", email="teo@kestrel.example")
    assert Program(app).post("/org/create", other).status_code == 201
    assert Organization.objects.get(slug="kestrel").placement.strategy == Strategy.SHARED
    assert len(log.named("capacity.refused")) == 1


def test_where_another_cluster_refuses_another_collection_it_is_put_elsewhere(
    app, europe, there, in_force
):
    in_force('[[place]]\nstrategy = "collection"\nclusters = ["europe"]\n')
    fail_point = {"failCommands": ["create"], "errorCode": 8000}
    there.admin.command("configureFailPoint", "failCommand", mode={"times": 1}, data=fail_point)
    assert Program(app).post("/org/create", wanted()).status_code == 201
    acme = Organization.objects.get()
    assert acme.operation is None
    assert (acme.placement.strategy, acme.placement.cluster) == (Strategy.SHARED, "europe")
    tenant_of(acme).insert_one({"_id": 1})


def test_where_it_refuses_shared_ones_too_nothing_is_created(app, hosted):
    hosted(8000, "create")
    assert fault(Program(app).post("/org/create", wanted()))[:2] == (503, "clusters_unavailable")
    assert Organization.objects.count() == Account.objects.count() == 0


@pytest.mark.parametrize("wrong", ["", "Large", "large plan", "-"])
def test_a_provisioning_program_is_told_of_a_plan_that_is_no_name(billing, wrong):
    answer = billing.post("/org/create", wanted(plan=wrong))
    assert fault(answer) == (422, "invalid_plan", {"plan"})
    assert Organization.objects.count() == 0
