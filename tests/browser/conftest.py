"""A real Chromium, and a portal of its own process on the databases of this test run."""

import pytest
from playwright.sync_api import expect

from portal.documents.accounts import Account
from tests.browser.chromium import ARGUMENTS, HELP, find_chromium
from tests.factories import an_account
from tests.processes import portal
from tests.visitor import Visitor

# Playwright waits for five seconds, or thirty: little where the machine stands still for a while.
MILLISECONDS = 60_000
expect.set_options(timeout=MILLISECONDS)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    chromium = find_chromium()
    if chromium is None:
        pytest.exit(HELP, returncode=1)
    return {**browser_type_launch_args, "executable_path": chromium, "args": ARGUMENTS}


@pytest.fixture(scope="session")
def base_url(server, app):
    quiet = ("--config", "python:tests.quiet", "wsgi:app")
    with portal(server, "test", *quiet, workers=1) as running:
        yield running.url.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="session")
def shared_context(browser, browser_context_args, base_url):
    """A page of the portal stays open in it: with the last one Chromium ends the process that draws
    them, and what that has compiled."""
    context = browser.new_context(**browser_context_args)
    context.set_default_timeout(MILLISECONDS)
    context.new_page().goto(f"{base_url}/healthz")
    yield context
    context.close()


@pytest.fixture
def new_context(new_context):
    def make(**options):
        context = new_context(**options)
        context.set_default_timeout(MILLISECONDS)
        return context

    return make


@pytest.fixture
def context(request):
    """A browser without cookies and pages. It is made once, as that takes a second of a core, and
    for each test that is marked to want another."""
    if request.node.get_closest_marker("browser_context_args"):
        yield request.getfixturevalue("new_context")()
        return
    context = request.getfixturevalue("shared_context")
    yield context
    for page in context.pages[1:]:
        page.close()
    context.clear_cookies()


@pytest.fixture(autouse=True)
def no_violation(page):
    """No page breaks its own Content Security Policy, and no script fails."""
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda message: (
            faults.append(message.text)
            if message.type in ("error", "warning")
            and "Failed to load resource" not in message.text
            else None
        ),
    )
    yield
    assert faults == []


@pytest.fixture
def mara(app, page, base_url):
    """An account, logged in in the browser, as if by the form that other tests use."""
    account = an_account("mara@acme.example")
    visitor = Visitor(app)
    visitor.log_in(account.email)
    cookies = [visitor.client.get_cookie(f"portal_{name}_test") for name in ("session", "browser")]
    page.context.add_cookies(
        [{"name": cookie.key, "value": cookie.value, "url": base_url} for cookie in cookies]
    )
    return Account.objects.get(id=account.id)
