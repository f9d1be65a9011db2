"""The page that says where an organization's documents are, and what that means for it."""

import pytest

from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from tests.factories import a_member, an_organization
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
    assert list(rows) == [
        "Kept apart by", "Limits", "Indexes", "MongoDB users", "Backup", "When it is renamed", "Region",
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


def test_an_unknown_cluster_is_told_with_its_name(viewer):
    move(cluster="fra-9")
    page = viewer.get(HERE)
    assert page.status == 503
    assert "fra-9" in page.text
