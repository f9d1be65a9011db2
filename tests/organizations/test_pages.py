"""What the pages of organizations show, and what they cost."""

from uuid import uuid4

import pytest
from bson import (
    Binary,
    Code,
    DatetimeMS,
    DBRef,
    Decimal128,
    Int64,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
    encode,
)
from bson.raw_bson import RawBSONDocument

from portal import clock
from portal.documents.accounts import Account
from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from portal.organizations import directory
from portal.organizations.lifecycle.renaming import rename_organization
from tests.factories import a_context, a_member, an_organization, fresh


def names(page):
    """The names in a page's list of organizations."""
    return [cell.a.get_text() for cell in page.html.select("tbody th")]


def way(page, rel):
    """Where a list goes on: "next" or "prev"; ``None`` where it ends."""
    link = page.html.find("a", rel=rel)
    return link and "/organizations" + link["href"]


def organizations_in_bulk(master_db, account, count):
    """Master data of as many organizations, without collections; their slugs in order."""
    made = [
        {
            "_id": ObjectId(),
            "name": f"Org {n}",
            "slug": f"org-{n}",
            "state": "active",
            "placement": {"collection": f"org_org_{n}"},
            "audit_head": {"at": clock.now()},
        }
        for n in range(count)
    ]
    master_db.organizations.insert_many(made)
    master_db.memberships.insert_many(
        {"organization": each["_id"], "account": account, "role": "owner"} for each in made
    )
    return sorted(each["slug"] for each in made)


def test_the_overview_shows_real_figures_of_the_collection(visitor, tenant_db):
    visitor.sign_up("Acme Corp")
    tenant_db.org_acme_corp.insert_many([{"_id": n, "text": "x" * 100} for n in range(1234)])
    tenant_db.org_acme_corp.create_index("text")
    page = visitor.get("/organizations/acme-corp")
    facts = {row.dt.get_text(): row.dd.get_text() for row in page.html.select(".facts > div")}
    assert facts["Documents"] == "1,234"
    assert facts["Size"] == "154 kB"  # 1,234 documents of 125 bytes
    assert facts["Indexes"] == "2"
    assert facts["Members"] == "1"
    assert "text_1" in page.text
    assert str(Organization.objects.get().placement.uuid) in page.text
    assert "Organization created" in page.text


def test_the_overview_takes_at_most_6_round_trips(visitor, commands):
    visitor.sign_up("Acme Corp")
    commands.clear()
    assert visitor.get("/organizations/acme-corp").status == 200
    assert len(commands) <= 6, commands


def latest(page):
    """Id, size and content of each document that the page shows."""
    return [
        tuple(part.get_text(strip=True) for part in row.find_all(recursive=False))
        for row in page.html.select(".documents li")
    ]


def test_the_overview_shows_the_latest_documents(visitor, tenant_db):
    visitor.sign_up("Acme Corp")
    assert "There are no documents yet" in visitor.get("/organizations/acme-corp").text
    tenant_db.org_acme_corp.insert_many({"_id": n, "name": f"Müller {n}"} for n in range(7))
    shown = latest(visitor.get("/organizations/acme-corp"))
    assert shown == [(str(n), "34 Bytes", f'{{"name": "Müller {n}"}}') for n in range(6, 1, -1)]


def test_the_latest_documents_are_cut_and_large_ones_told_by_their_size(visitor, tenant_db):
    visitor.sign_up("Acme Corp")
    tenant_db.org_acme_corp.insert_many(
        [
            {"_id": 1, "x": "x" * 1000},
            {"_id": 2, "x": "x" * 20_000},
            {"_id": 3, "x": ["x" * 1_000_000] * 15},
            {"_id": "y" * 20_000, "x": 1},
            {"_id": "z" * 800, "x": 1},
        ]
    )
    page = visitor.get("/organizations/acme-corp")
    large, largest, second, first = latest(page)[1:]
    assert latest(page)[0] == ("z" * 300 + "…", "822 Bytes", '{"x": 1}')
    assert large == ("An id too large to show", "20 kB", "Too large to show here.")
    assert largest == ("3", "15 MB", "Too large to show here.")
    assert second == ("2", "20 kB", "Too large to show here.")
    assert first[2] == '{"x": "' + "x" * 293 + "…"
    assert len(page.text) < 30_000


HOSTILE = [
    {"a": "<script>alert(1)</script>", "<b>": {"$where": "'\""}},
    {"a": "\x00\u202e\u0085\ufffe{{ 7*7 }}"},
    {"a": DatetimeMS(2**62), "b": DatetimeMS(-(2**62))},
    {"a": Binary(b"no uuid", 4), "b": Binary(b"", 3), "c": Binary(b"x" * 16, 4)},
    {"a": [MinKey(), MaxKey(), Int64(2**62), Decimal128("NaN"), float("nan"), Timestamp(1, 2)]},
    {"a": Regex("((", "ims"), "b": Code("x"), "c": {"$ref": 1, "$id": 2}, "d": DBRef("c", 1)},
    {"": {"": [[[]]], ".": None, "$a": 1}},
    RawBSONDocument(encode({"_id": 1, "a": "text"}).replace(b"text", b"\xff\xed\xa0\x80")),
    RawBSONDocument(encode({"_id": "text"}).replace(b"text", b"\xff\xed\xa0\x80")),
]


@pytest.mark.parametrize("document", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_a_program_wrote_can_be_shown(visitor, tenant_db, document):
    visitor.sign_up("Acme Corp")
    tenant_db.org_acme_corp.insert_one(document)
    page = visitor.get("/organizations/acme-corp")
    assert page.status == 200
    assert len(latest(page)) == 1
    assert not page.html.select(".documents script, .documents b")
    assert "\u202e" not in page.text


@pytest.mark.parametrize("document_id", [None, uuid4(), {"a": 1}, 1.5, "", True])
def test_ids_of_all_types_are_shown(visitor, tenant_db, document_id):
    visitor.sign_up("Acme Corp")
    tenant_db.org_acme_corp.insert_one({"_id": document_id})
    [(shown, _, content)] = latest(visitor.get("/organizations/acme-corp"))
    assert content == "{}"
    assert (str(document_id) in shown) or shown in ("null", '{"a": 1}', "true")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/organizations/acme-corp", ["aggregate"] * 2),
        ("/organizations/acme-corp/settings", ["aggregate"]),
        ("/organizations/acme-corp/delete", ["aggregate"] * 2),
        ("/organizations/acme-corp/members", ["aggregate"] * 2),
        ("/organizations/acme-corp/placement", ["aggregate"] * 4),
        ("/organizations", ["aggregate"]),
        ("/account", ["aggregate"]),
        ("/account/invitations", ["aggregate"]),
        ("/account/security", ["aggregate"] * 2),
    ],
)
def test_session_access_and_what_a_page_shows_are_read_together(visitor, commands, path, expected):
    """Only the collection’s figures with its latest documents, what else a page shows, and the
    placement policy are read by others."""
    visitor.sign_up()
    visitor.get(path)
    commands.clear()
    assert visitor.get(path).status == 200
    assert commands == expected


@pytest.mark.parametrize("path", ["/organizations", "/organizations?q=org"])
def test_the_list_takes_one_round_trip_however_long(visitor, commands, path):
    visitor.sign_up("Acme Corp")
    account = Account.objects.get()
    for n in range(5):
        an_organization(f"Org {n:02}", account)
    commands.clear()
    assert visitor.get(path).status == 200
    assert len(commands) == 1, commands


def test_a_long_list_is_paged_both_ways_by_address(visitor, monkeypatch):
    monkeypatch.setattr(directory, "ROWS_PER_PAGE", 5)
    visitor.sign_up("Org 00")
    account = Account.objects.get()
    for n in range(1, 12):
        an_organization(f"Org {n:02}", account)
    first = visitor.get("/organizations")
    assert names(first) == [f"Org {n:02}" for n in range(5)]
    assert not way(first, "prev")
    second = visitor.get(way(first, "next"))
    assert names(second) == [f"Org {n:02}" for n in range(5, 10)]
    third = visitor.get(way(second, "next"))
    assert names(third) == [f"Org {n:02}" for n in range(10, 12)]
    assert not way(third, "next")
    back = visitor.get(way(third, "prev"))
    assert names(back) == names(second)


@pytest.mark.parametrize(
    ("count", "prefix"),
    [
        (1, None),
        (1, "org-1"),
        pytest.param(2000, None, marks=pytest.mark.full),
        pytest.param(2000, "org-1", marks=pytest.mark.slow),
    ],
)
def test_an_account_sees_each_of_its_organizations_once_both_ways(master_db, count, prefix):
    account = ObjectId()
    slugs = organizations_in_bulk(master_db, account, count)
    expected = [slug for slug in slugs if slug.startswith(prefix or "")]
    seen = [page := directory.organizations_of(account, directory.Selection(prefix))]
    while page.after:
        page = directory.organizations_of(account, directory.Selection(prefix, after=page.after))
        seen.append(page)
    assert [row.slug for page in seen for row in page.rows] == expected
    back = [page]
    while page.before:
        page = directory.organizations_of(account, directory.Selection(prefix, before=page.before))
        back.insert(0, page)
    assert [row.slug for page in back for row in page.rows] == expected


def test_a_row_tells_the_readers_own_role_and_how_many_members_there_are(visitor):
    organization = an_organization("Acme Corp")
    a_member(organization, Role.ADMIN, "else@acme.example")
    a_member(organization, Role.VIEWER)
    visitor.log_in("teo@acme.example")
    row = visitor.get("/organizations").html.select_one("tbody tr")
    assert [cell.get_text(strip=True) for cell in row.select("td")][:3] == ["viewer", "Active", "3"]


def search_form(page):
    return page.html.find("form", role="search")


def test_a_search_is_offered_as_soon_as_there_is_more_than_a_page(visitor, monkeypatch):
    monkeypatch.setattr(directory, "ROWS_PER_PAGE", 1)
    visitor.sign_up("Acme Corp")
    assert not search_form(visitor.get("/organizations"))
    assert search_form(visitor.get("/organizations?q=acme"))
    an_organization("Kestrel", Account.objects.get())
    form = search_form(visitor.get("/organizations"))
    assert form["method"] == "get"
    assert form.label["for"] == form.input["id"]
    assert form.label.get_text() == "Search by name"


ALL = ["Müller & Söhne", "O’Brien", "Oak", "Zürich (Süd)", "ϧⲉ", "ⵣⴰ", "𠀀𠀁"]
SEARCHES = [
    ("mull", ["Müller & Söhne"]),
    ("MÜLLER", ["Müller & Söhne"]),
    (" müller  &  sö ", ["Müller & Söhne"]),
    ("muller\u3000s", ["Müller & Söhne"]),
    ("o'b", ["O’Brien"]),
    ("o’b", ["O’Brien"]),
    ("o", ["O’Brien", "Oak"]),
    ("new", []),
    ("", ALL),
    (" \u200b", ALL),
    ("ller", []),
    (".*", []),
    ("oak-and-more", []),
    # names of other slugs, and of none that could be made
    ("KIL", ["Zürich (Süd)"]),
    ("zÜRICH  (", ["Zürich (Süd)"]),
    ("Zu\u0308rich", ["Zürich (Süd)"]),
    ("zurich", []),
    ("süd", []),
    ("ⵣ", ["ⵣⴰ"]),
    ("𠀀", ["𠀀𠀁"]),
    ("Ϧ", ["ϧⲉ"]),
    ("(", []),
]


def test_a_search_finds_the_names_that_begin_so_however_they_are_written(visitor):
    visitor.sign_up("Müller & Söhne")
    for name in ("O’Brien", "Oak"):
        an_organization(name, Account.objects.get())
    named = ("Zürich (Süd)", "ⵣⴰ", "𠀀𠀁", "ϧⲉ")
    for slug, name in zip(("kilo", "lima", "mike", "papa"), named, strict=True):
        an_organization(slug, Account.objects.get())
        Organization.objects(slug=slug).update(name=name)
    an_organization("Mull of others")
    for typed, found in SEARCHES:
        page = visitor.get("/organizations", query_string={"q": typed})
        assert sorted(names(page)) == sorted(found), typed


def test_a_search_is_paged_both_ways_and_stays_one(visitor, monkeypatch):
    monkeypatch.setattr(directory, "ROWS_PER_PAGE", 2)
    visitor.sign_up("Acme Corp")
    account = Account.objects.get()
    for name in ("Org & Co 1", "Org & Co 2", "Org & Co 3", "Org & Co 4", "Org & Co 5", "Tinderbox"):
        an_organization(name, account)
    first = visitor.get("/organizations?q=org+%26+c")
    second = visitor.get(way(first, "next"))
    third = visitor.get(way(second, "next"))
    back = visitor.get(way(third, "prev"))
    assert names(first) == ["Org & Co 1", "Org & Co 2"]
    assert names(second) == names(back) == ["Org & Co 3", "Org & Co 4"]
    assert names(third) == ["Org & Co 5"]
    assert not way(first, "prev")
    assert not way(third, "next")
    assert third.value("q") == "org & c"


def test_a_search_finds_a_name_with_joiners(visitor):
    visitor.sign_up("ایران‌خودرو")
    page = visitor.get("/organizations", query_string={"q": "ایران‌خودرو"})
    assert [name.get_text() for name in page.html.select("tbody th a")] == ["ایران‌خودرو"]


def test_a_search_shows_what_it_is_for_and_the_way_back(visitor):
    visitor.sign_up("Acme Corp")
    page = visitor.get("/organizations?q=Acme")
    assert page.value("q") == "Acme"
    chip = page.html.find("a", class_="chip")
    assert chip.get_text(" ", strip=True) == "begins with “Acme” remove"
    assert chip["href"] == "/organizations"
    assert page.html.title.get_text() == "“Acme” in Organizations · Portal"


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("zebra", "None that you belong to begins with “zebra”."),
        ("!!!", "None that you belong to begins with “!!!”."),
        ("[]", "None that you belong to begins with “[]”."),
    ],
)
def test_a_search_that_finds_nothing_says_why_and_leads_back(visitor, typed, why):
    visitor.sign_up("Acme Corp")
    page = visitor.get("/organizations", query_string={"q": typed})
    assert page.status == 200
    assert page.html.h2.get_text() == "No organization found"
    assert why in page.text
    assert page.html.find("a", string="All organizations")["href"] == "/organizations"


def test_a_page_of_a_search_that_is_gone_leads_to_the_search(visitor):
    visitor.sign_up("Acme Corp")
    answer = visitor.get("/organizations?q=acme&after=zebra")
    assert answer.status == 303
    assert answer.location == "/organizations?q=acme"


HOSTILE_SEARCHES = ["%00", "acme%00", "%ED%A0%80", "%FF", "x" * 5000, "a'b", "$gt", "[]",
                    "%F0%9F%92%80", "{{7*7}}", "%25s%25d", "<b>", "~", "%0d%0aX:1"]  # fmt: skip


def test_a_hostile_search_gets_an_answer(visitor):
    visitor.sign_up("Acme Corp")
    for typed in HOSTILE_SEARCHES:
        for query in (f"q={typed}", f"q={typed}&q={typed}", f"q[]={typed}&q[$gt]="):
            assert visitor.get(f"/organizations?{query}").status == 200, query


def test_a_search_is_cut_where_every_name_ends(visitor):
    visitor.sign_up("a" * 80)
    page = visitor.get("/organizations", query_string={"q": "a" * 5000})
    assert page.value("q") == "a" * 80
    assert names(page) == ["a" * 80]


def test_a_search_shows_nobody_elses_and_nothing_from_the_trash(visitor):
    visitor.sign_up("Acme Corp")
    an_organization("Acme of others")
    visitor.post("/organizations/acme-corp/delete", {"confirm_name": "Acme Corp"})
    assert names(visitor.get("/organizations?q=acme")) == []


@pytest.mark.parametrize("path", ["/organizations", "/organizations/acme-corp/activity"])
def test_keys_of_pages_that_are_none_are_passed_over(visitor, path):
    visitor.sign_up("Acme Corp")
    for value in ("", "$gt", "[]", "a'b", "x" * 5000, "-1", "9" * 400, "%00"):
        for key in ("before", "after"):
            page = visitor.get(f"{path}?{key}={value}", follow_redirects=True)
            assert page.status == 200, value
            assert "Acme Corp" in page.text


def test_activity_tells_who_did_what_newest_first(visitor):
    visitor.sign_up("Acme Corp")
    visitor.post("/organizations/acme-corp/rename", {"organization_name": "Other"})
    page = visitor.get("/organizations/other/activity")
    deeds = [cell.get_text(strip=True) for cell in page.html.select("tbody th summary")]
    assert deeds == ["Renamed from Acme Corp to Other", "Organization created"]
    assert page.text.count("mara@acme.example") >= 3
    assert "127.0.0.1" in page.text


def test_a_long_activity_is_paged(visitor):
    visitor.sign_up("Acme Corp")
    organization = Organization.objects.get()
    for n in range(30):
        organization = rename_organization(
            fresh(organization), "ACME Corp" if n % 2 else "Acme CORP", a_context()
        )
    first = visitor.get("/organizations/acme-corp/activity")
    assert len(first.html.select("tbody tr")) == 25
    older = first.html.find("a", rel="next")
    assert older.get_text() == "Older"
    second = visitor.get("/organizations/acme-corp/activity" + older["href"])
    assert len(second.html.select("tbody tr")) == 6
    assert second.html.find("a", rel="prev").get_text() == "Newer"


def test_a_name_of_80_wide_characters_fits_everywhere(visitor):
    name = "広" * 80
    visitor.sign_up(name)
    slug = Organization.objects.get().slug
    for path in ("/organizations", f"/organizations/{slug}", f"/organizations/{slug}/delete"):
        assert name in visitor.get(path).text
