"""Every page for everybody: axe finds nothing, in light, in dark, at 390 px, in forced colours."""

import itertools
import zlib
from datetime import timedelta

import bson
import pytest
from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from bson import Binary, ObjectId
from playwright.sync_api import expect

from portal import clock, settings
from portal.data.access import document_access
from portal.data.document_ids import address_of
from portal.data.formats.options import Format, WriteOptions
from portal.data.indexes import builds
from portal.data.indexes.builds import create_index
from portal.data.indexes.listing import IndexSpec
from portal.data.lacking_indexes import note_refused
from portal.data.queries import Query
from portal.data.transfer.exports import start_export
from portal.data.transfer.imports import begin_upload, start_write
from portal.documents.accounts import Account, OperatorRole, Recovery
from portal.documents.mails import Mail
from portal.documents.memberships import Membership, Role
from portal.documents.moves import MoveState
from portal.documents.organizations import Organization, Restriction, Strategy
from portal.documents.second_factors import RecoveryCodes
from portal.documents.sessions import Browser
from portal.documents.sign_ups import PendingSignUp
from portal.identity.accounts.mails import CHANGE, RECOVER, VERIFY
from portal.jobs import runner
from portal.mail import links
from portal.operators import entering
from portal.operators import keys as operator_keys
from portal.operators.bulk import managing
from portal.operators.listing.feeding import feed_marked
from portal.operators.organizations import notes
from portal.operators.people import changing
from portal.organizations.access.errors import Forbidden
from portal.organizations.access.lookup import access_to
from portal.organizations.activity.refusals import record_refusal
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.lifecycle.trashing import trash_organization
from portal.organizations.members import ownership
from portal.organizations.members.mails import token_of
from portal.organizations.signing_up import PURPOSE
from portal.organizations.support import grants
from portal.organizations.usage import limits, rolling
from portal.organizations.usage.limits import LimitKind
from portal.permissions import FOR_API_KEYS
from portal.web.context import OPERATOR, RequestContext
from tests.data.history.conftest import Desk
from tests.data.transfer.conftest import checked, lines, uploaded
from tests.factories import (
    a_context,
    a_credential,
    a_hold,
    a_key,
    a_member,
    a_passkey,
    a_person,
    a_session,
    a_suspension,
    an_access,
    an_account,
    an_app,
    an_invitation,
    an_operator,
    an_organization,
)
from tests.moving.records import a_move, a_way_back
from tests.operators.test_overview import begin
from tests.organizations.usage.conftest import Reporting, row
from tests.processes import portal
from tests.visitor import PASSWORD

MODES = [
    ("light", 1440, "none"),
    ("dark", 1440, "none"),
    ("light", 390, "none"),
    ("light", 1440, "active"),
    ("dark", 1440, "active"),
]
BY_COMMAND = RequestContext(OPERATOR)
# Nothing is fetched for rules on sound and video: there is none.
OPTIONS = {"resultTypes": ["violations"], "preload": False}
ELEMENTS = 'document.querySelectorAll("body *:not(svg *, #docs *)")'
# What a page is made of: kinds of elements, within what, in which state.
PARTS = f"""() => [...{ELEMENTS}].map((element) => [
  element.parentElement.localName, element.localName, ...[...element.classList].sort(),
  ...["role", "type", "aria-current", "aria-invalid", "disabled", "open"]
    .map((name) => element.getAttribute(name)),
].join(" "))"""
MARK = f"""(new_ones) => {ELEMENTS}
  .forEach((element, n) => element.toggleAttribute("data-new", new_ones.includes(n)))"""
# Colours take most of axe's time.
LOOK = """([colours_of, ...given]) => {
  axe.configure({ rules: [{ id: "color-contrast", selector: colours_of }] });
  return axe.run(...given);
}"""
ALL, NEW_ONES = "*", "[data-new], [data-new] *"
_looked_at = set()


def find_violations(page, but, colours_of):
    """What axe finds on the page beside parts of it. By the protocol its script is compiled once,
    and not for each page, as by Playwright."""
    page.context.new_cdp_session(page).send("Runtime.evaluate", {"expression": AXE_SCRIPT})
    within = {"exclude": [[part] for part in but]}
    return AxeResults(page.evaluate(LOOK, [colours_of, within, OPTIONS]))


@pytest.fixture(params=["one mode", pytest.param("all modes", marks=pytest.mark.full)])
def check(request):
    """Checks a page in all modes, or, where it is made of something that no page before it was, in
    the mode whose turn it is, and its colours there; that it isn't too wide at any width."""
    turns = itertools.count(zlib.crc32(request.function.__name__.encode()))

    def modes_for(page):
        if request.param == "all modes":
            return MODES, ALL
        parts = page.evaluate(PARTS)
        new_ones = [n for n, part in enumerate(parts) if part not in _looked_at]
        if not new_ones:
            return [], ALL
        _looked_at.update(parts)
        page.evaluate(MARK, new_ones)
        return [MODES[next(turns) % len(MODES)]], NEW_ONES

    def check(page, but=()):
        width = 1440
        modes, colours_of = modes_for(page)
        for scheme, width, forced_colors in modes:
            page.emulate_media(color_scheme=scheme, forced_colors=forced_colors)
            page.set_viewport_size({"width": width, "height": 844})
            found = find_violations(page, but, colours_of)
            assert found.violations_count == 0, (
                f"{page.url} {scheme} {width} {forced_colors}\n{found.generate_report()}"
            )
        for wanted in (width, 390 if width == 1440 else 1440):  # that which it has comes first
            page.set_viewport_size({"width": wanted, "height": 844})
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= wanted, f"{page.url} is {wide} px wide at {wanted}"

    return check


def test_pages_of_strangers(page, check):
    for path in (
        "/", "/login", "/signup", "/forgot", "/recover", "/nowhere", "/docs/application", "/docs/library"
    ):  # fmt: skip
        page.goto(path)
        check(page)


def test_links_that_no_longer_work(page, check):
    for path in ("/verify", "/recover", "/address", "/signup/finish", "/invitations/spent"):
        page.goto(f"{path}?token=spent")
        page.get_by_text("no longer works").first.wait_for()
        check(page)


def test_a_sign_up_that_waits_for_its_address(page, check, server):
    with portal(server, "test", workers=1, SIGNUP_REQUIRES_VERIFICATION="on") as running:
        page.goto(f"{running.url}/signup")
        page.get_by_label("Name of the organization").fill("Acme Corp")
        page.get_by_label("Your e-mail address").fill("mara@acme.example")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign up").click()
        page.get_by_role("heading", name="Check your mailbox").wait_for()
        check(page)
        asked = PendingSignUp.objects.get()
        page.goto(
            f"{running.url}/signup/finish?token={links.sign_token(PURPOSE, {'id': asked.id})}"
        )
        check(page)
        page.get_by_label("Password").fill("weak")
        page.get_by_role("button", name="Create organization").click()
        page.get_by_role("alert").wait_for()
        check(page)


@pytest.mark.parametrize("path", ["/login", "/signup"])
def test_forms_with_faults(page, check, path):
    page.goto(path)
    page.get_by_role("button", name="Log in" if path == "/login" else "Sign up").click()
    page.get_by_role("alert").wait_for()
    check(page)


def test_a_sign_up_with_preview_and_strength(page, check):
    page.goto("/signup")
    page.get_by_label("Name of the organization").fill("Acme Corp")
    page.get_by_label("Password").fill("weak")
    page.locator("#strength p").wait_for()
    page.get_by_text("Yes").wait_for()
    check(page)


def test_what_links_in_mails_lead_to(page, check):
    account = an_account("teo@acme.example", verified=False)
    who = {"account": str(account.id)}
    request = ObjectId()
    Recovery(id=Recovery.id_of(account.email_key), request=request, at=clock.now()).save()
    account.update(set__address_generation=1)
    change = {**who, "address": "t@acme.example", "generation": 1}
    tokens = {
        "/verify": links.sign_token(VERIFY, {**who, "address": account.email_key}),
        "/recover": links.sign_token(RECOVER, {**who, "request": str(request)}),
        "/address": links.sign_token(CHANGE, change),
    }
    for path, token in tokens.items():
        page.goto(f"{path}?token={token}")
        check(page)
        page.locator("main form button").click()
        page.get_by_role("alert").wait_for()
        check(page)


OF_ONES_OWN = ("light", "dark")


@pytest.mark.parametrize(
    "theme", ["auto", *(pytest.param(theme, marks=pytest.mark.full) for theme in OF_ONES_OWN)]
)
def test_pages_of_an_account(page, check, mara, theme):
    mara.update(set__name="Mara Tolliver", set__time_zone="Europe/Berlin", set__theme=theme)
    a_session(mara.email)
    for path in ("", "/sessions", "/address", "/password", "/close"):
        page.goto(f"/account{path}")
        check(page)


@pytest.mark.parametrize("theme", [pytest.param("light", marks=pytest.mark.full), "dark"])
def test_a_theme_of_ones_own(page, check, mara, theme):
    mara.update(set__theme=theme)
    page.goto("/account")
    check(page)


@pytest.mark.parametrize(
    "path",
    ["/password", *(pytest.param(path, marks=pytest.mark.full) for path in ("/address", "/close"))],
)
@pytest.mark.usefixtures("mara")
def test_forms_of_an_account_with_faults(page, check, path):
    page.goto(f"/account{path}")
    page.locator("main form button").click()
    page.get_by_role("alert").wait_for()
    check(page)


@pytest.mark.usefixtures("mara")
def test_pages_with_nothing_on_them(page, check):
    for path in ("/organizations", "/trash", "/organizations/new", "/organizations/nothing"):
        page.goto(path)
        check(page)


def test_pages_of_a_document(page, check, mara, tenant_db):
    stored = tenant_db[an_organization("Acme Corp", mara).placement.collection]
    odd = {"wide": "W" * 500, "L" * 200: {"a.b": [1, {"deep": None}]}, "blob": b"x" * 5000, "": 1.5}
    stored.insert_one({"_id": 1, "at": clock.now(), **odd})
    here = f"/organizations/acme-corp/data/documents/{address_of(bson.encode({'': 1}))}"
    for path in ("", "?as=json", "/edit", "/json", "/duplicate", "/delete"):
        page.goto(here + path)
        check(page)
    one, other = Binary(bytes(16), 3), Binary(b"\1" * 16, 3)
    stored.insert_one({"_id": 2, "wide": "wide " * 100, "u": one, "inner": {"v": other}})
    page.goto("/organizations/acme-corp/data?wide=wide&column=wide&column=u&uuid=java:u")
    for words in ("Columns", "Old UUIDs by field"):
        page.get_by_text(words, exact=True).click()
        check(page)
    page.goto("/organizations/acme-corp/data/documents/new")
    check(page)
    page.goto(f"{here}/edit")
    page.get_by_label("wide", exact=True).fill("mine")
    stored.update_one({"_id": 1}, {"$set": {"wide": "theirs", "blob": b"y"}})
    page.get_by_role("button", name="Save").last.click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved.")
    check(page)


def test_pages_of_the_history(page, check, mara):
    desk = Desk(an_organization("Acme Corp", mara))
    desk.insert(*({"_id": n, "wide": "W" * 400, "n": n} for n in range(4)))
    bulk = desk.update_many({}, {"$set": {"L" * 120: 1}})
    desk.replace({"_id": 1, "wide": "mine"}, reason="R" * 150)
    undo, deleted = desk.undo(bulk), desk.delete(1)
    data = "/organizations/acme-corp/data"
    undoing, erasing = f"/history/{deleted.id}/undo", f"/documents/{deleted.address}/erase"
    one = f"/history/{undo.id}"
    deleting = "/bulk/delete"
    for path in ("/history", "/history/settings", one, undoing, erasing, deleting, "/bulk"):
        page.goto(data + path)
        check(page)
    page.get_by_label("Field").first.fill("wide")
    page.get_by_label("Change", exact=True).first.select_option("Remove")
    page.get_by_role("button", name="Show what would change").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Change all 3 documents?")
    check(page)
    page.get_by_role("button", name="Change 3 documents").click()
    page.get_by_role("progressbar").wait_for()
    check(page)
    again = desk.update_many({}, {"$set": {"again": 1}})
    page.goto(f"{data}/history/{again.id}/undo")
    page.get_by_role("button", name="Undo it").click()
    page.get_by_role("progressbar").wait_for()
    check(page)


def test_pages_of_imports_and_exports(page, check, mara):
    organization = an_organization("Acme Corp", mara)
    seen = document_access(an_access(organization), a_context(mara))
    data = "/organizations/acme-corp/data"
    table = f"_id,on,{'L' * 60}\n1,02/03/2026,{'W' * 90}\n".encode()
    uploads = [
        begin_upload(seen, f"{'orders' * 12}.csv").id,
        uploaded(seen, table, "a.csv").file.id,
    ]
    runner.run_due_jobs()
    content = lines(*({"_id": n % 8, "wide": "W" * 400} for n in range(9)))
    ready = checked(seen, content, stop_per_mille=1000)
    paths = [*(f"/imports/{each}" for each in (*uploads, ready.file.id)), "/exports"]
    for path in ("/imports", *paths):
        page.goto(data + path)
        check(page)
    start_write(seen, ready)
    export = start_export(seen, Query(), WriteOptions(Format.CSV), "all documents")
    for ended in (False, True):
        if ended:
            runner.run_due_jobs()
        for path in (f"/imports/{ready.file.id}", f"/exports/{export.file.id}", "/imports"):
            page.goto(data + path)
            check(page)


def test_pages_of_sensitive_fields(page, check, mara, tenant_db):
    organization = an_organization("Acme Corp", mara)
    masks = "/organizations/acme-corp/data/masks"
    page.goto(masks)
    check(page)
    wide = {"iban": "W" * 300, "contact": {"email": "L" * 300, "W" * 150: 1}}
    tenant_db[organization.placement.collection].insert_many({**wide} for _ in range(5))
    a_credential(organization, name="Dispatch board " * 4)
    organization.update(set__masked_fields=["iban", "contact." + "W" * 150])
    for path in ("", "/new", "/remove?path=iban"):
        page.goto(masks + path)
        check(page)


def test_pages_of_structure(page, check, mara, tenant_db):
    organization = an_organization("Acme Corp", mara)
    an_organization("Shared", mara, Strategy.SHARED)
    stored = tenant_db[organization.placement.collection]
    data = "/organizations/acme-corp/data"
    for path in ("/shape", "/indexes", "/rules"):
        page.goto(data + path)
        check(page)
    wide = {"W" * 90: "W" * 300, "same": "L" * 300, "ids": {str(ObjectId()): 1 for _ in range(20)}}
    stored.insert_many({"n": n or "x", **wide} for n in range(60))
    create_index(an_access(organization), IndexSpec({"W" * 90: 1}, unique=True), a_context(mara))
    note_refused(organization, {"W" * 90: 1, "n": -1})
    with builds._builds:  # goes on in no worker of this test
        create_index(an_access(organization), IndexSpec({"n": 1}), a_context(mara))
    page.goto(f"{data}/shape")
    page.get_by_text("Show the keys").click()
    check(page)
    page.goto(f"{data}/indexes")
    page.get_by_label("Field 1").fill("same")
    page.get_by_label("Unique: no two documents alike").check()
    page.get_by_role("button", name="Check and build").click()
    expect(page.get_by_role("alert")).to_contain_text("60 documents would not fit.")
    check(page)
    page.goto(f"{data}/rules?proposed=1")
    check(page)
    page.get_by_role("button", name="Put into force").click()
    expect(page.get_by_role("status")).to_contain_text("The rules are in force.")
    check(page)
    page.get_by_role("button", name="End these rules").click()
    page.get_by_role("table", name="Former rules").get_by_role("link").click()
    check(page)
    page.goto("/organizations/shared/data/rules")
    check(page)


PAGES = ["", "/placement", "/connect", "/activity", "/settings", "/viewers", "/rename", "/delete"]


def test_pages_of_an_organization(page, check, mara, tenant_db):
    organization = an_organization("Acme Corp", mara)
    tenant_db.org_acme_corp.insert_many(
        [{"wide": "W" * 500}, {"_id": "L" * 500}, {"_id": "M" * 2000}, {"x": "x" * 20_000}]
    )
    rename_organization(
        organization, "Müller & Söhne Gesellschaft mit beschränkter Haftung", a_context(mara)
    )
    for path in PAGES:
        page.goto(f"/organizations/{Organization.objects.get().slug}{path}")
        check(page)


def test_use_and_limits(page, check, mara):
    organization = an_organization("Acme Corp", mara)
    limits.set_plan_limits("team", {LimitKind.BYTES: 10**9}, a_context())
    limits.set_limits(organization, {LimitKind.DOCUMENTS: 5, LimitKind.OPERATIONS: 9}, a_context())
    Reporting()(row(organization, operations=900, slow=3, waited=20, direct=5))
    rolling.roll_up(lambda: None)
    mara.modify(set__operator_role=OperatorRole.ADMIN, set__has_second_factor=True)
    there = f"/operator/organizations/{organization.id}"
    for path in (
        "/organizations/acme-corp/usage",
        "/operator/usage",
        f"{there}/usage?span=hour",
        f"{there}/limits",
    ):
        page.goto(path)
        check(page)
    page.goto("/operator/limits?plan=team")
    page.fill("#operations", "9")
    page.get_by_role("button", name="See what it does").click()
    page.get_by_role("heading", name="What this will do").wait_for()
    check(page)


def test_support_access(page, check, mara):
    organization = an_organization("Acme Corp", mara)
    access, owner = an_access(organization), a_context(mara)
    asked = grants.ask(organization.id, "W" * 500, 4, RequestContext(OPERATOR), with_documents=True)
    over = grants.give(access, 1, owner, with_documents=False, reason="Help")
    grants.end(access, over.id, owner)
    here = "/organizations/acme-corp/support"
    for path in ("", "/give", f"/{asked.id}", f"/{asked.id}/decline"):
        page.goto(f"{here}{path}")
        check(page)
    given = grants.give(access, 4, owner, with_documents=True, reason="Help")
    page.goto(f"{here}/{given.id}/end")
    check(page)


def test_looking_by_support_access(page, check, mara):
    organization = an_organization("Acme Corp", mara)
    access, owner = an_access(organization), a_context(mara)
    asked = grants.ask(organization.id, "W" * 500, 4, RequestContext(OPERATOR), with_documents=True)
    given = grants.give(access, 4, owner, with_documents=True, reason="Help")
    mara.modify(set__operator_role=OperatorRole.ADMIN, set__has_second_factor=True)
    there = f"/operator/organizations/{organization.id}/support"
    for path in ("", "/ask", f"/{asked.id}/give-back", f"/{given.id}/enter"):
        page.goto(f"{there}{path}")
        check(page)
    page.get_by_role("button", name="Look at it").click()
    for path in ("", "/data", "/members", "/data/history"):
        page.goto(f"/organizations/acme-corp{path}")
        check(page)
    grants.end(access, given.id, owner)
    page.reload()
    expect(page.get_by_role("heading", name="Support access has ended")).to_be_visible()
    check(page)


def test_a_move_and_its_way_back(page, check, mara):
    for number, state in enumerate((MoveState.REQUESTED, MoveState.COPYING, MoveState.FENCED)):
        a_move(an_organization(f"Kestrel {number}", mara), state)
        page.goto(f"/organizations/kestrel-{number}/placement/move")
        check(page)
    a_way_back(an_organization("Acme Corp", mara))
    for path in ("/move", "/move/back", "/move/end", "/move/request", ""):
        page.goto(f"/organizations/acme-corp/placement{path}")
        check(page)


def test_the_trail_filtered_and_unfolded(page, check, mara):
    organization = an_organization("Acme Corp", mara)
    record_refusal(Forbidden("organization.delete", organization.id, Role.VIEWER), a_context(mara))
    filters = f"action=access.refused&who={mara.email}&from=2026-01-01&to=2100-01-01"
    for query in ("", filters, "who=nobody"):
        page.goto(f"/organizations/acme-corp/activity?{query}")
        for folded in page.locator("main details:not([open]) > summary").all()[::-1]:
            if folded.is_visible():
                folded.click()
        check(page)


def test_on_a_phone_the_filters_fold(page, mara):
    an_organization("Acme Corp", mara)
    page.goto("/organizations/acme-corp/activity")
    page.set_viewport_size({"width": 1440, "height": 844})
    assert page.get_by_label("Who").is_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    assert not page.get_by_label("Who").is_visible()
    page.locator("summary", has_text="Filter").click()
    page.get_by_label("Who").fill("nobody")
    page.get_by_role("button", name="Filter").click()
    page.get_by_text("No event found").wait_for()


@pytest.mark.parametrize("path", ["/rename", pytest.param("/delete", marks=pytest.mark.full)])
def test_forms_of_an_organization_with_faults(page, check, mara, path):
    an_organization("Acme Corp", mara)
    page.goto(f"/organizations/acme-corp{path}")
    page.locator("main form button").click()
    page.get_by_role("alert").wait_for()
    check(page)


def test_a_replaced_collection(page, check, mara, tenant_db):
    an_organization("Acme Corp", mara)
    list(tenant_db.org_acme_corp.aggregate([{"$out": "org_acme_corp"}]))
    for path in ("", "/adopt"):
        page.goto(f"/organizations/acme-corp{path}")
        check(page)
    page.get_by_role("button", name="Take it over").click()
    page.get_by_role("alert").wait_for()
    check(page)


def test_long_lists_and_a_running_operation(page, check, mara, master_db):
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


def test_pages_of_second_factors(page, check, mara):
    """With an app, two passkeys, few codes and a remembered browser; then when logging in."""
    an_organization("Acme Corp", mara)
    page.goto("/account/security")
    check(page)
    app, _ = an_app(mara)  # which ends the sessions that were opened without
    page.goto("/login")
    page.get_by_label("E-mail address").fill(mara.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_label("Code").fill(app.at(clock.now()))
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/organizations")
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


def test_the_trash_with_something_in_it(page, check, mara, master_db):
    """One that can be restored, one whose name is taken and whose time is nearly over, one that
    is being purged."""
    there, taken, going = (
        trash_organization(an_organization(name, mara), None, a_context(mara))
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


def test_an_organization_whose_collection_is_gone(page, check, mara, tenant_db):
    an_organization("Acme Corp", mara)
    tenant_db.org_acme_corp.drop()
    page.goto("/organizations/acme-corp")
    check(page)


def test_members_and_invitations(page, check, mara):
    """Open, in their last hours, expired, ended, and dead by their sender's role."""
    organization = an_organization("Acme Corp", mara)
    teo = a_member(
        organization, Role.VIEWER, "teo-with-quite-a-long-name@subdomain.of.acme.example"
    )
    a_member(organization, Role.ADMIN, "ann@acme.example")
    inviters = {"open": mara, "last": mara, "late": mara, "ended": mara, "dead": teo}
    sent = {
        name: an_invitation(organization, inviter, f"{name}@of-a-longer-name.acme.example")
        for name, inviter in inviters.items()
    }
    sent["last"].update(set__expires_at=clock.now() + timedelta(hours=3))
    sent["late"].update(set__expires_at=clock.now() - timedelta(hours=3))
    sent["ended"].update(set__state="withdrawn", set__ended_at=clock.now())
    paths = ["members", "invitations", "leave"]
    paths += [f"members/{teo.id}/{deed}" for deed in ("role", "ownership", "remove")]
    for path in paths:
        page.goto(f"/organizations/acme-corp/{path}")
        check(page)
    page.goto("/organizations/acme-corp/members")
    page.get_by_role("button", name="Send invitation").click()
    page.get_by_role("alert").wait_for()
    check(page)


def test_members_with_names_and_an_offer(page, check, mara):
    """One in one word, one with many marks, one written from right to left."""
    organization = an_organization("Acme Corp", mara)
    for n, name in enumerate(("N" * 63, "Ze\u0301\u0302\u0323\u0308r\u0301", "לנה קוויל")):
        member = a_member(organization, Role.VIEWER, f"member-{n}@acme.example")
        member.update(set__name=name)
    access = access_to(organization.slug, a_person(mara))
    ownership.offer_ownership(access, member.id, True, a_context(mara))
    for path in ("", f"/{member.id}/role", f"/{member.id}/remove"):
        page.goto(f"/organizations/acme-corp/members{path}")
        check(page)


def test_what_a_member_without_the_required_factor_sees(page, check, mara):
    for name in ("Acme Corp", "Gone"):
        an_organization(name, mara)
    trash_organization(Organization.objects.get(slug="gone"), None, a_context(mara))
    Organization.objects.update(set__second_factor_from=clock.now())
    an_organization("Kestrel", mara)
    locked_out = "/organizations/acme-corp"
    for path in ("/organizations", "/trash", locked_out, f"{locked_out}/leave"):
        page.goto(path)
        check(page)


def test_what_is_offered_to_the_reader(page, check, mara):
    organization = an_organization("Müller & Söhne Gesellschaft mit beschränkter Haftung")
    owner = Account.objects.get(id=organization.created_by)
    Membership(
        organization=organization.id, account=mara.id, role=Role.ADMIN, since=clock.now()
    ).save()
    access = access_to(organization.slug, a_person(owner))
    ownership.offer_ownership(access, mara.id, False, a_context(owner))
    kestrel = an_organization("Kestrel", an_account("dispatch@kestrel.example"))
    inviter = Account.objects.get(id=kestrel.created_by)
    invitation = an_invitation(kestrel, inviter, mara.email)
    link = f"/invitations/{token_of(invitation)}"
    paths = [f"/organizations/{organization.slug}/{name}" for name in ("members", "ownership")]
    for path in [*paths, "/account/invitations", link]:
        page.goto(path)
        check(page)
    page.get_by_role("button", name="Accept invitation").click()
    page.get_by_text("You belong to Kestrel now").wait_for()


def test_what_waits_for_a_verified_address(page, check, mara):
    organization = an_organization("Acme Corp", mara)
    a_passkey(mara)
    an_invitation(organization, mara, "lena@acme.example")
    mara.update(unset__verified_at=True)
    of_acme = "/organizations/acme-corp"
    for path in (f"{of_acme}/members", f"{of_acme}/invitations", "/account/invitations"):
        page.goto(path)
        check(page)
    for path in ("/account/security", "/account/security/app", "/account"):
        page.goto(path)
        check(page)


@pytest.mark.parametrize("known", ["verified", "unverified", "unknown"])
def test_an_invitation(page, check, known):
    organization = an_organization("Acme Corp")
    inviter = Account.objects.get(id=organization.created_by)
    if known != "unknown":
        an_account("lena@acme.example", verified=known == "verified")
    invitation = an_invitation(organization, inviter, "lena@acme.example")
    page.goto(f"/invitations/{token_of(invitation)}")
    check(page)
    if known != "verified":
        page.locator("main form button").click()
        page.get_by_role("alert").wait_for()
        check(page)


def test_the_menu_when_open(page, check, mara):
    an_organization("Acme Corp", mara)
    page.goto("/organizations/acme-corp")
    page.locator("summary").click()
    check(page)


def test_a_refusal(page, check, mara):
    organization = an_organization("Acme Corp")
    Membership(
        organization=organization.id, account=mara.id, role=Role.VIEWER, since=clock.now()
    ).save()
    page.goto("/organizations/acme-corp/delete")
    check(page)


@pytest.mark.full
def test_the_documentation(page, check):
    page.goto("/docs")
    page.locator("#docs main[role=none]").wait_for()
    check(page, but=["#docs"])  # Swagger UI has its own colours and headings there


def test_pages_of_credentials(page, check, mara):
    organization = an_organization("Acme Corp", mara)
    a_credential(organization, name="W" * 80)
    page.goto("/organizations/acme-corp/credentials/new")
    check(page)
    page.get_by_role("button", name="Make MongoDB user").click()
    page.get_by_role("alert").wait_for()
    check(page)
    page.get_by_label("Name", exact=True).fill("Weekly report")
    page.get_by_role("button", name="Make MongoDB user").click()
    page.get_by_text("Copy the connection string of").wait_for()
    check(page)
    for words in ("Rotate… Weekly report", "Revoke… Weekly report", "End old user… of Weekly"):
        page.goto("/organizations/acme-corp/connect")
        check(page)
        page.get_by_role("link", name=words).click()
        page.locator("main form button[type=submit]").wait_for()
        check(page)
        if words.startswith("Rotate"):
            page.get_by_role("button", name="Rotate").click()
            page.get_by_text("Copy the connection string of").wait_for()
            check(page)


def test_pages_of_api_keys(page, check, mara):
    organization = an_organization("Acme Corp", mara)
    page.goto("/organizations/acme-corp/keys")
    check(page)
    a_key(organization, name="W" * 80)
    a_key(organization, None, sorted(FOR_API_KEYS), expires_on=clock.now().date())
    page.goto("/organizations/acme-corp/keys")
    check(page)
    page.goto("/organizations/acme-corp/keys/new")
    page.get_by_label("Only this:").check()
    check(page)
    page.get_by_role("button", name="Make key").click()
    page.get_by_role("alert").wait_for()
    check(page)
    page.get_by_label("Name", exact=True).fill("Billing sync")
    page.get_by_label("See its members").check()
    page.get_by_role("button", name="Make key").click()
    page.get_by_text("Copy the secret now.").wait_for()
    check(page)
    for words in ("Rotate… Billing sync", "Revoke… Billing sync"):
        page.goto("/organizations/acme-corp/keys")
        page.get_by_role("link", name=words).click()
        page.get_by_role("button").filter(has_text="key").wait_for()
        check(page)


def test_people_and_operators(page, check, mara):
    link = entering.create_operator("lena@portal.example", OperatorRole.SUPPORT, BY_COMMAND).link
    page.goto(link.removeprefix(settings.current().public_url))
    page.get_by_text("somebody else").first.wait_for()
    mara.modify(set__operator_role=OperatorRole.ADMIN, set__has_second_factor=True)
    for path in ("/keys", "/people?q=zzz"):
        page.goto(f"/operator{path}")
        check(page)
    made = operator_keys.create_key("Billing", "support", clock.now().date(), BY_COMMAND)
    quill = an_operator(OperatorRole.SUPPORT, "quill@portal.example")
    teo = an_account("teo@acme.example")
    an_app(teo)
    an_organization("Acme Corp", teo)
    changing.request_reset(teo.id, BY_COMMAND)
    eve = an_account("eve@acme.example")
    changing.block(eve.id, "W" * 500, BY_COMMAND)
    for path in (
        "/operators", "/operators/new", f"/operators/{quill.id}", f"/operators/{quill.id}/remove",
        "/keys", "/keys/new", f"/keys/{made.id}/revoke", "/people", "/people?blocked=1",
        f"/people/{teo.id}", f"/people/{eve.id}", f"/people/{teo.id}/sessions/end",
        f"/people/{quill.id}/factors/reset", f"/people/{teo.id}/factors/keep",
        f"/people/{teo.id}/block", f"/people/{eve.id}/unblock",
    ):  # fmt: skip
        page.goto(f"/operator{path}")
        check(page)
    page.goto("/operator/keys/new")
    page.get_by_role("button", name="Make key").click()
    page.get_by_role("alert").wait_for()
    check(page)
    mara.modify(set__factors_reset_at=clock.now() + timedelta(days=1), set__factors_reset=mara.id)
    page.goto("/account/security")
    page.get_by_role("button", name="Keep them").wait_for()
    check(page)


@pytest.fixture
def console(mara, master_db):
    """Mara as an operator, with an organization that has some of everything; where that is."""
    mara.modify(set__operator_role=OperatorRole.ADMIN, set__has_second_factor=True)
    organization = an_organization("W" * 60, mara)
    an_organization("שלום בע״מ", mara)
    stuck = an_organization("Acme Corp", mara)
    begin(stuck, master_db, kind="purge", attempt=5, last_error="L" * 300)
    limits.set_limits(organization, {LimitKind.DOCUMENTS: 5}, a_context())
    waiting = {"created_at": clock.now(), "due_at": clock.now() + timedelta(hours=1), "attempt": 3}
    Mail(kind="x", to=mara.email, last_error="SMTPDataError: (451, b'Later')", **waiting).save()
    notes.add_note(organization.id, "N" * 500, BY_COMMAND)
    feed_marked()
    return f"/operator/organizations/{organization.id}"


def test_pages_of_the_console(page, check, console):
    for path in ("/operator", "/operator/organizations", console, f"{console}/move", f"{console}0"):
        page.goto(path)
        check(page)
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.get_by_label("Find an organization by name")).to_be_visible()
    page.locator(".who summary").click()
    expect(page.get_by_role("link", name="Leave the console")).to_be_visible()


@pytest.mark.full
@pytest.mark.usefixtures("console")
def test_the_other_pages_of_the_console(page, check):
    for path in (
        "/organizations?search=w", "/organizations?search=zzz", "/operations", "/outbox", "/doctor",
        "/capacity", "/placement", "/activity", "/activity?who=nobody", "/bulk",
        "/bulk/new?search=w",
    ):  # fmt: skip
        assert page.goto(f"/operator{path}").status == 200, path
        check(page)


@pytest.mark.full
@pytest.mark.parametrize(
    "parts",
    [
        ("members", "move", "usage", "support", "activity", "notes", "plan", "metadata", "owner"),
        ("rename", "trash", "purge", "limits", "move/new?strategy=database&cluster=main"),
    ],
)
def test_the_other_pages_of_an_organization_in_the_console(page, check, console, parts):
    for part in parts:
        assert page.goto(f"{console}/{part}").status == 200, part
        check(page)


@pytest.mark.full
@pytest.mark.usefixtures("console")
def test_restrictions_in_the_console(page, check):
    kestrel, gone = an_organization("Kestrel"), an_organization("Gone")
    suspended = a_suspension(kestrel, Restriction.LOCKED)
    hold = a_hold(kestrel, "H" * 500)
    trash_organization(gone, None, a_context())
    there, lifted = f"{kestrel.id}/restrictions", f"restrictions/{suspended.id}/lift"
    for path in (
        kestrel.id, there, f"{there}/new", f"{kestrel.id}/hold", f"{kestrel.id}/{lifted}",
        f"{kestrel.id}/hold/{hold.id}/release", gone.id, f"{gone.id}/restore", f"{gone.id}/purge",
    ):  # fmt: skip
        assert page.goto(f"/operator/organizations/{path}").status == 200, path
        check(page)


@pytest.mark.full
def test_an_action_on_many(page, check, mara):
    mara.modify(set__operator_role=OperatorRole.ADMIN, set__has_second_factor=True)
    several = [an_organization(f"{name} {'W' * 40}") for name in ("Kestrel", "Acme", "Borealis")]
    page.goto(f"/operator/bulk/new?id={several[0].id}")
    page.get_by_role("button", name="Count and plan").click()
    page.get_by_role("alert").wait_for()
    check(page)
    bulk = managing.plan_these("trash", {}, [str(one.id) for one in several], BY_COMMAND)
    page.goto(f"/operator/bulk/{bulk.id}")
    check(page)
    page.goto(f"/operator/bulk/{bulk.id}/start")
    check(page)
    rename_organization(several[0], "Verdant", a_context(mara))  # so that one is refused
    managing.start_bulk(bulk.id, 3, BY_COMMAND)
    for ended in (False, True):
        if ended:
            runner.run_due_jobs()
        page.goto(f"/operator/bulk/{bulk.id}")
        check(page)
    page.goto("/operator/bulk")
    check(page)
