"""The list of placements takes no longer the more organizations there are."""

import json
from itertools import cycle, islice

import pytest
from bson import ObjectId

from portal.documents.organizations import Organization, Strategy
from portal.placement.listing import Filter, list_placements
from tests.factories import an_organization

SIZE = 25


@pytest.fixture
def many(app):
    """5,000 of all kinds, unevenly: one in a hundred has a database, one in 500 is on a plan."""
    strategies = cycle([*["shared"] * 90, *["collection"] * 9, "database"])
    documents = []
    for number, strategy in enumerate(islice(strategies, 5_000)):
        placement = {"strategy": strategy, "cluster": "main"}
        if strategy == "shared":
            placement["pool"] = number // 1000 + 1
        if number % 50 == 49:  # as the first versions wrote them
            placement = {"collection": f"org_{number}"}
        more = {"plan": "large", "region": "eu-central"} if number % 500 == 0 else {}
        documents.append(
            {"_id": ObjectId(), "name": f"O{number}", "slug": f"o-{number}", "state": "active",
             "placement": placement, **more}
        )  # fmt: skip
    Organization._get_collection().insert_many(documents)
    return documents


FILTERS = [
    Filter(),
    Filter(strategy=Strategy.DATABASE),
    Filter(strategy=Strategy.COLLECTION, cluster="main"),
    Filter(plan="large"),
    Filter(plan="large", strategy=Strategy.SHARED),
    Filter(region="eu-central", cluster="main"),
    Filter(pool=3),
]


def test_a_page_reads_little_more_than_it_shows(many, admin):
    for wanted in FILTERS:
        check_pages(many, admin, wanted)


def check_pages(many, admin, wanted):
    rows, after = [], None
    while True:
        page = list_placements(wanted, size=SIZE, after=after)
        rows += page.rows
        if page.after is None:
            break
        after = page.after
        if len(rows) > 4 * SIZE:
            break
    expected = [one["slug"] for one in many if matches(one, wanted)][: len(rows)]
    assert [row["slug"] for row in rows] == expected
    find = {"find": "organizations", "filter": wanted.query, "sort": {"_id": 1}, "limit": SIZE + 1}
    database = admin[Organization._get_collection().database.name]
    told = database.command("explain", find, verbosity="executionStats")["executionStats"]
    most = 1000 if wanted.pool else 3 * SIZE + 10  # a pool's are sorted
    assert told["totalDocsExamined"] <= most


def matches(one, wanted):
    placement = {"strategy": "collection", "cluster": "main", "pool": None, **one["placement"]}
    found = {**placement, "plan": one.get("plan"), "region": one.get("region")}
    asked = {name: getattr(wanted, name) for name in Filter.__slots__}
    return all(value is None or found[name] == value for name, value in asked.items())


def test_the_command_lists_filters_and_goes_on(app, command):
    first, second = an_organization("Acme Corp"), an_organization("Kestrel")
    Organization.objects(id=second.id).update(plan="large")
    told = command("placements", "list", "--limit", "1")
    heads, row = told.stdout.splitlines()
    assert dict(zip(heads.split(), row.split(), strict=True)) == {
        "id": str(first.id),
        "slug": "acme-corp",
        "state": "active",
        "strategy": "collection",
        "cluster": "main",
        "database": "-",
        "collection": "org_acme_corp",
        "pool": "-",
        "plan": "-",
        "region": "-",
    }
    assert row.index("collection") == heads.index("strategy")
    assert told.stderr == f"There are more: --after {first.id}\n"
    told = command("placements", "list", "--after", str(first.id), "--json")
    assert json.loads(told.stdout)["slug"] == "kestrel"
    assert "kestrel" in command("placements", "list", "--plan", "large").stdout
    assert command("placements", "list", "--strategy", "database").stderr == "There are none.\n"
    assert command("placements", "list", "--after", "x").returncode == 2


def test_the_command_shows_one_as_applications_read_it(app, command):
    organization = an_organization("Acme Corp")
    Organization.objects.update(region="eu-central")
    told = json.loads(command("placements", "show", "acme-corp").stdout)
    assert (told["_id"], told["region"]) == (str(organization.id), "eu-central")
    assert told["placement"]["uuid"] == str(organization.placement.uuid)
    assert command("placements", "show", "other").returncode == 2
