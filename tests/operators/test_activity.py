"""What operators did stands in the trails that it concerns, and is read from all of them."""

from dataclasses import replace
from itertools import product

import pytest
from bson import ObjectId

from portal import clock
from portal.audit.trail import installation, record
from portal.database.transactions import transactional
from portal.documents.accounts import Account
from portal.documents.api_keys import OperatorKey
from portal.documents.organizations import Organization
from portal.operators.keys import create_key
from portal.operators.overview.activity import BY_COMMAND, EVENTS_PER_PAGE, ActFilter
from portal.organizations.lifecycle.renaming import rename_organization
from portal.web.context import OPERATOR, RequestContext
from tests.factories import a_context, an_organization, the_owner


def acts(desk, query=""):
    """The acts on the page: who, what, to what."""
    page = desk.get(f"/operator/activity{query}")
    assert page.status == 200
    return [
        (
            row.select("td")[1].get_text(strip=True),
            row.th.summary.get_text(strip=True),
            row.select("td")[2].get_text(strip=True),
        )
        for row in page.html.select("table.events tbody tr")
    ]


def rename(desk, organization, name):
    path = f"/operator/organizations/{organization.id}/rename"
    assert desk.post(path, {"organization_name": name}).status == 303


@transactional
def by_command(times):
    for _ in range(times):
        record(installation(), "cluster.added", RequestContext(OPERATOR).origin, name="fra-2")


def test_each_act_is_told_with_who_did_it_and_to_what(desk):
    acme = an_organization("Acme Corp")
    rename_organization(acme, "Acme & Sons", a_context(the_owner(acme)))  # its owner, no operator
    rename_organization(Organization.objects.get(id=acme.id), "Other", RequestContext(OPERATOR))
    by_command(1)
    assert acts(desk) == [
        ("a command", "Cluster fra-2 added", "the installation"),
        ("a command", "Renamed from Acme & Sons to Other", "Other"),
    ]


def test_acts_are_filtered_by_operator_action_and_organization(desk_of):
    venn, other = desk_of(), desk_of(email="ops.other@portal.example")
    acme, verda = an_organization("Acme Corp"), an_organization("Verda Foods")
    for desk, organization in ((venn, acme), (other, verda)):
        desk.post(f"/operator/runners/{ObjectId()}/forget", form_at="/operator")
        path = f"/operator/organizations/{organization.id}/rename"
        assert desk.post(path, {"organization_name": f"{organization.name} 2"}).status == 303
    by_command(1)
    ops = Account.objects.get(email="ops@portal.example")
    assert {who for who, _, _ in acts(venn)} == {
        "ops@portal.example",
        "ops.other@portal.example",
        "a command",
    }
    assert {who for who, _, _ in acts(venn, f"?operator={ops.id}")} == {"ops@portal.example"}
    assert {who for who, _, _ in acts(venn, f"?operator={BY_COMMAND}")} == {"a command"}
    assert {to for _, _, to in acts(venn, f"?subject={verda.id}")} == {"Verda Foods 2"}
    renames = acts(venn, "?action=organization.renamed")
    assert {to for _, _, to in renames} == {"Acme Corp 2", "Verda Foods 2"}
    assert acts(venn, f"?operator={ops.id}&subject={verda.id}") == []
    assert (
        "None matches" in venn.get(f"/operator/activity?operator={ops.id}&subject={verda.id}").text
    )


def test_the_pages_of_acts_meet(desk):
    by_command(EVENTS_PER_PAGE + 3)
    first = desk.get("/operator/activity")
    older = first.html.select_one("a[rel=next]")["href"]
    second = desk.get(f"/operator/activity{older}")
    rows = [len(page.html.select("table.events tbody tr")) for page in (first, second)]
    assert rows == [EVENTS_PER_PAGE, 3]
    newer = second.html.select_one("a[rel=prev]")["href"]
    assert len(acts(desk, newer)) == EVENTS_PER_PAGE


@pytest.mark.parametrize(
    "query",
    ["?operator=x", "?action=<script>", "?subject[$ne]=1", "?before=1&after=%00", "?after=x"],
)
def test_what_is_no_filter_filters_nothing(desk, query):
    by_command(2)
    assert len(acts(desk, query)) == 2


def test_every_combination_of_filters_is_read_in_order_by_an_index(app, master_db):
    """However many events others have, and however many acts one filter leaves."""
    by_command(1)
    one = ObjectId()
    for operator, action, subject in product(
        (None, one, BY_COMMAND), (None, "cluster.added"), (None, one)
    ):
        wanted = ActFilter(operator, action, subject)
        found = master_db.audit_events.find(wanted.match, hint=wanted.index)
        plan = found.sort("_id", -1).explain()
        stages = str(plan["queryPlanner"]["winningPlan"])
        assert "'stage': 'SORT'" not in stages
        assert "COLLSCAN" not in stages
        assert "'isPartial': True" in stages


def test_an_account_that_was_closed_is_not_named(desk, master_db):
    gone = ObjectId()
    origin = RequestContext(OPERATOR).origin
    origin.actor = gone
    transactional(lambda: record(installation(), "cluster.added", origin, name="fra-2"))()
    assert acts(desk) == [("a closed account", "Cluster fra-2 added", "the installation")]


def test_an_act_is_never_told_as_of_who_only_has_the_same_name(desk):
    """Only the kind of the actor counts, not what it calls itself."""
    acme = an_organization("Acme Corp")
    impostor = RequestContext(a_context(the_owner(acme)).actor)
    rename_organization(acme, "the operator", impostor)
    assert acts(desk) == []


def test_a_key_is_named_and_that_it_was_revoked(desk):
    key = create_key("Billing", "operator", clock.now().date(), a_context())
    origin = replace(RequestContext(OPERATOR), actor=replace(OPERATOR, id=key.id)).origin
    transactional(lambda: record(installation(), "cluster.added", origin, name="fra-2"))()
    assert acts(desk)[0][0] == "the key “Billing”"
    OperatorKey.objects(id=key.id).update(set__revoked_at=clock.now())
    assert acts(desk)[0][0] == "the key “Billing”, revoked"
