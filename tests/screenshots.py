"""Pictures of pages for the README: ``make screenshots`` writes them into docs/pictures."""

import sys
from datetime import timedelta
from unittest.mock import patch

from playwright.sync_api import sync_playwright
from pymongo import MongoClient

from portal import clock
from portal.database.connection import tenant_database
from portal.documents.memberships import Role
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.lifecycle.trashing import trash_organization
from portal.organizations.members import inviting
from portal.web.static_files import TOP
from tests.browser.chromium import ARGUMENTS, HELP, find_chromium
from tests.factories import (
    a_context,
    a_key,
    a_member,
    an_access,
    an_account,
    an_organization,
    fresh,
)
from tests.standalone import standalone_portal
from tests.visitor import PASSWORD

PICTURES = TOP / "docs" / "pictures"
DESKTOP = {"width": 1200, "height": 800}
LOW = {"width": 1200, "height": 440}
PHONE = {"width": 390, "height": 780}
# Name, page, window, colours.
OF_STRANGERS = (("sign-up", "/signup", DESKTOP, "light"),)
OF_MEMBERS = (
    ("organization", "/organizations/kestrel-freight", DESKTOP, "light"),
    ("organization-dark", "/organizations/kestrel-freight", DESKTOP, "dark"),
    ("members", "/organizations/kestrel-freight/members", DESKTOP, "light"),
    ("trash", "/trash", LOW, "light"),
    ("phone", "/organizations/kestrel-freight/activity", PHONE, "light"),
)
LOG = TOP / "build" / "screenshots.log"  # the portal's


def main():
    chromium = find_chromium()
    if chromium is None:
        sys.exit(HELP)
    PICTURES.mkdir(exist_ok=True)
    with LOG.open("w") as log, standalone_portal(stderr=log) as running:
        mara = an_account("mara@kestrel.example")
        furnish(mara, running.admin_uri)
        url = running.url.replace("127.0.0.1", "localhost")
        with sync_playwright() as playwright:
            launched = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            browser = launched.new_context(base_url=url, reduced_motion="reduce", locale="en-GB")
            page = browser.new_page()
            picture(page, OF_STRANGERS)
            page.goto("/login")
            page.get_by_label("E-mail address").fill(mara.email)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Log in").click()
            page.wait_for_url("**/organizations")
            picture(page, OF_MEMBERS)
            launched.close()


def picture(page, shots):
    for name, path, window, colours in shots:
        page.set_viewport_size(window)
        page.emulate_media(color_scheme=colours)
        page.goto(path)
        if path == "/signup":
            page.locator("#organization_name").fill("Kestrel & Daughters")
            page.get_by_text("kestrel-daughters").first.wait_for()
        page.evaluate("document.activeElement.blur()")
        page.screenshot(path=PICTURES / f"{name}.png")
        print(f"docs/pictures/{name}.png")


def furnish(mara, admin_uri):
    """What a small company would have after some weeks."""
    with ago(days=40):
        kestrel = an_organization("Kestrel Logistics", mara)
        an_organization("Lindgren Timber", mara)
    with ago(days=33):
        teo = a_member(kestrel, Role.ADMIN, "teo@kestrel.example")
        a_member(kestrel, Role.VIEWER, "ines@kestrel.example")
    with ago(days=12):
        a_key(kestrel, name="Nightly export")
    with ago(days=3, hours=2):
        kestrel = rename_organization(fresh(kestrel), "Kestrel Freight", a_context(mara))
    with ago(hours=5):
        inviting.invite(an_access(kestrel), "noor@kestrel.example", Role.VIEWER, a_context(teo))
    for name, days in (("Old Harbour Depot", 9), ("Test account", 2)):
        with ago(days=days + 3):
            organization = an_organization(name, mara)
        trashed = trash_organization(organization, name, a_context(mara))
        earlier = timedelta(days=days)  # the server's clock was right
        trashed.update(
            set__trashed_at=trashed.trashed_at - earlier, set__purge_at=trashed.purge_at - earlier
        )
    shipments = tenant_database()[kestrel.placement.collection]
    shipments.create_index("shipment")
    shipments.insert_many(
        {
            "shipment": f"KF-{number}",
            "from": "Gothenburg",
            "to": ("Rotterdam", "Hamburg", "Antwerp")[number % 3],
            "pallets": number % 17 + 1,
        }
        for number in range(20481, 22000)
    )
    with MongoClient(admin_uri) as admin:
        admin.admin.command("fsync")  # what is on disk is counted then


def ago(**time):
    """The portal's clock moved back."""
    moment = clock.now() - timedelta(**time)
    return patch.object(clock, "now", lambda: moment)


if __name__ == "__main__":
    main()
