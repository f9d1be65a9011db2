"""The registry of clusters: what is taken in, what is kept of it, and how it is used."""

import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from pymongo.errors import InvalidOperation

from portal import clock, settings
from portal.audit.trail import installation
from portal.clusters import checking, managing
from portal.clusters.errors import (
    AnotherCluster,
    ClusterExists,
    ClusterInUse,
    ClusterKnown,
    ClusterNotFound,
    ClusterSilent,
    ClusterUnsuitable,
    InvalidClusterName,
    InvalidClusterUri,
    InvalidWeight,
    RegionInUse,
)
from portal.clusters.managing import Changes
from portal.database import clusters
from portal.database.clusters import client_of, database_of, ensure_placeable
from portal.database.errors import ClusterClosed, ClusterUnavailable, UnknownCluster
from portal.database.resealing import reseal_all
from portal.database.transactions import transaction
from portal.documents.audit import AuditEvent
from portal.documents.clusters import Cluster
from portal.documents.moves import Move, MoveState
from portal.documents.organizations import Organization, Placement, Strategy
from portal.documents.pools import Pool
from portal.organizations.storage import tenant_of
from portal.placement import capacity, policies
from portal.placement.capacity import Reading
from portal.placement.errors import InvalidRegion
from portal.placement.policies import Limits
from portal.serving import mongod
from portal.settings import sealing
from portal.web.context import RequestContext
from tests.factories import an_organization, the_owner
from tests.moving.records import a_move
from tests.processes import at_once

CONTEXT = RequestContext()


def password_in(uri):
    return uri.partition("://")[2].partition("@")[0].partition(":")[2]


def test_a_registered_cluster_is_used_by_its_name(europe, there):
    database = database_of(Placement(cluster="europe"))
    database.org_acme_corp.insert_one({"_id": 1})
    assert there[settings.current().tenant_db].org_acme_corp.find_one() == {"_id": 1}
    own = database_of(Placement(cluster="europe", database="t_acme"))
    assert own.name == "t_acme"
    assert own.client is database.client is client_of("europe")


def test_a_client_has_the_options_of_the_first_one(europe):
    options, first = client_of("europe").options, client_of("main").options
    assert options.timeout == first.timeout
    assert client_of("europe").codec_options == client_of("main").codec_options
    assert options.pool_options.appname == "portal"


@pytest.mark.parametrize("mark", ["&", ";"])
def test_what_a_uri_says_of_timeouts_counts(mark):
    """risingwave 26723: some split at & alone, and the driver takes a ; as well."""
    uri = f"mongodb://localhost/?heartbeatFrequencyMS=5000{mark}connectTimeoutMS=9000"
    with clusters.open_client(uri) as client:
        assert client.options.pool_options.connect_timeout == 9
        assert client.options.heartbeat_frequency == 5


def test_the_first_cluster_is_used_without_a_look_at_the_registry(app, commands):
    assert client_of("main") is clusters.client()
    database_of(Placement())
    clusters.is_lost("main")
    assert commands == []


def test_the_registry_is_read_once_in_a_while(europe, commands):
    client_of("europe")
    commands.clear()
    for _ in range(50):
        client_of("europe")
    assert "find" not in commands


def test_a_name_that_nobody_registered_is_refused(app):
    with pytest.raises(UnknownCluster):
        client_of("europe")


def test_a_uri_is_stored_sealed_and_told_nowhere(europe, master_db, command, log):
    password = password_in(europe.uri)
    stored = master_db.clusters.find_one("europe")
    assert password not in str(stored)
    assert clusters.uri_of("europe") == europe.uri
    told = command("clusters", "list").stdout + command("clusters", "check").stdout
    events = str([event.to_mongo() for event in AuditEvent.objects])
    assert password not in told + events + log.text + repr(Cluster.objects.get(name="europe"))
    assert password not in repr(Changes(europe.uri))


def test_a_uri_lives_through_the_rotation_of_the_key(app, second_cluster, log):
    """As second factors do: with the old key as fallback, and without it after a start; beside the
    record of the first cluster, which has no URI, and one whose URI is not to be read."""
    europe = second_cluster
    managing.change_cluster("main", Changes(weight=0), CONTEXT)
    Cluster(name="broken", uri="é", added_at=clock.now()).save()
    managing.add_cluster("europe", Changes(europe.uri), CONTEXT)
    old = settings.current()
    new = replace(old, secret_key="n" * 40, secret_key_fallbacks=(old.secret_key,))
    try:
        settings.activate(new)
        assert clusters.uri_of("europe") == europe.uri
        assert (reseal_all(), reseal_all()) == (1, 0)
        assert "secrets.unreadable" in log.text
        clusters.forget_registry()
        settings.activate(replace(new, secret_key_fallbacks=()))
        assert clusters.uri_of("europe") == europe.uri
    finally:
        settings.activate(old)
    clusters.forget_registry()
    for name in ("europe", "broken"):
        with pytest.raises(ClusterUnavailable, match="another SECRET_KEY"):
            client_of(name)


@pytest.mark.parametrize("name", ["main", "", "Europe", "-", "eu rope", "a" * 33, "$where", "é"])
def test_a_name_that_no_cluster_can_have_is_refused(app, name):
    with pytest.raises(InvalidClusterName):
        managing.add_cluster(name, Changes("mongodb://localhost/"), CONTEXT)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        (Changes("localhost"), InvalidClusterUri),
        (Changes("mongodb://us:pa@ss@localhost/"), InvalidClusterUri),
        (Changes("mongodb://us:pa@ss@localhost:99999/"), InvalidClusterUri),
        (Changes("mongodb://localhost/?tlsCAFil=/ca.pem"), InvalidClusterUri),
        (Changes("mongodb://localhost/?connectTimeoutMS=soon"), InvalidClusterUri),
        (Changes("mongodb://localhost/?tls=true&tlsCAFile=/nowhere/ca.pem"), InvalidClusterUri),
        (Changes("mongodb://localhost/", credentials_uri="mongodb://u:p@db/"), InvalidClusterUri),
        (Changes("mongodb://localhost/", region="Europe!"), InvalidRegion),
        (Changes("mongodb://localhost/", weight=-1), InvalidWeight),
        (Changes("mongodb://localhost/", weight=1001), InvalidWeight),
    ],
)
def test_values_that_mean_nothing_are_refused_without_a_secret_in_the_words(app, changes, error):
    with pytest.raises(error) as refusal:
        managing.add_cluster("europe", changes, CONTEXT)
    assert "pa@ss" not in refusal.value.words
    assert not Cluster.objects


def test_one_name_is_registered_once(europe):
    with pytest.raises(ClusterExists):
        managing.add_cluster("europe", Changes(europe.uri), CONTEXT)


def test_one_cluster_is_registered_once(europe, server):
    with pytest.raises(ClusterKnown, match="europe"):
        managing.add_cluster("europa", Changes(europe.uri), CONTEXT)
    with pytest.raises(ClusterKnown, match="main"):
        managing.add_cluster("other", Changes(server.uri), CONTEXT)
    assert checking.read_identity(client_of("main")) is None


def test_of_two_who_register_one_cluster_at_once_one_does(second_cluster):
    def add(name):
        try:
            managing.add_cluster(name, Changes(second_cluster.uri), CONTEXT)
        except (ClusterKnown, ClusterExists):
            return False
        return True

    done = at_once([lambda: add("europe"), lambda: add("asia"), lambda: add("europe")])
    assert sorted(done) == [False, False, True]
    assert len(Cluster.objects) == 1


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(checking, "CHECK_SECONDS", 1)


@pytest.mark.usefixtures("real_limits")
def test_a_cluster_that_does_not_answer_is_not_registered(second_cluster, impatient):
    second_cluster.kill()
    with pytest.raises(ClusterSilent, match="127"):
        managing.add_cluster("europe", Changes(second_cluster.uri), CONTEXT)
    assert not Cluster.objects


def test_a_wrong_password_is_told_as_such(second_cluster):
    uri = second_cluster.uri.replace(password_in(second_cluster.uri), "wrong")
    with pytest.raises(ClusterSilent, match="refuses the user name or password in europe"):
        managing.add_cluster("europe", Changes(uri), CONTEXT)


def test_a_wrong_name_of_the_replica_set_is_told_as_such(second_cluster, impatient):
    uri = second_cluster.uri.replace("replicaSet=portal", "replicaSet=prtal")
    with pytest.raises(ClusterSilent, match="no member has the replicaSet that europe names"):
        managing.add_cluster("europe", Changes(uri), CONTEXT)


def test_a_user_without_the_portals_role_is_told_what_it_lacks(second_cluster, there):
    there.admin.command("createUser", "bare", pwd="bare", roles=["readAnyDatabase"])
    try:
        uri = second_cluster.uri.replace(f"portal:{password_in(second_cluster.uri)}", "bare:bare")
        with pytest.raises(ClusterUnsuitable, match=r"lacks .*createUser.*docs/operating\.md"):
            managing.add_cluster("europe", Changes(uri), CONTEXT)
    finally:
        there.admin.command("dropUser", "bare")


def test_a_default_write_concern_that_loses_writes_is_told(second_cluster, there):
    defaults = {"setDefaultRWConcern": 1, "writeConcern": {"w": "majority"}}
    there.admin.command({**defaults, "defaultWriteConcern": {"w": 1}})
    try:
        with pytest.raises(ClusterUnsuitable, match="write concern is not majority"):
            managing.add_cluster("europe", Changes(second_cluster.uri), CONTEXT)
    finally:
        there.admin.command({**defaults, "defaultWriteConcern": {"w": "majority"}})


@pytest.mark.parametrize("own", ["tenant_test", "tenant_test_internal", "tenant_test_reports"])
def test_a_database_whose_name_differs_in_case_only_is_told(second_cluster, there, own):
    for name in (settings.current().tenant_db, f"{settings.current().tenant_db}_internal"):
        there.drop_database(name)
    there[own.upper()].others.insert_one({})
    try:
        with pytest.raises(ClusterUnsuitable, match=f"{own.upper()} where the portal needs {own}"):
            managing.add_cluster("europe", Changes(second_cluster.uri), CONTEXT)
    finally:
        there.drop_database(own.upper())


def test_a_uri_that_knows_one_member_alone_is_told(europe, passive, log):
    """After the next election nothing could be written there."""
    assert "directConnection" not in str(managing.check_known("europe").warnings)
    managing.change_cluster("europe", Changes(f"{europe.uri}&directConnection=true"), CONTEXT)
    [words] = managing.check_known("europe").warnings[-1:]
    assert words.startswith("Its URI has directConnection=true, and the replica set has more")
    assert log.named("database.bound_to_one_member")


@pytest.fixture
def with_tls(app, tmp_path):
    """A MongoDB server with a certificate of its own, which clients have to trust."""
    pem = tmp_path / "server.pem"
    make_certificate(pem)
    tls = ("--tlsMode", "preferTLS", "--tlsCertificateKeyFile", str(pem), "--tlsCAFile", str(pem))
    open_to_all = "--tlsAllowConnectionsWithoutCertificates"
    running = mongod.start(
        tmp_path, "secret", *tls, open_to_all, databases=("master_test", "tenant_test")
    )
    yield running, pem
    running.stop()


def make_certificate(pem):
    """One for this machine, signed by itself, with its key in the same file."""
    names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    own = ["-subj", "/CN=localhost", "-addext", names, "-keyout", "-", "-out", "-"]
    pem.write_bytes(subprocess.run([*made, *own], check=True, capture_output=True).stdout)


@pytest.mark.processes
@pytest.mark.usefixtures("real_limits")
def test_certificates_that_were_renewed_at_the_same_path_are_taken(with_tls, tmp_path):
    """mongo-go-driver 2383: a driver reads them once."""
    server, renewed = with_tls
    path = tmp_path / "ca.pem"
    make_certificate(path)
    uri = f"{server.uri}&tls=true&tlsCAFile={path}"
    Cluster(name="asia", uri=sealing.seal(uri), added_at=clock.now()).save()
    clusters.forget_registry()
    for _ in range(2):
        with pytest.raises(ClusterUnavailable):
            client_of("asia")
    path.write_bytes(renewed.read_bytes())
    assert client_of("asia").admin.command("ping")["ok"]
    assert client_of("asia") is client_of("asia")


def test_another_uri_for_the_same_cluster_takes_the_place_of_the_first(europe, there):
    before = client_of("europe")
    there.admin.command("createUser", "other", pwd="other", roles=["root"])
    try:
        uri = europe.uri.replace(f"portal:{password_in(europe.uri)}", "other:other")
        managing.change_cluster("europe", Changes(uri, region="eu"), CONTEXT)
        after = client_of("europe")
        assert after is not before
        after.admin.command("ping")
        before.admin.command("ping")  # what runs ends on the one that it has
    finally:
        there.admin.command("dropUser", "other")
    assert clusters.find_cluster("europe").region == "eu"


def test_a_uri_that_leads_to_another_cluster_is_refused(europe, server):
    with pytest.raises(AnotherCluster):
        managing.change_cluster("europe", Changes(server.uri), CONTEXT)
    assert clusters.uri_of("europe") == europe.uri


def test_region_and_weight_are_changed_of_the_first_too(europe):
    managing.change_cluster("main", Changes(region="us", weight=0), CONTEXT)
    managing.change_cluster("europe", Changes(weight=5), CONTEXT)
    main, other = clusters.known_clusters()
    assert (main.name, main.region, main.weight, main.open) == ("main", "us", 0, False)
    assert (other.name, other.region, other.weight, other.open) == ("europe", None, 5, True)
    managing.change_cluster("main", Changes(region="", weight=1), CONTEXT)
    assert clusters.known_clusters()[0].region is None
    with pytest.raises(InvalidClusterUri):
        managing.change_cluster("main", Changes("mongodb://localhost/"), CONTEXT)


@pytest.mark.parametrize("cluster", ["europe", "main"])
def test_a_cluster_stays_in_the_region_that_organizations_there_are_bound_to(europe, cluster):
    managing.change_cluster(cluster, Changes(region="eu"), CONTEXT)
    for number in range(22):
        organization = an_organization(f"Acme {number:02}")
        organization.update(set__placement__cluster=cluster, set__region="eu")
    an_organization("Free").update(set__placement__cluster=cluster)
    for elsewhere in ("us", ""):
        with pytest.raises(RegionInUse) as refusal:
            managing.change_cluster(cluster, Changes(region=elsewhere, weight=7), CONTEXT)
        assert "22 organizations (acme-00, acme-01" in refusal.value.words
        assert "acme-19 and 2 more)" in refusal.value.words
    kept = clusters.find_cluster(cluster)
    assert (kept.region, kept.weight) == ("eu", 1)
    managing.change_cluster(cluster, Changes(region="eu", weight=7), CONTEXT)
    Organization.objects.update(set__state="purged")
    managing.change_cluster(cluster, Changes(region="us"), CONTEXT)
    assert clusters.find_cluster(cluster).region == "us"


def test_a_cluster_stays_in_the_region_that_copies_on_it_are_bound_to(europe):
    """Copies of ways back, too."""
    for cluster in ("main", "europe"):
        managing.change_cluster(cluster, Changes(region="eu"), CONTEXT)
    acme = an_organization("Acme Corp")
    acme.update(set__region="eu")
    a_move(acme, MoveState.SHADOW)
    with pytest.raises(RegionInUse) as refused:
        managing.change_cluster("europe", Changes(region="us"), CONTEXT)
    assert "1 organization (acme-corp), or copies" in refused.value.words
    Move.objects.update(unset__open=True)
    managing.change_cluster("europe", Changes(region="us"), CONTEXT)


def test_none_is_added_outside_of_the_region_that_organizations_on_it_are_bound_to(
    app, second_cluster, there
):
    """Master data were set back to a day before it was added, or somebody deleted its record."""
    an_organization("Acme Corp").update(set__placement__cluster="europe", set__region="eu")
    for elsewhere in ("us", None):
        with pytest.raises(RegionInUse) as refused:
            managing.add_cluster("europe", Changes(second_cluster.uri, region=elsewhere), CONTEXT)
        assert "europe has to be in eu" in refused.value.words
    managing.add_cluster("europe", Changes(second_cluster.uri, region="eu"), CONTEXT)


def test_nothing_that_another_cluster_told_of_itself_goes_on_under_its_name(europe):
    """Its limits, and how full it was."""
    capacity.store("europe", Reading(clock.now() - timedelta(hours=1), 5_000, 5_000))
    full = replace(policies.current_policy(), limits={"europe": Limits(collections=4_000)})
    capacity._knowledge_of("europe").reading = capacity.last_reading("europe")
    capacity._knowledge_of("europe").read_at = time.monotonic()
    assert not capacity.take("europe", Strategy.COLLECTION, full)
    managing.remove_cluster("europe", CONTEXT)
    managing.add_cluster("europe", Changes(europe.uri), CONTEXT)
    assert capacity.last_reading("europe") is None
    assert capacity.take("europe", Strategy.COLLECTION, full)


@pytest.mark.parametrize("cluster", ["europe", "main"])
def test_one_that_is_bound_to_a_region_is_not_born_where_that_was_until_just_now(europe, cluster):
    managing.change_cluster(cluster, Changes(region="eu"), CONTEXT)
    transaction(lambda: ensure_placeable(cluster, "eu"))
    managing.change_cluster(cluster, Changes(region="us"), CONTEXT)
    with pytest.raises(ClusterClosed):
        transaction(lambda: ensure_placeable(cluster, "eu"))
    transaction(lambda: ensure_placeable(cluster))


@pytest.mark.parametrize("cluster", ["europe", "main"])
def test_who_is_bound_to_a_region_and_a_cluster_that_leaves_it_at_once_exclude_each_other(
    europe, cluster
):
    """Of births and of organizations that are bound later."""
    managing.change_cluster(cluster, Changes(region="eu"), CONTEXT)
    organizations = [an_organization(f"Acme {number}") for number in range(3)]

    def bind(organization):
        def write():
            organization.update(set__placement__cluster=cluster, set__region="eu")
            ensure_placeable(cluster, "eu")

        with suppress(ClusterClosed):
            transaction(write)

    def leave():
        with suppress(RegionInUse):
            managing.change_cluster(cluster, Changes(region="us"), CONTEXT)

    at_once([*(lambda each=each: bind(each) for each in organizations), leave])
    bound = Organization.objects(region="eu").count()
    assert (clusters.find_cluster(cluster).region, bound) in [("eu", 3), ("us", 0)]


def test_what_operators_did_is_in_the_installations_trail(europe):
    managing.change_cluster("europe", Changes(weight=2), CONTEXT)
    managing.remove_cluster("europe", CONTEXT)
    events = AuditEvent.objects(chain=transaction(installation).id).order_by("seq")
    assert [event.action for event in events] == [
        "cluster.added",
        "cluster.changed",
        "cluster.removed",
    ]


def test_a_cluster_that_holds_organizations_is_not_removed(europe):
    for number in range(22):
        organization = an_organization(f"Acme {number:02}")
        organization.update(set__placement__cluster="europe")
    organization.update(set__placement__pool=3)
    with pytest.raises(ClusterInUse) as refusal:
        managing.remove_cluster("europe", CONTEXT)
    assert "22 organizations (acme-00, acme-01" in refusal.value.words
    assert "acme-19 and 2 more), in the shared collections 3." in refusal.value.words
    assert "acme-20" not in refusal.value.words
    assert clusters.find_cluster("europe").open
    transaction(lambda: ensure_placeable("europe"))


def test_a_removed_cluster_is_not_known_any_more(europe):
    managing.remove_cluster("europe", CONTEXT)
    with pytest.raises(UnknownCluster):
        client_of("europe")
    with pytest.raises(ClusterClosed):
        transaction(lambda: ensure_placeable("europe"))
    for name in ("europe", "main"):
        with pytest.raises(ClusterNotFound):
            managing.remove_cluster(name, CONTEXT)
    managing.add_cluster("europe", Changes(europe.uri), CONTEXT)


def test_empty_shared_collections_are_left_behind_and_their_numbers_stay_taken(europe):
    """An application may remember one by its number."""
    Pool(id=3, cluster="europe", uuid=uuid4(), generation=5, next_generation=None).save()
    managing.remove_cluster("europe", CONTEXT)
    managing.add_cluster("europe", Changes(europe.uri), CONTEXT)
    created = an_organization("Acme Corp", strategy=Strategy.SHARED, cluster="europe")
    assert created.placement.pool == 4
    assert Pool.objects.get(id=3).cluster == "removed europe"


def test_a_cluster_that_an_older_backup_forgot_is_registered_again_as_it_was(europe):
    Pool(id=3, cluster="europe").save()
    an_organization("Acme Corp").update(set__placement__cluster="europe", set__placement__pool=3)
    Cluster.objects.delete()
    managing.add_cluster("europe", Changes(europe.uri), CONTEXT)
    assert Pool.objects.get(id=3).cluster == "europe"


def test_a_removal_that_died_midway_leaves_it_closed_and_is_finished_by_another(europe):
    Cluster.objects(name="europe").update(set__removing_since="2026-01-01")
    clusters.forget_registry()
    assert not clusters.find_cluster("europe").open
    with pytest.raises(ClusterClosed):
        transaction(lambda: ensure_placeable("europe"))
    managing.remove_cluster("europe", CONTEXT)
    assert not Cluster.objects


def test_a_sign_up_and_a_removal_at_once_leave_no_organization_on_a_removed_cluster(europe):
    """The sign-up has placed its organization and isn't committed when the removal begins."""
    organization = an_organization("Acme Corp")
    placed, going = threading.Event(), threading.Event()

    def place():
        organization.update(set__placement__cluster="europe")
        ensure_placeable("europe")
        placed.set()
        going.wait(1)

    def remove():
        placed.wait(5)
        try:
            managing.remove_cluster("europe", CONTEXT)
        except ClusterInUse as refusal:
            return refusal.organizations
        finally:
            going.set()
        return None

    assert at_once([lambda: transaction(place), remove])[1] == 1
    assert clusters.find_cluster("europe").open


def test_of_many_sign_ups_and_a_removal_each_is_on_a_cluster_that_is_there(europe):
    organizations = [an_organization(f"Acme {number}") for number in range(6)]

    def place(organization):
        def move():
            organization.update(set__placement__cluster="europe")
            ensure_placeable("europe")

        try:
            transaction(move)
        except ClusterClosed:
            return False
        return True

    def remove():
        try:
            managing.remove_cluster("europe", CONTEXT)
        except ClusterInUse:
            return False
        return True

    *placed, removed = at_once([*(lambda each=each: place(each) for each in organizations), remove])
    assert removed == (not Cluster.objects)
    assert not (removed and any(placed))


@pytest.mark.parametrize("strategy", Strategy)
def test_an_organization_chosen_for_a_cluster_that_closes_then_is_not_created(europe, strategy):
    before = an_organization("Acme Corp", None, strategy, cluster="europe")
    # What this process knows of the registry is a moment old.
    Cluster.objects(name="europe").update(set__removing_since="2026-01-01")
    with pytest.raises(ClusterClosed):
        an_organization("Other", None, strategy, cluster="europe")
    assert [one.id for one in Organization.objects] == [before.id]


def test_a_closed_cluster_takes_no_organization(europe):
    managing.change_cluster("europe", Changes(weight=0), CONTEXT)
    with pytest.raises(ClusterClosed):
        transaction(lambda: ensure_placeable("europe"))
    transaction(lambda: ensure_placeable("main"))


def test_a_client_of_a_former_uri_is_closed_once_nothing_runs_on_it(europe, monkeypatch):
    """So that many changes leave no connections open, and none breaks what runs."""
    former = client_of("europe")
    former.admin.command("ping")
    managing.change_cluster("europe", Changes(f"{europe.uri}&appName=x"), CONTEXT)
    client_of("europe")
    clusters.forget_registry()
    client_of("europe")
    former.admin.command("ping")
    monkeypatch.setattr(clusters, "_RETIRED_SECONDS", -1)
    clusters.forget_registry()
    client_of("europe")
    with pytest.raises(InvalidOperation):
        former.admin.command("ping")


def test_a_removed_cluster_is_not_watched_any_more(europe, monkeypatch):
    client_of("europe").admin.command("ping")
    former = client_of("europe")
    monkeypatch.setattr(clusters, "_RETIRED_SECONDS", -1)
    managing.remove_cluster("europe", CONTEXT)
    clusters.known_clusters()
    with pytest.raises(InvalidOperation):
        former.admin.command("ping")
    assert not clusters.is_available("europe")


def test_connections_grow_neither_with_organizations_nor_with_requests(
    europe, there, in_europe, visitor
):
    def connections():
        found = there.admin.aggregate(
            [
                {"$currentOp": {"allUsers": True, "idleConnections": True}},
                {"$match": {"appName": "portal"}},
                {"$count": "n"},
            ]
        )
        return next(found)["n"]

    organizations = [in_europe(f"Acme {number}") for number in range(3)]
    visitor.log_in(the_owner(organizations[0]).email)
    visitor.get("/organizations/acme-0")
    before = connections()
    organizations += [in_europe(f"Globex {number}") for number in range(10)]
    for organization in organizations * 3:
        tenant_of(organization).find_one()
        visitor.get("/organizations/acme-0")
    assert connections() <= before + 1  # a monitor's may come


@pytest.mark.usefixtures("real_limits")
@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("mongodb://u:s3cret@127.0.0.1:1/?tls=true&tlsCAFile=/nowhere/ca.pem", "can’t use its URI"),
        ("mongodb+srv://u:s3cret@nowhere.invalid/", "its servers can’t be found"),
        ("mongodb://u:s3cret@nowhere.invalid/", "it does not answer"),
        ("mongodb://u:s3cret@127.0.0.1:1/", "it does not answer"),
    ],
)
def test_a_uri_that_works_elsewhere_and_not_here_is_told_without_its_password(
    app, uri, reason, log, command, monkeypatch
):
    """Another portal registered it, where a file or a name is known that isn't here."""
    Cluster(name="europe", uri=sealing.seal(uri), added_at="2026-01-01").save()
    monkeypatch.setattr(checking, "CHECK_SECONDS", 1)
    clusters.forget_registry()
    with pytest.raises(ClusterUnavailable) as refusal:
        client_of("europe")
    assert reason in refusal.value.words
    assert not clusters.is_available("europe")
    checked, examined = command("clusters", "check"), command("doctor")
    assert (checked.returncode, examined.returncode) == (1, 1)
    told = checked.stdout + checked.stderr + examined.stdout + examined.stderr
    assert "s3cret" not in told + log.text + refusal.value.words
