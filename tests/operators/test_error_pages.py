"""Error pages of the console: an operator stays in it, and nobody else sees that there is one."""

import pytest

from portal.documents.accounts import OperatorRole
from portal.operators.overview import running
from tests.factories import an_organization

NOWHERE = ("/operator/nowhere", "/operator/organizations/6b0ceb8328d41f3dc19ddc8d")


def is_in_console(page):
    return bool(page.html.select_one("header.bar.ink"))


@pytest.mark.parametrize("path", NOWHERE)
def test_what_is_not_there_leads_back_to_the_console(desk, path):
    page = desk.get(path)
    assert (page.status, is_in_console(page)) == (404, True)
    assert page.html.select_one("main .actions a")["href"] == "/operator"


def test_what_a_role_forbids_is_said_in_the_console(desk_of):
    page = desk_of(OperatorRole.SUPPORT).get(
        f"/operator/organizations/{an_organization('Acme Corp').id}/plan"
    )
    assert (page.status, is_in_console(page)) == (403, True)


def test_a_bug_is_told_in_the_console(desk, monkeypatch):
    def broken():
        raise ZeroDivisionError

    monkeypatch.setattr(running, "operations", broken)
    page = desk.get("/operator/operations")
    assert (page.status, is_in_console(page)) == (500, True)


@pytest.mark.parametrize("path", NOWHERE)
def test_a_member_sees_no_console(visitor, path):
    visitor.sign_up()
    page = visitor.get(path)
    assert (page.status, is_in_console(page)) == (404, False)
    assert "console" not in page.text


def test_an_operator_elsewhere_is_not_in_the_console(desk):
    assert not is_in_console(desk.get("/nowhere"))
