"""Pages as they look: with the widest names, by keyboard."""

import pytest

from portal.organizations.trashing import trash_organization
from tests.factories import an_organization, origin

WIDE_NAMES = ["広" * 80, "W" * 80]

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


def pages_of(slug):
    below = ("", "/activity", "/settings", "/rename", "/delete")
    return ["/organizations", "/organizations?q=a", "/organizations?q=!", "/organizations/new", "/trash"] + [
        f"/organizations/{slug}{path}" for path in below
    ]  # fmt: skip


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("name", WIDE_NAMES, ids=["wide", "W"])
def test_the_widest_name_covers_nothing_and_widens_no_page(page, mara, name, width):
    trash_organization(an_organization(name, mara), name, origin(mara))
    organization = an_organization(name, mara)
    page.set_viewport_size({"width": width, "height": 844})
    for path in [*pages_of(organization.slug), f"/organizations?q={name}"]:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate(OVERLAPS) == [], path


def test_a_search_works_by_keyboard_alone(page, mara):
    for name in ("Acme Corp", "Kestrel Freight"):
        an_organization(name, mara)
    page.goto("/organizations?q=acme")
    search = page.get_by_role("searchbox", name="Search by name")
    search.fill("kes")
    search.press("Enter")
    page.get_by_role("link", name="Kestrel Freight").wait_for()
    assert page.url.endswith("/organizations?q=kes")
    page.get_by_role("link", name="begins with “kes” remove").press("Enter")
    page.get_by_role("link", name="Acme Corp").wait_for()
