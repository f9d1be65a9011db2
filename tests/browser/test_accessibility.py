"""Every page for everybody: axe finds nothing, in light, in dark, at 390 px, in forced colours."""

from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe

from portal import clock
from portal.accounts.documents import Browser
from portal.factors.documents import RecoveryCodes
from portal.organizations.documents import VIEWER, Membership, Organization
from portal.organizations.renaming import rename_organization
from portal.organizations.trashing import trash_organization
from tests.factories import a_passkey, an_app, an_organization, origin
from tests.visitor import PASSWORD

MODES = [
    ("light", 1440, "none"),
    ("dark", 1440, "none"),
    ("light", 390, "none"),
    ("light", 1440, "active"),
    ("dark", 1440, "active"),
]
axe = Axe()


def check(page, but=()):
    for scheme, width, forced_colors in MODES:
        page.emulate_media(color_scheme=scheme, forced_colors=forced_colors)
        page.set_viewport_size({"width": width, "height": 844})
        found = axe.run(page, context={"exclude": [[part] for part in but]})
        assert found.violations_count == 0, (
            f"{page.url} {scheme} {width} {forced_colors}\n{found.generate_report()}"
        )
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{page.url} is {wide} px wide at {width}"


def test_pages_of_strangers(page):
    for path in ("/", "/login", "/signup", "/nowhere"):
        page.goto(path)
        check(page)


@pytest.mark.parametrize("path", ["/login", "/signup"])
def test_forms_with_faults(page, path):
    page.goto(path)
    page.get_by_role("button", name="Log in" if path == "/login" else "Sign up").click()
    page.get_by_role("alert").wait_for()
    check(page)


def test_a_sign_up_with_preview_and_strength(page):
    page.goto("/signup")
    page.get_by_label("Name of the organization").fill("Acme Corp")
    page.get_by_label("Password").fill("weak")
    page.locator("#strength p").wait_for()
    page.get_by_text("Yes").wait_for()
    check(page)


@pytest.mark.usefixtures("mara")
def test_pages_with_nothing_on_them(page):
    for path in ("/organizations", "/trash", "/organizations/new", "/organizations/nothing"):
        page.goto(path)
        check(page)


PAGES = ["", "/activity", "/settings", "/rename", "/delete"]


def test_pages_of_an_organization(page, mara, tenant_db):
    organization = an_organization("Acme Corp", mara)
    tenant_db.org_acme_corp.insert_many(
        [{"wide": "W" * 500}, {"_id": "L" * 500}, {"_id": "M" * 2000}, {"x": "x" * 20_000}]
    )
    rename_organization(
        organization, "Müller & Söhne Gesellschaft mit beschränkter Haftung", origin(mara)
    )
    for path in PAGES:
        page.goto(f"/organizations/{Organization.objects.get().slug}{path}")
        check(page)


@pytest.mark.parametrize("path", ["/rename", "/delete"])
def test_forms_of_an_organization_with_faults(page, mara, path):
    an_organization("Acme Corp", mara)
    page.goto(f"/organizations/acme-corp{path}")
    page.locator("main form button").click()
    page.get_by_role("alert").wait_for()
    check(page)


def test_long_lists_and_a_running_operation(page, mara, master_db):
    for n in range(27):
        an_organization(f"Org {n:02}", mara)
    running = {
        "kind": "rename", "attempt": 1, "started_at": clock.now(), "collection": "org_other", "name": "Other",
        "slug": "other", "lease_until": clock.now().replace(year=2100), "origin": {"email": mara.email},
    }  # fmt: skip
    master_db.organizations.update_one({"slug": "org-03"}, {"$set": {"operation": running}})
    for path in ("", "?q=org", "?q=nothing", "?q=!!!", "/org-03"):
        page.goto(f"/organizations{path}")
        check(page)


def test_pages_of_second_factors(page, mara):
    """With an app, two passkeys, few codes and a remembered browser; then when logging in."""
    an_organization("Acme Corp", mara)
    page.goto("/account/security")
    check(page)
    an_app(mara)
    for name in ("Laptop, work", "W" * 60):
        passkey = a_passkey(mara, name)
    RecoveryCodes.objects.update(set__hashes=["few"])
    Browser.objects.update(set__trusted_until=clock.now() + timedelta(days=3))
    for path in (
        "",
        "/app",
        "/app/remove",
        "/passkeys/new",
        f"/passkeys/{passkey.id}",
        f"/passkeys/{passkey.id}/remove",
        "/codes/new",
    ):
        page.goto(f"/account/security{path}")
        check(page)
    page.get_by_role("button", name="Make new codes").click()
    page.locator(".codes").wait_for()
    check(page)
    for path in (
        "/organizations/acme-corp/second-factor",
        "/account/confirm",
        "/account/confirm?by=code",
        "/account/confirm?by=passkey",
    ):
        page.goto(path)
        check(page)
    Browser.objects.delete()
    page.context.clear_cookies()
    page.goto("/login/passkey")
    check(page)
    page.goto("/login")
    page.get_by_label("E-mail address").fill(mara.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("alert").wait_for()
    for by in ("code", "passkey", "recovery"):
        page.goto(f"/login/second?by={by}")
        check(page)


def test_the_trash_with_something_in_it(page, mara, master_db):
    """One that can be restored, one whose name is taken and whose time is nearly over, one that
    is being purged."""
    there, taken, going = (
        trash_organization(an_organization(name, mara), None, origin(mara))
        for name in ("Acme Corp", "Müller & Söhne Gesellschaft mit beschränkter Haftung", "Going")
    )
    an_organization(taken.name)
    soon = {"purge_at": clock.now() + timedelta(hours=30)}
    master_db.organizations.update_one({"_id": taken.id}, {"$set": soon})
    running = {
        "kind": "purge", "attempt": 2, "started_at": clock.now(), "collection": "x", "origin": {},
        "lease_until": clock.now().replace(year=2100), "last_error": "what it was",
    }  # fmt: skip
    master_db.organizations.update_one({"_id": going.id}, {"$set": {"operation": running}})
    paths = ["", *(f"/{o.id}" for o in (there, taken, going))]
    for path in [*paths, f"/{taken.id}/restore", f"/{taken.id}/purge"]:
        page.goto(f"/trash{path}")
        check(page)
    page.goto(f"/trash/{taken.id}/restore")
    page.get_by_role("button", name="Restore organization").click()
    page.get_by_role("alert").wait_for()
    check(page)


def test_an_organization_whose_collection_is_gone(page, mara, tenant_db):
    an_organization("Acme Corp", mara)
    tenant_db.org_acme_corp.drop()
    page.goto("/organizations/acme-corp")
    check(page)


def test_the_menu_when_open(page, mara):
    an_organization("Acme Corp", mara)
    page.goto("/organizations/acme-corp")
    page.locator("summary").click()
    check(page)


def test_a_refusal(page, mara):
    organization = an_organization("Acme Corp")
    Membership(organization=organization.id, account=mara.id, role=VIEWER, since=clock.now()).save()
    page.goto("/organizations/acme-corp/delete")
    check(page)


def test_the_documentation(page):
    page.goto("/docs")
    page.locator("#docs main[role=none]").wait_for()
    check(page, but=["#docs"])  # Swagger UI has its own colours and headings there
