"""The list of all organizations: what is found, in which order, on a page, by programs, as a
file."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta

import pytest

from portal import clock
from portal.documents.accounts import Account
from portal.documents.figures import OrganizationFigures
from portal.documents.listing import ListedOrganization
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization, Strategy
from portal.email_addresses import parse_email
from portal.operators.listing.errors import InvalidFilter
from portal.operators.listing.feeding import feed_marked
from portal.operators.listing.filters import OrganizationFilter
from portal.operators.listing.reading import read_page
from portal.operators.listing.sorting import FIELDS, Order
from portal.organizations import planning
from portal.organizations.external import set_external
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.lifecycle.trashing import trash_organization
from portal.web.csv_lines import csv_lines
from tests.factories import a_context, a_member, an_account, an_organization
from tests.program import fault

LIST = "/operator/organizations"


def a_shared(name, email=None):
    """An organization in a shared collection, which is quickest to make."""
    return an_organization(name, email and an_account(email), strategy=Strategy.SHARED)


def found(search, **filters):
    """The names that a search finds, in the order of the page."""
    feed_marked()
    return [row.name for row in read_page(OrganizationFilter(search, **filters), Order()).rows]


def names_on(page):
    """The names of the organizations on a page, in its order."""
    return [name.get_text(strip=True) for name in page.html.select("tbody .name")]


def pages(wanted, order, size):
    """The ids on each page, from the first on, and again backwards."""
    there, back, page = [], [], read_page(wanted, order, size=size)
    while page:
        there.append([row.id for row in page.rows])
        last, page = page, page.after and read_page(wanted, order, after=page.after, size=size)
    while last:
        back.append([row.id for row in last.rows])
        last = last.before and read_page(wanted, order, before=last.before, size=size)
    return there, back[::-1]


def test_an_operator_finds_an_organization_from_every_page(desk):
    a_shared("Verdant Grocers")
    a_shared("Acme Corp")
    feed_marked()
    overview = desk.get("/operator")
    assert overview.html.select_one("header form[role=search]")["action"] == LIST
    assert names_on(desk.get(LIST)) == ["Acme Corp", "Verdant Grocers"]
    assert names_on(desk.get(f"{LIST}?search=ver+gro")) == ["Verdant Grocers"]
    assert "No organization found" in desk.get(f"{LIST}?search=nothing").html.get_text()


def test_all_that_match_go_into_a_file_that_no_spreadsheet_takes_for_formulas(desk):
    a_shared("+1 Bakery")
    a_shared("Acme Corp")
    feed_marked()
    answer = desk.get(f"{LIST}.csv?sort=-name")
    text = answer.response.get_data(as_text=True).removeprefix("\ufeff")
    assert [row["name"] for row in csv.DictReader(io.StringIO(text))] == ["Acme Corp", "'+1 Bakery"]


@pytest.mark.parametrize("cell", ["=1", "+1", "-1+1", "@x", "|x", "\t=1", "\r=1", "＝1", "＠x"])
def test_no_sign_of_any_keyboard_begins_a_formula(cell):
    [[guarded]] = csv.reader(io.StringIO(csv_lines([[cell]]), newline=""))
    assert guarded.startswith("'")


def test_the_list_is_answered_to_programs_and_by_a_command(program_of, command):
    a_shared("Verdant Grocers", "mara@verdant.example")
    a_shared("Acme Corp")
    feed_marked()
    program = program_of()
    answer = program.get("/admin/organizations?sort=-name&limit=1").json
    assert [one["name"] for one in answer["organizations"]] == ["Verdant Grocers"]
    further = f"/admin/organizations?sort=-name&limit=1&after={answer['next']}"
    [other] = program.get(further).json["organizations"]
    assert other["name"] == "Acme Corp"
    listed = json.loads(command("organizations", "list", "mara@verdant.example", "--json").stdout)
    assert [one["name"] for one in listed] == ["Verdant Grocers"]


def test_states_are_those_of_now_although_the_list_is_behind(desk):
    organization = a_shared("Acme Corp")
    feed_marked()
    renamed = rename_organization(organization, "Beta Corp", a_context())
    trash_organization(renamed, None, a_context())
    [row] = desk.get(LIST).html.select("tbody tr")
    assert "Beta Corp" in row.get_text()
    assert "In trash" in row.get_text()


TYPED = [
    "v", "verdant", "VERDANT", "  gro verd ", "verdant & grocers", "verdant-gro", "l'ete",
    "cafe", "mara+x@", "mara+x@mail.verdant.example",
    "mara x@mail.verdant.example", "Mara <MARA+x@mail.verdant.example>",
    "@mail.verdant.example", "verdant.example", "mail.verd", "verdant_100",
    "https://portal.example/organizations/verdant-grocers/settings",
]  # fmt: skip


def test_what_people_type_finds_it(app):
    a_shared("Verdant & Grocers, Café L’Été verdant_100", "mara+x@mail.verdant.example")
    organization = Organization.objects.first()
    organization.update(set__slug="verdant-grocers", set__unlisted=organization.id)
    assert {search: len(found(search)) for search in TYPED} == dict.fromkeys(TYPED, 1)


PATTERNS = [
    "erdant", "ver%ant", "ver_ant", "ver.ant", "v.*t", ".*", "mara_x@mail.verdant.example",
    "maraxx@mail.verdant.example", "mara+x@mail.verdant.example.org", "$ne", "ver|acme",
]  # fmt: skip


def test_nothing_that_is_typed_is_a_pattern(app):
    a_shared("Verdant Grocers", "mara+x@mail.verdant.example")
    assert {search: found(search) for search in PATTERNS} == {search: [] for search in PATTERNS}


def test_ids_slugs_and_collections_find_exactly_one(app):
    organization = an_organization("Acme Corp")
    for n in range(3):
        a_shared(f"Acme Corp {n}")
    former = rename_organization(organization, "Beta Corp", a_context())
    assert found(str(former.id)) == ["Beta Corp"]
    assert found("beta-corp") == ["Beta Corp"]
    assert found("org_beta_corp") == ["Beta Corp"]
    assert found("acme-corp")[0] == "Beta Corp"  # its former slug, before those that begin so


def test_the_address_of_any_member_finds_its_organizations(app):
    organization = a_shared("Acme Corp")
    a_member(organization, Role.VIEWER, "teo@verdant.example")
    assert found("teo@verdant.example") == ["Acme Corp"]


def test_a_long_address_is_found_by_how_it_begins_too(app):
    address = f"{'l' * 60}@{'sub.' * 10}acme.example"
    a_shared("Acme Corp", address)
    for typed in (address, address[:80], address[:30]):
        assert found(typed) == ["Acme Corp"]


def test_who_is_named_in_full_comes_first(app):
    for name in ("Verde Able", "Verde", "Verde Zoo"):
        a_shared(name)
    assert found("verde") == ["Verde", "Verde Able", "Verde Zoo"]


def test_an_external_id_typed_in_full_comes_first_before_those_that_have_it_as_a_word(app):
    for name, external in (("Alpha", "CUS-Ä"), ("Beta", "cus-ä-2"), ("Gamma", "CUS Å")):
        set_external(a_shared(name).id, a_context(), external_id=external, metadata={})
    a_shared("Cus A")
    assert found("cus-a") == ["Alpha", "Cus A", "Beta"]
    assert found("cus å") == ["Cus A", "Gamma", "Alpha", "Beta"]


def test_a_row_that_two_words_find_is_found_in_either_order(app):
    for name in ("Verdant Bakery", "Verdant Ltd", "Baker Ver", "Bakery"):
        a_shared(name)
    feed_marked()
    assert found("ver bak") == found("bak ver") == ["Baker Ver", "Verdant Bakery"]
    assert found("BAKER verd") == ["Verdant Bakery"]


def test_a_page_without_rows_says_why_and_leads_on(desk, monkeypatch):
    monkeypatch.setattr("portal.operators.listing.reading.LOOKED_AT", 1)
    for n in range(4):
        a_shared(f"Acme {n}")
    feed_marked()
    beyond = desk.get(f"{LIST}?after={'f' * 24}zzz&sort=name")
    assert "There are no more here" in beyond.html.get_text()
    assert beyond.html.find("a", string="First page")["href"] == f"{LIST}?sort=name"
    ListedOrganization.objects(name__ne="Acme 0").update(set__plan="gold")
    ListedOrganization.objects(name__in=("Acme 0", "Acme 1")).update(set__cluster="iad-9")
    page = desk.get(f"{LIST}?plan=gold&cluster=iad-9")
    assert "None among these" in page.html.get_text()
    more = page.html.find("a", string="Look at more")["href"]
    assert names_on(desk.get(more)) == ["Acme 1"]


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("İzmir", "izmir"), ("Iğdır", "igdir"), ("IĞDIR", "ığdır"), ("Straße", "STRASSE"),
        ("Díaz", "dÍaz"), ("Łódź", "lodz"), ("Ärzte", "ä"), ("Smørrebrød", "smorre"),
        ("O’Brien", "obrien"), ("O’Brien", "o'brien"), ("ﬁnance", "finance"),
    ],
)  # fmt: skip
def test_case_accents_and_strokes_dont_matter(app, name, typed):
    organization = a_shared("Placeholder")
    organization.update(set__name=name, set__slug="other", set__unlisted=organization.id)
    assert found(typed) == [name]


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("ایران‌خودرو", "ایران‌خودرو"), ("ایران‌خودرو", "ایرانخودرو"), ("ایران‌خودرو", "ایران خودرو"),
        ("ශ්‍රී ලංකා", "ශ්‍රී ලංකා"), ("ශ්‍රී ලංකා", "ශ්රී"), ("শ্রী র‍্যাংগস", "র‍্যাংগস"),
    ],
)  # fmt: skip
def test_joiners_are_typed_or_left_out(app, name, typed):
    a_shared("Acme Corp")
    a_shared(name)
    assert found(OrganizationFilter.from_args({"search": typed}).search) == [name]


def test_an_address_with_joiners_in_its_domain_is_found(app):
    a_shared("Acme Corp", parse_email("i@نامه‌ای.com").key)
    a_shared("Beta Corp")
    typed = OrganizationFilter.from_args({"search": "i@نامه‌ای.com"})
    assert found(typed.search) == ["Acme Corp"]


@pytest.mark.parametrize("name", ["مخبز السلام", "日本商事", "Straße & Söhne", "ĄĆĘ Łódź"])
def test_names_of_every_script_are_found_by_how_they_begin(app, name):
    a_shared("Acme Corp")
    organization = a_shared("Placeholder")
    organization.update(set__name=name, set__unlisted=organization.id)
    assert found(name[:3]) == [name]
    assert found(name) == [name]


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("株式会社トヨタ自動車", "トヨタ"), ("阿里巴巴集团控股有限公司", "集团"),
        ("㈱メルカリ", "メルカリ"), ("บริษัทกาแฟไทย", "กาแฟ"),
    ],
)  # fmt: skip
def test_names_that_are_written_without_spaces_are_found_by_what_is_inside(app, name, typed):
    """Elsewhere the form of a company before its name hides all of it."""
    a_shared("Acme Corp")
    organization = a_shared("Placeholder")
    organization.update(set__name=name, set__unlisted=organization.id)
    assert found(typed) == [name]


def test_no_amount_of_metadata_hides_a_name_an_owner_or_an_id(app):
    organization = a_shared("Ярмарка", "zoe@zenith.example")
    values = {f"k{n}": " ".join(f"{letter}{n}" for letter in "abcdefg") for n in range(20)}
    organization.update(
        set__metadata=values, set__external_id="crm-4711", set__unlisted=organization.id
    )
    for typed in ("ярмарка", "zoe@zenith.example", "zenith.example", "crm-4711", "a19"):
        assert found(typed) == ["Ярмарка"], typed


def test_a_name_of_emoji_alone_is_found_as_it_was_allowed_once(app):
    organization = a_shared("Placeholder")
    organization.update(set__name="🦜🦜", set__slug="parrots", set__unlisted=organization.id)
    assert found("🦜") == ["🦜🦜"]


def test_pages_of_every_order_have_each_once_there_and_back(app):
    now = clock.now()
    for n in range(5):
        organization = a_shared(f"Organization {n}")
        organization.update(set__name=f"Organization {n // 2}")
        if n % 2:
            OrganizationFigures(
                id=organization.id, documents=n // 3, bytes=7, indexes=1, measured_at=now,
                used_at=now - timedelta(days=n // 3),
            ).save()  # fmt: skip
    feed_marked()
    wanted = OrganizationFilter()
    for order in (f"{sign}{name}" for name in FIELDS for sign in ("", "-")):
        by = Order.parse(order)
        there, back = pages(wanted, by, 2)
        assert there == back, order
        assert [len(page) for page in there] == [2, 2, 1], order
        all_of_them = [row.id for row in read_page(wanted, by).rows]
        assert len(set(all_of_them)) == 5, order
        assert all_of_them == [row.id for row in read_page(wanted, by.reversed).rows][::-1], order


def test_hits_are_paged_there_and_back_too(app):
    ids = []
    for n in range(5):
        ids.insert(0, a_shared(f"Verdant {n}").id)
    feed_marked()
    there, back = pages(OrganizationFilter("ver"), Order("name", descending=True), 2)
    assert there == back == [ids[:2], ids[2:4], ids[4:]]


def test_each_filter_leaves_what_it_says(app):
    acme, beta = a_shared("Acme Corp"), a_shared("Beta Corp")
    planning.set_plan(acme.id, a_context(), plan="team", region=None)
    trash_organization(beta, None, a_context())
    feed_marked()
    tomorrow = clock.now().date() + timedelta(days=1)
    for wanted, names in (
        ({"state": "active"}, ["Acme Corp"]),
        ({"state": "trashed"}, ["Beta Corp"]),
        ({"state": "purged"}, []),
        ({"plan": "team"}, ["Acme Corp"]),
        ({"plan": "team", "cluster": "main"}, ["Acme Corp"]),
        ({"plan": "team", "cluster": "fra-1"}, []),
        ({"strategy": "database"}, []),
        ({"size": "tiny", "used": "week"}, ["Acme Corp", "Beta Corp"]),
        ({"used": "older"}, []),
        ({"created_from": tomorrow}, []),
        ({"created_to": tomorrow}, ["Acme Corp", "Beta Corp"]),
        ({"search": "corp", "state": "trashed"}, ["Beta Corp"]),
    ):
        each = OrganizationFilter(**wanted)
        assert [row.name for row in read_page(each, Order()).rows] == names
        assert each.count() == len(list(each.matching_ids())) == len(names)
        assert OrganizationFilter.from_args(each.to_args()) == each
    assert OrganizationFilter(created_to=tomorrow).in_words == f"created to {tomorrow} (UTC)"


def test_the_day_of_a_row_is_that_of_the_filter_in_every_zone(desk):
    acme = a_shared("Acme Corp")
    acme.modify(set__created_at=datetime(2026, 3, 3, 23, 30, tzinfo=UTC))
    feed_marked()
    Account.objects.update(time_zone="Asia/Tokyo")
    page = desk.get(f"{LIST}?created_from=2026-03-03&created_to=2026-03-03")
    [shown] = page.html.select("[data-lead^=created] time")
    assert shown.get_text() == "3 March 2026"
    assert not shown.has_attr("data-day")  # which a script would change
    assert "Created (UTC)" in page.html.thead.text


def test_a_filter_that_there_is_none_of_is_refused_and_not_left_out(desk, program_of):
    a_shared("Acme Corp")
    assert desk.get(f"{LIST}?state=sold").status == 422
    assert desk.get(f"{LIST}.csv?created_from=yesterday").status == 422
    answer = program_of().get("/admin/organizations?created_to=tomorrow")
    assert fault(answer)[:2] == (422, "invalid_filter")
    assert (
        program_of(email="b@portal.example").get("/admin/organizations?stat=active").status_code
        == 422
    )
    with pytest.raises(InvalidFilter):
        OrganizationFilter.from_args({"plan": "{$ne: 1}"})


def test_days_of_creation_have_page_file_and_command_by_age(app, desk, command):
    for name in ("Beta Corp", "Acme Corp", "Dock Corp"):
        a_shared(name)
    feed_marked()
    long_ago = "created_from=2000-01-01"
    for sort, names in (
        ("", ["Beta Corp", "Acme Corp", "Dock Corp"]),
        ("&sort=-name", ["Dock Corp", "Acme Corp", "Beta Corp"]),
    ):
        page = desk.get(f"{LIST}?{long_ago}{sort}")
        assert names_on(page) == names
        [by] = page.html.select("th[aria-sort]")
        assert by.get_text(strip=True) == "Created (UTC)"
        lines = csv.DictReader(io.StringIO(desk.get(f"{LIST}.csv?{long_ago}{sort}").response.text))
        assert [line["name"] for line in lines] == names
    told = command("organizations", "list", "--created-from", "2000-01-01", "--json").stdout
    assert [one["name"] for one in json.loads(told)] == ["Beta Corp", "Acme Corp", "Dock Corp"]


def test_more_hits_than_a_page_looks_at_are_told_and_all_are_matched(app, monkeypatch):
    for module in ("searching.MOST_HITS", "searching._AT_ONCE"):
        monkeypatch.setattr(f"portal.operators.listing.{module}", 3)
    for n in range(8):
        a_shared(f"Verdant Ver {n}")
    feed_marked()
    wanted = OrganizationFilter("ver")
    page = read_page(wanted, Order())
    assert (len(page.rows), page.first_hits) == (3, True)
    ids = list(wanted.matching_ids())
    assert len(ids) == len(set(ids)) == 8
    assert len(list(OrganizationFilter("ver ver", created_to=date(2999, 1, 1)).matching_ids())) == 8


def test_all_organizations_of_a_member_are_matched_and_more_than_a_page_looks_at_told(
    app, desk, monkeypatch
):
    for module in ("searching.MOST_HITS", "searching._AT_ONCE"):
        monkeypatch.setattr(f"portal.operators.listing.{module}", 3)
    teo = an_account("teo@verdant.example")
    those = [a_shared(f"Verdant {n}") for n in range(8)]
    for there in those:
        Membership(organization=there.id, account=teo.id, role="viewer", since=clock.now()).save()
    feed_marked()
    wanted = OrganizationFilter(teo.email)
    page = read_page(wanted, Order())
    assert (len(page.rows), page.matching, page.first_hits) == (3, 3, True)
    a_shared("Kestrel", f"{teo.email}.au")  # an owner's address begins so
    ids = list(wanted.matching_ids())
    assert len(ids) == len(set(ids)) == 9
    assert set(ids[:8]) == {one.id for one in those}
    lines = list(csv.reader(io.StringIO(desk.get(f"{LIST}.csv?search={teo.email}").response.text)))
    assert len(lines) == 1 + 9


def test_positions_that_nobody_was_given_lead_to_the_first_page(app):
    a_shared("Acme Corp")
    feed_marked()
    for order in map(Order.parse, FIELDS):
        for position in ("", "x", "0" * 24, f"{'0' * 24}x", f"{'0' * 24}{10**30}", "\x00" * 30):
            assert read_page(OrganizationFilter(), order, after=position).rows is not None


def test_columns_and_order_stay_in_the_address(desk):
    for n in range(2):
        a_shared(f"Acme {n}")
    feed_marked()
    page = desk.get(f"{LIST}?column=plan&column=owners&column=operations&sort=-used&search=acme")
    heads = [head.get_text(strip=True) for head in page.html.select("thead th")]
    assert heads[-4:] == ["Organization", "Plan", "Operations, 24 h", "Owners"]
    assert len(page.html.select("tbody .sparkline")) == 2
    chip = page.html.select_one(".filters a")["href"]
    assert "column=plan&column=operations&column=owners" in chip
    assert "sort=-used" in chip
    assert page.html.select_one("a[href*=csv]")["href"].endswith(".csv?search=acme&sort=-used")
