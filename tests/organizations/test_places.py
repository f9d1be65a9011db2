"""The page that says where an organization's documents are, and what that means for it."""

from datetime import datetime, timedelta

import pytest
from pymongo.errors import AutoReconnect

from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from portal.organizations import storage
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.storage import tenant_of
from portal.organizations.usage.limits import set_limits
from tests.factories import a_context, a_member, an_organization, fresh
from tests.placement.conftest import main_in  # noqa: F401
from tests.visitor import Visitor

HERE = "/organizations/acme-corp/placement"


@pytest.fixture
def viewer(app):
    organization = an_organization("Acme Corp")
    visitor = Visitor(app)
    visitor.log_in(a_member(organization, Role.VIEWER).email)
    return visitor


def move(**placement):
    Organization.objects(slug="acme-corp").update(
        **{f"set__placement__{name}": value for name, value in placement.items()}
    )


def rows_of(page):
    return {
        row.th.get_text(strip=True): [cell.get_text(" ", strip=True) for cell in row.find_all("td")]
        for row in page.html.select("table.turns tbody tr")
    }


def test_every_member_is_led_there(viewer):
    page = viewer.get("/organizations/acme-corp").html
    assert page.find("a", string="What that means")["href"] == HERE
    assert viewer.get(HERE).status == 200


@pytest.mark.parametrize(
    ("strategy", "title", "apart", "users"),
    [
        ("collection", "In a collection of its own, on", "its own collection", "its collection"),
        ("database", "In a database of its own, on", "its own database", "its collection"),
        ("shared", "In a collection that it shares with", "a mark on each", "not offered"),
    ],
)
def test_it_says_what_each_place_means(viewer, strategy, title, apart, users):
    move(
        strategy=strategy,
        **{"shared": {"pool": 1}, "database": {"database": "t_1"}}.get(strategy, {}),
    )
    page = viewer.get(HERE)
    assert page.html.select_one("h2.statement").get_text().startswith(title)
    rows = rows_of(page)
    assert apart in rows["Kept apart by"][0]
    assert users in rows["MongoDB users"][0]
    assert rows["Rules"][0].startswith("none of its own" if strategy == "shared" else "its own")
    assert list(rows) == [
        "Kept apart by", "How much", "Indexes", "Rules", "MongoDB users", "Backup", "When it is renamed", "Region",
        "If that cluster stops",
    ]  # fmt: skip


def test_it_counts_who_else_is_there(viewer):
    assert "shares with no other yet." in viewer.get(HERE).text
    an_organization("Kestrel")
    assert "shares with 1 other." in viewer.get(HERE).text
    Organization.objects(slug="kestrel").update(unset__placement__cluster=1)
    assert "shares with 1 other." in viewer.get(HERE).text
    move(strategy="shared", pool=7)
    assert "shares with no other yet." in viewer.get(HERE).text


def test_it_counts_no_further_than_a_thousand(viewer):
    others = [
        {"name": f"O{n}", "slug": f"o-{n}", "state": "active",
         "placement": {"strategy": "shared", "cluster": "main", "pool": 1}}
        for n in range(1003)
    ]  # fmt: skip
    Organization._get_collection().insert_many(others)
    assert "shares with more than 1,000 others." in viewer.get(HERE).text


def test_a_region_is_told_and_what_binds_to_it(viewer, main_in):  # noqa: F811
    main_in("eu-central")
    page = viewer.get(HERE)
    assert "In a collection of its own, in eu-central, on a cluster" in page.text
    assert rows_of(page)["Region"][0] == "eu-central it is bound to none"
    Organization.objects(slug="acme-corp").update(region="eu-central", plan="large")
    page = viewer.get(HERE)
    assert rows_of(page)["Region"][0].startswith("eu-central, bound to it")
    assert "It is bound to eu-central, and stays there" in page.text
    pairs = {dt.get_text(): dt.find_next("dd").get_text() for dt in page.html.select(".pairs dt")}
    assert pairs["Plan"] == "large"
    assert pairs["Collection"] == "org_acme_corp"


def limits_on(page):
    return {
        row.th.get_text(): [cell.get_text(" ", strip=True) for cell in row.find_all("td")]
        for row in page.html.select("table.limits tbody tr")
    }


@pytest.mark.parametrize("strategy", ["collection", "shared"])
def test_it_shows_how_much_there_is_of_how_much_there_may_be(app, strategy):
    organization = an_organization("Acme Corp", strategy=strategy)
    tenant_of(organization).insert_many([{"_id": n, "title": "x" * 100} for n in range(9)])
    visitor = Visitor(app)
    visitor.log_in(a_member(organization, Role.VIEWER).email)
    page = visitor.get(HERE)
    assert limits_on(page)["Documents"] == ["9", "none"]
    assert "Operations" not in limits_on(page)
    assert rows_of(page)["How much"][0].startswith("as much as its cluster holds")
    set_limits(fresh(organization), {"documents": 10, "operations": 2000}, a_context())
    page = visitor.get(HERE)
    assert limits_on(page)["Documents"] == ["9 90 %", "10"]
    assert limits_on(page)["Size"][1] == "none"
    assert limits_on(page)["Operations"] == ["–", "2,000 / s"]
    assert rows_of(page)["How much"][0].startswith("10 documents")
    assert page.html.select_one(".limits .share.attention")


def test_what_is_too_much_to_count_is_not_told_as_less(viewer, monkeypatch):
    monkeypatch.setattr(storage, "MAX_COUNTED", 2)
    monkeypatch.setattr(storage, "_COUNT", ({"$limit": 3}, *storage._COUNT[1:]))
    organization = an_organization("Kestrel", strategy="shared")
    tenant_of(organization).insert_many([{"_id": n} for n in range(3)])
    a_member(organization, Role.VIEWER, "teo@kestrel.example")
    viewer.log_out()
    viewer.log_in("teo@kestrel.example")
    page = viewer.get("/organizations/kestrel/placement")
    assert limits_on(page)["Documents"] == ["–", "none"]


def test_it_is_shown_where_its_documents_can_t_be_read(viewer, monkeypatch):
    def fail(*_):
        raise AutoReconnect("away")

    monkeypatch.setattr(storage, "stored_by", fail)
    assert limits_on(viewer.get(HERE))["Documents"] == ["–", "none"]


def test_it_says_since_when_it_is_there_and_as_it_is(viewer, time_machine):
    page = viewer.get(HERE)
    [residence] = page.html.select(".log li")
    assert "from its beginning on" in residence.get_text()
    created = Organization.objects.get().created_at
    time_machine.move_to(created + timedelta(days=2))
    rename_organization(Organization.objects.get(), "Acme Daughters", a_context())
    viewer.log_in("teo@acme.example")
    page = viewer.get("/organizations/acme-daughters/placement")
    pairs = {dt.get_text(): dt.find_next("dd") for dt in page.html.select(".pairs dt")}
    renamed = Organization.objects.get()
    assert pairs["Version"].get_text(" ", strip=True).startswith(f"{renamed.version} , since")
    told = datetime.fromisoformat(pairs["Version"].time["datetime"])
    assert told - created > timedelta(days=1)


def test_a_pool_s_say_how_programs_get_there(viewer):
    move(strategy="shared", pool=1)
    assert "by the library or the data API alone" in viewer.get(HERE).text


def test_an_unknown_cluster_is_told_with_its_name(viewer):
    move(cluster="fra-9")
    page = viewer.get(HERE)
    assert page.status == 503
    assert "fra-9" in page.text
