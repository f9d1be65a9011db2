"""The activity page narrowed by what was done, by whom, and when."""

import itertools
from datetime import date, timedelta

import pytest

from portal.audit import trail
from portal.audit.filters import PORTAL, Filters
from portal.audit.trail import events_of
from portal.documents.audit import AuditEvent
from portal.documents.organizations import Organization

HERE = "/organizations/acme-corp/activity"


def seqs(filters):
    chain, page = Organization.objects.get(slug="acme-corp").id, None
    found = []
    while page is None or page.after:
        page = events_of(chain, filters, after=page and page.after)
        found += [row.seq for row in page.rows]
    return found


def expected(wanted):
    chain = Organization.objects.get(slug="acme-corp").id
    return [
        event.seq for event in AuditEvent.objects(chain=chain).order_by("-seq") if wanted(event)
    ]


def test_each_filter_finds_what_it_says_and_all_together_what_all_say(lived):
    lived(100)
    mara = "mara@acme.example"
    renamed, march_3 = "organization.renamed", date(2100, 3, 3)
    assert seqs(Filters()) == expected(lambda e: True)
    assert seqs(Filters(action=renamed)) == expected(lambda e: e.action == renamed)
    by_mara = expected(lambda e: e.personal.get("email", {}).get("value") == mara)
    assert seqs(Filters(who=mara)) == by_mara
    assert seqs(Filters(who="Nightly import")) == expected(lambda e: e.actor_kind == "key")
    assert seqs(Filters(who="key “Nightly import”")) == seqs(Filters(who="Nightly import"))
    assert len(seqs(Filters(who=PORTAL))) == 33
    on_march_3 = expected(lambda e: e.at.date() == march_3)
    assert len(on_march_3) == 24
    assert seqs(Filters(since=march_3, until=march_3)) == on_march_3
    assert seqs(Filters(since=march_3)) == expected(lambda e: e.at.date() >= march_3)
    assert seqs(Filters(until=march_3)) == expected(lambda e: e.at.date() <= march_3)
    together = Filters(renamed, mara, march_3, march_3)
    assert seqs(together) == expected(
        lambda e: e.action == renamed and e.seq in by_mara and e.seq in on_march_3
    )
    assert seqs(together)


def test_a_page_looks_at_little_more_than_it_shows_whatever_is_asked_for(lived, master_db):
    """Nothing that is asked for by equality may be found by looking at events one by one: here
    all others are in the way."""
    lived(600)
    chain, day = Organization.objects.get().id, date(2100, 3, 10)
    for filters in (
        Filters(),
        Filters(action="organization.created"),
        Filters(who="nobody"),
        Filters("organization.trashed", "mara@acme.example"),
        Filters("organization.created", "Nightly import"),
        Filters("organization.created", PORTAL),
        Filters(since=day, until=day),
        Filters("organization.created", "mara@acme.example", since=day),
    ):
        find = {
            "find": "audit_events",
            "filter": filters.match(chain),
            "sort": {"seq": -1},
            "limit": 26,
        }
        told = master_db.command("explain", find, verbosity="executionStats")["executionStats"]
        assert told["totalDocsExamined"] <= 60, (filters, told["totalDocsExamined"])


def test_clocks_that_are_apart_hide_no_event(lived, master_db):
    """Numbers and times of events are in another order around midnight."""
    lived(100)
    for event in list(master_db.audit_events.find({"action": "organization.renamed"})):
        skew = timedelta(minutes=29 if event["seq"] % 2 else -29)
        master_db.audit_events.update_one(
            {"_id": event["_id"]}, {"$set": {"at": event["at"] + skew}}
        )
    for day in range(1, 6):
        march = date(2100, 3, day)
        assert seqs(Filters(since=march, until=march)) == expected(lambda e: e.at.date() == march)  # noqa: B023


def test_an_erased_account_is_not_the_portal(lived, visitor, master_db):
    lived(3)
    erased = {"personal.email.value": 1, "personal.email.salt": 1}
    master_db.audit_events.update_many({"personal.email": {"$exists": True}}, {"$unset": erased})
    assert seqs(Filters(who="mara@acme.example")) == []
    assert len(seqs(Filters(who=PORTAL))) == 1
    assert "a closed account" in visitor.get(HERE).text


def test_pages_keep_the_filters_both_ways(lived, visitor, monkeypatch):
    monkeypatch.setattr(trail, "EVENTS_PER_PAGE", 5)
    lived(30)
    first = visitor.get(f"{HERE}?who=Nightly+import&from=2100-03-01")
    second = visitor.get(HERE + first.html.find("a", rel="next")["href"])
    back = visitor.get(HERE + second.html.find("a", rel="prev")["href"])
    for page in (first, second, back):
        assert page.value("who") == "Nightly import"
        assert page.value("from") == "2100-03-01"
        assert {row.select("td")[1].get_text() for row in page.html.select("tbody tr")} == {
            "key “Nightly import”"
        }
    assert first.text == back.text
    assert not second.html.find("a", rel="next")


def test_each_active_filter_is_a_chip_that_removes_it_alone(lived, visitor):
    lived(3)
    page = visitor.get(f"{HERE}?action=organization.renamed&who=the+portal&to=2100-03-09")
    chips = {chip.get_text(" ", strip=True): chip["href"] for chip in page.html.select("a.chip")}
    assert chips == {
        "Renamed from … to … remove": f"{HERE}?who=the+portal&to=2100-03-09",
        "by the portal remove": f"{HERE}?action=organization.renamed&to=2100-03-09",
        "to 2100-03-09 remove": f"{HERE}?action=organization.renamed&who=the+portal",
    }
    assert page.html.select_one("option[selected]")["value"] == "organization.renamed"
    alone = visitor.get(f"{HERE}?who=the+portal")
    assert alone.html.select_one("a.chip")["href"] == HERE


def test_the_exports_offered_are_narrowed_alike(lived, visitor):
    lived(3)
    page = visitor.get(f"{HERE}?who=the+portal")
    links = [link["href"] for link in page.html.select(".sift-row a")]
    assert links == [f"{HERE}.csv?who=the+portal", f"{HERE}.jsonl?who=the+portal"]


@pytest.mark.parametrize(
    ("typed", "who"),
    [
        (" ورود‌شبانه ", "ورود‌شبانه"),
        ("mara@acme.example\u200b", "mara@acme.example"),
        ("\u2068The portal\u2069", PORTAL),
        ("\u200b", "\ufffd"),
        ("x" * 300, "x" * 255),
        ("  ", None),
    ],
    ids=["joiner", "unseen space", "isolated", "nothing seen", "too long", "blank"],
)
def test_what_was_typed_for_a_name_is_never_left_out(typed, who):
    """Elsewhere the file then has everybody."""
    read = Filters.read({"who": typed})
    assert read.who == who
    assert Filters.read(read.query) == read


def test_a_key_with_joiners_in_its_name_is_found_and_exported_alone(lived, visitor, master_db):
    lived(6)
    master_db.audit_events.update_many(
        {"actor_name": "key “Nightly import”"}, {"$set": {"actor_name": "key “ورود‌شبانه”"}}
    )
    page = visitor.get(HERE, query_string={"who": "ورود‌شبانه"})
    assert len(page.html.select("tbody tr")) == 2
    assert [chip.get_text(" ", strip=True) for chip in page.html.select("a.chip")] == [
        "by ورود‌شبانه remove"
    ]
    exported = visitor.get(f"{HERE}.csv", query_string={"who": "\u200b"})
    assert "mara@acme.example" not in exported.text


def test_a_filter_that_finds_nothing_says_so_and_leads_back(owner, visitor):
    page = visitor.get(f"{HERE}?who=nobody")
    assert page.html.h2.get_text() == "No event found"
    assert page.html.find("a", string="All activity")["href"] == HERE


def test_an_event_tells_all_that_is_known_of_it(owner, visitor):
    visitor.post("/organizations/acme-corp/rename", {"organization_name": "Other"})
    row = visitor.get("/organizations/other/activity").html.select_one("tbody tr")
    told = {pair.dt.get_text(): pair.dd.get_text(" ", strip=True) for pair in row.select("dl div")}
    event = AuditEvent.objects(action="organization.renamed").get()
    assert told == {
        "Action": "organization.renamed",
        "Name": "Acme Corp becomes Other",
        "Slug": "acme-corp becomes other",
        "Session": str(event.session),
        "Request": event.request_id,
        "Event 2": event.hash,
    }
    assert f"{event.at:%H:%M:%S}" in row.time.get_text()


def test_the_page_tells_the_head(owner, visitor):
    head = Organization.objects.get().audit_head
    told = visitor.get(HERE).html.select_one(".chain")
    assert told.code.get_text() == head.hash
    assert f"number {head.seq}" in told.get_text()


HOSTILE = ["", "$gt", "[]", '{"$ne": null}', "%00", "a%00b", "%ED%A0%80", "%FF", "x" * 5000, "-1",
           "9" * 400, "%0d%0aX:1", "=1+1", "0001-01-01", "9999-12-31", "2026-02-30", "2026-W01-1",
           "%E2%80%AEabc", "account.logged_in", "organization.renamed%20"]  # fmt: skip


ENDINGS = ["", ".csv", ".jsonl"]


@pytest.mark.attack("Q1", "D3")
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.full)])
@pytest.mark.parametrize(
    "name", ["action", "who", "from", "to", "before", "after", "who[$ne]", "action[]"]
)
def test_hostile_filters_get_an_answer(owner, visitor, name, every):
    """Each at every address of the trail, or at the one whose turn it is."""
    turns = itertools.islice(itertools.cycle(ENDINGS), len(name) % 3, None)
    in_turn = zip(HOSTILE, turns, strict=False)
    for value, ending in itertools.product(HOSTILE, ENDINGS) if every else in_turn:
        answer = visitor.get(f"{HERE}{ending}?{name}={value}&{name}={value}")
        assert answer.status == 200, (value, ending)
        assert answer.response.data


@pytest.mark.attack("C2", "N4")
def test_hostile_filters_lead_on_from_an_old_address(owner, visitor):
    visitor.post("/organizations/acme-corp/rename", {"organization_name": "Other"})
    for value in HOSTILE:
        answer = visitor.get(f"{HERE}?who={value}&[=//evil&@evil#")
        assert answer.status == 307, value
        assert answer.location.startswith("/organizations/other/activity?who=")
        assert visitor.get(answer.location).status == 200


@pytest.mark.attack("T1")
def test_nobody_elses_events_are_found(owner, visitor, strangers):
    assert str(strangers.id) not in visitor.get(f"{HERE}.jsonl").response.text
    assert visitor.get("/organizations/others/activity?who=the+portal").status == 404
    assert visitor.get("/organizations/others/activity.jsonl").status == 404
