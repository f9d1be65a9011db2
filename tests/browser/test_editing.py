"""The documents of an organization with a keyboard alone."""

import json

from playwright.sync_api import expect

from portal.organizations.storage import tenant_of
from tests.factories import an_organization

MOST_TABS = 80


def test_filter_open_edit_save_undo(page, mara):
    stored = tenant_of(an_organization("Acme Corp", mara))
    large = 2**53 + 1
    stored.insert_many([{"status": status, "n": large} for status in ("waiting", "done")])
    waiting = stored.find_one({"status": "waiting"})["_id"]
    page.goto("/organizations/acme-corp/data")
    filter_by(page, "status", "waiting")
    reach(page, "document.activeElement.matches('tbody th a')")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Document")
    presses(page, "Edit")
    expect(page.get_by_role("heading", level=1)).to_have_text("Edit document")
    types_into(page, "[aria-label=status]", "on hold")
    assert is_asked_on_leaving(page)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("1 field saved")
    assert stored.find_one({"_id": waiting}) == {"_id": waiting, "status": "on hold", "n": large}
    presses(page, "undo")
    expect(page.get_by_role("heading", level=1)).to_have_text("Undo this edit?")
    presses(page, "Undo it")
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Undo this edit?")
    assert stored.find_one({"_id": waiting})["status"] == "waiting"


def is_asked_on_leaving(page):
    with page.expect_event("dialog") as asked:
        page.once("dialog", lambda dialog: dialog.dismiss())
        page.evaluate("() => { setTimeout(() => location.assign('/organizations')); }")
    return asked.value.type == "beforeunload"


def filter_by(page, field, value):
    types_into(page, "#field", field)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Add condition")).to_be_visible()
    types_into(page, ".of-value input", value)
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)


def presses(page, words):
    """Reach the link or button of these words by Tab, and press it."""
    reach(page, f"document.activeElement.textContent.trim() === {json.dumps(words)}")
    page.keyboard.press("Enter")


def types_into(page, selector, text):
    """Reach a control by Tab, and type in place of what is there."""
    reach(page, f"document.activeElement.matches({json.dumps(selector)})")
    page.keyboard.press("Control+A")
    page.keyboard.type(text)


def reach(page, condition):
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if page.evaluate(condition):
            return
    raise AssertionError(f"Tab doesn't lead to where {condition}")
