"""The page of documents in a browser: axe finds nothing, and a part is replaced, not the page."""

import re
from datetime import UTC, datetime

import pytest
from axe_playwright_python.sync_playwright import Axe
from bson import Int64, ObjectId
from playwright.sync_api import expect

from tests.factories import an_organization

DATA = "/organizations/acme-corp/data"
CONDITIONS = 'c=["status","is_not","text","planned"]&c=[["n","is","number","1"],["n","null"]]'
OPEN = "field=customer&operator=is&value=65f0c2d4e8b7a913c0f55e10"
PAGES = (
    "",
    "?as=json",
    f"?{CONDITIONS}&{OPEN}",
    "?field=due&operator=between&add=and",
    "?filter={",
    "?sort=status",
    "/views",
    f"/views/new?{CONDITIONS}",
)
axe = Axe()


@pytest.fixture
def stored(mara, tenant_db):
    an_organization("Acme Corp", mara)
    stored = tenant_db.org_acme_corp
    stored.insert_many(
        [{"_id": n, "status": ("waiting", "done")[n % 2], "n": n if n % 3 else None,
          "customer": ObjectId(), "due": datetime(2026, 11, 25, 8, tzinfo=UTC), "many": Int64(n),
          "long": "W" * 500, "parts": [{"count": n}] * 40} for n in range(120)]
    )  # fmt: skip
    return stored


@pytest.mark.full
@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 1440), ("light", 390)])
def test_everybody_can_read_each_page(page, stored, scheme, width):
    stored.delete_many({"_id": {"$gte": 6}})
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 844})
    for path in PAGES:
        page.goto(f"{DATA}{path}")
        found = axe.run(page)
        assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url


def test_a_filter_is_made_without_loading_the_page_anew(page, stored):
    page.goto(DATA)
    page.evaluate("window.still = true")
    page.get_by_label("Field").fill("status")
    page.get_by_label("Field").press("Tab")
    page.get_by_label("Value").fill("done")
    page.get_by_role("button", name="Add condition").click()
    expect(page.locator(".chip.two > a").first).to_have_text("status is “done”")
    expect(page.locator("#count")).to_have_text("60 documents.")
    page.get_by_role("link", name="Older").click()
    expect(page).to_have_url(re.compile("after="))
    expect(page.locator("tbody tr")).to_have_count(10)
    page.locator("tbody input").first.check()
    expect(page.locator("[data-ticked]")).to_have_text("1 ticked")
    assert page.evaluate("window.still")
    page.go_back()
    expect(page.locator("tbody tr")).to_have_count(50)
