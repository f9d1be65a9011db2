"""Pages as they look: without motion, on paper, in forced colours, with the widest names."""

import re

import pytest
from playwright.sync_api import expect

from portal import clock
from portal.organizations.lifecycle.trashing import trash_organization
from tests.factories import a_context, an_organization

WIDE_NAMES = ["広" * 80, "W" * 80]

MOVING = """() => [...document.querySelectorAll("*")].flatMap((element) =>
  [null, "::before", "::after"].flatMap((part) => {
    const style = getComputedStyle(element, part);
    const still = style.animationName === "none" && style.transitionDuration === "0s" &&
      style.scrollBehavior === "auto" &&
      (style.viewTransitionName === "none" || element.matches(":root"));
    const ownBar = element.matches("progress:indeterminate") && style.appearance !== "none";
    return still && !ownBar ? [] : [element.outerHTML.slice(0, 100) + (part ?? "")];
  })
).concat(
  document.getAnimations().map(String),
  [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules])
    .filter((rule) => rule instanceof CSSViewTransitionRule).map((rule) => rule.cssText)
)"""

# Text over text: the boxes of two texts, cut to what their ancestors let show, that intersect.
OVERLAPS = """() => {
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, range = document.createRange();
    if (!node.data.trim() || !node.parentElement.checkVisibility()) continue;
    if (node.parentElement.closest(".visually-hidden, .skip, .reflow thead")) continue;
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      let { left, top, right, bottom } = box;
      for (let up = node.parentElement; up; up = up.parentElement) {
        if (getComputedStyle(up).overflowX === "visible") continue;
        const edge = up.getBoundingClientRect();
        [left, right] = [Math.max(left, edge.left), Math.min(right, edge.right)];
        [top, bottom] = [Math.max(top, edge.top), Math.min(bottom, edge.bottom)];
      }
      // Boxes of text are higher than its letters, and lines may be set closer than boxes.
      if (right - left > 1 && bottom - top > 8) {
        texts.push({ node, left, top: top + 4, right, bottom: bottom - 4 });
      }
    }
  }
  return texts.flatMap((one, n) => texts.slice(n + 1).filter((other) =>
    one.node !== other.node && one.left + 1 < other.right && other.left + 1 < one.right &&
    one.top < other.bottom && other.top < one.bottom
  ).map((other) => `${one.node.data.trim()} | ${other.node.data.trim()}`));
}"""

# What has an edge in plain colours or needs one where grounds are gone, and shows none.
# Checkboxes are the browser's own drawing.
WITHOUT_EDGE = """() => [...document.querySelectorAll(
  "input:not([type=hidden], .check > [type=checkbox]), .btn:not(.btn-quiet), .chip, .flash, .error-summary, progress"
)].filter((element) => {
  const { borderTopWidth, borderTopStyle, borderTopColor } = getComputedStyle(element);
  return borderTopStyle === "none" || parseFloat(borderTopWidth) < 1 ||
    borderTopColor === getComputedStyle(document.body).backgroundColor;
}).map((element) => element.outerHTML.slice(0, 100))"""

# Drawings in a colour that is not that of the words beside them.
OTHERWISE_DRAWN = """() => [...document.querySelectorAll("svg")].filter((drawing) =>
  getComputedStyle(drawing).color !== getComputedStyle(drawing.parentElement).color
).map((drawing) => drawing.parentElement.outerHTML.slice(0, 100))"""

SHOWN = """(selector) => [...document.querySelectorAll(selector)]
  .filter((element) => element.checkVisibility() && element.getClientRects().length)
  .map((element) => element.outerHTML.slice(0, 100))"""


def ground_and_ink(page):
    """How light the page and its heading are, from 0 to 255."""
    return page.evaluate("""() => {
      const light = (color) => Math.max(...color.match(/[0-9.]+/g).slice(0, 3).map(Number));
      return [light(getComputedStyle(document.body).backgroundColor),
              light(getComputedStyle(document.querySelector("h1")).color)];
    }""")


@pytest.fixture
def renaming(mara, master_db):
    """The slug of an organization that is being renamed."""
    organization = an_organization("Acme Corp", mara)
    running = {
        "kind": "rename", "attempt": 1, "started_at": clock.now(), "collection": "org_other", "name": "Other",
        "slug": "other", "lease_until": clock.now().replace(year=2100), "origin": {"email": mara.email},
    }  # fmt: skip
    master_db.organizations.update_one({}, {"$set": {"operation": running}})
    return organization.slug


def pages_of(slug):
    below = (
        "",
        "/placement",
        "/connect",
        "/activity",
        "/settings",
        "/viewers",
        "/rename",
        "/delete",
    )
    return ["/organizations", "/organizations?q=a", "/organizations?q=!", "/organizations/new", "/trash"] + [
        f"/organizations/{slug}{path}" for path in below
    ]  # fmt: skip


def is_still(page, path):
    assert page.evaluate(MOVING) == [], path
    page.locator(".menu summary").click()
    assert page.evaluate(MOVING) == [], path
    page.locator(".menu summary").click()


def is_light_on_paper(page, path):
    """Without navigation and without buttons."""
    page.emulate_media(media="print", color_scheme="dark")
    ground, ink = ground_and_ink(page)
    assert ground > 240, path
    assert ink < 60, path
    assert page.evaluate(SHOWN, "nav, button, .btn, .bar, footer, .search, .skip") == [], path
    assert page.evaluate(SHOWN, "h1") != [], path
    page.emulate_media(media="screen", color_scheme="null")


def keeps_all_in_forced_colours(page, path):
    for scheme in ("light", "dark"):
        page.emulate_media(forced_colors="active", color_scheme=scheme)
        assert page.evaluate(WITHOUT_EDGE) == [], path
        assert page.evaluate(OTHERWISE_DRAWN) == [], path
    page.emulate_media(forced_colors="null", color_scheme="null")


def test_each_page_is_still_where_wanted_light_on_paper_and_whole_in_forced_colours(page, renaming):
    """Each page is loaded once for all of it. Who wants no motion also sees colours change at once."""
    page.emulate_media(reduced_motion="reduce")
    for path in pages_of(renaming):
        page.goto(path)
        for look in (is_still, is_light_on_paper, keeps_all_in_forced_colours):
            look(page, path)


@pytest.mark.parametrize("path", ["/", "/login", "/signup", "/nowhere"])
def test_nothing_moves_for_strangers_who_want_no_motion(page, path):
    page.emulate_media(reduced_motion="reduce")
    page.goto(path)
    assert page.evaluate(MOVING) == []


def test_on_paper_headings_stay_with_what_they_head_and_bars_keep_their_colour(page, renaming):
    page.emulate_media(media="print")
    page.goto(f"/organizations/{renaming}")
    breaks = page.locator("h1, h2, .rule, thead").evaluate_all(
        "all => all.map((each) => getComputedStyle(each).breakAfter)"
    )
    assert set(breaks) == {"avoid"}
    rows = page.locator("tr, .pairs > div, .log > li, .operation").evaluate_all(
        "all => all.map((each) => getComputedStyle(each).breakInside)"
    )
    assert set(rows) == {"avoid"}
    bar = page.locator("progress").evaluate("(bar) => getComputedStyle(bar).printColorAdjust")
    assert bar == "exact"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_errors_focus_and_the_current_tab_stand_out_in_forced_colours(page, mara, scheme):
    an_organization("Acme Corp", mara)
    page.emulate_media(forced_colors="active", color_scheme=scheme)
    page.goto("/organizations/acme-corp")
    edges = page.locator(".tabs a").evaluate_all(
        "all => all.map((each) => getComputedStyle(each).borderBottomColor)"
    )
    assert edges[0] not in edges[1:]
    assert len(set(edges[1:])) == 1
    page.goto("/organizations/acme-corp/delete")
    page.locator("main form button").click()
    expect(page.get_by_role("alert")).to_be_focused()
    assert page.evaluate(WITHOUT_EDGE) == []
    page.keyboard.press("Tab")
    link = page.get_by_role("alert").get_by_role("link")
    expect(link).to_be_focused()
    expect(link).to_have_css("outline-style", "solid")
    expect(link).to_have_css("outline-width", "2px")


@pytest.mark.parametrize("name", WIDE_NAMES, ids=["wide", "W"])
def test_the_widest_name_covers_nothing_and_widens_no_page(page, mara, name):
    trash_organization(an_organization(name, mara), name, a_context(mara))
    organization = an_organization(name, mara)
    for path in [*pages_of(organization.slug), f"/organizations?q={name}"]:
        page.goto(path)
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert page.evaluate(OVERLAPS) == [], (path, width)


def test_a_search_works_by_keyboard_alone(page, mara):
    for name in ("Acme Corp", "Kestrel Freight"):
        an_organization(name, mara)
    page.goto("/organizations?q=acme")
    search = page.get_by_role("searchbox", name="Search by name")
    search.fill("kes")
    search.press("Enter")
    page.get_by_role("link", name="Kestrel Freight").wait_for()
    expect(page).to_have_url(re.compile(r"/organizations\?q=kes$"))
    page.get_by_role("link", name="begins with “kes” remove").press("Enter")
    page.get_by_role("link", name="Acme Corp").wait_for()


@pytest.mark.parametrize("path", ["/organizations", "/organizations/acme-corp"])
def test_a_long_name_of_the_portal_leaves_room_for_the_rest(page, mara, path):
    an_organization("Acme Corp", mara)
    page.goto(path)
    page.locator(".brand > span").evaluate("name => { name.textContent = 'W'.repeat(60); }")
    for width in (320, 390, 1200):
        page.set_viewport_size({"width": width, "height": 780})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OVERLAPS) == [], width
        expect(page.locator("header summary").last).to_be_in_viewport(ratio=1)
