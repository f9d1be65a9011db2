"""A move's page looks again by itself, where there is JavaScript."""

from playwright.sync_api import expect

from portal.documents.moves import MoveState
from tests.factories import an_organization
from tests.moving.records import a_move


def test_the_figures_of_a_move_grow_by_themselves_and_keep_the_focus(page, mara):
    move = a_move(an_organization("Acme Corp", mara))
    page.clock.install()
    page.goto("/organizations/acme-corp/placement/move")
    refresh = page.get_by_role("link", name="Refresh")
    refresh.focus()
    page.get_by_role("heading", name="Copying, 2,440 of about 4,000 documents").wait_for()
    move.update(set__progress__copied=3000)
    page.clock.run_for(3000)
    page.get_by_role("heading", name="Copying, 3,000 of about 4,000 documents").wait_for()
    expect(page.get_by_role("progressbar", name="Copy")).to_have_attribute("value", "75")
    expect(refresh).to_be_focused()
    move.update(set__state=MoveState.DONE, unset__open=True, set__outcome="moved")
    page.clock.run_for(3000)
    page.get_by_role("heading", name="Moved").wait_for()
    assert page.locator("[data-refresh]").count() == 0
