"""A real Chromium, and a portal of its own process on the databases of this test run."""

import pytest

from portal.documents.accounts import Account
from tests.browser.chromium import ARGUMENTS, HELP, find_chromium
from tests.factories import an_account
from tests.processes import portal
from tests.visitor import PASSWORD


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    chromium = find_chromium()
    if chromium is None:
        pytest.exit(HELP, returncode=1)
    return {**browser_type_launch_args, "executable_path": chromium, "args": ARGUMENTS}


@pytest.fixture(scope="session")
def base_url(server, app):
    with portal(server, "test", "--config", "python:tests.quiet", "wsgi:app") as running:
        yield running.url.replace("127.0.0.1", "localhost")


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
def mara(page):
    """An account, logged in in the browser."""
    account = an_account("mara@acme.example")
    page.goto("/login")
    page.get_by_label("E-mail address").fill(account.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/organizations")
    return Account.objects.get(id=account.id)
