"""The operators themselves, and the ways into their console."""

import re
from datetime import timedelta

import pytest

from portal import clock
from portal.documents.accounts import Account, OperatorRole
from tests.factories import an_account
from tests.program import Program, fault

PAGE = "/operator/operators"


def without_number(page):
    """The page but for the number of its request."""
    return re.sub(r"[0-9a-f]{16}", "", page.response.text).replace(PAGE, "/operator/nothing")


def test_operators_are_listed_on_a_page_by_the_api_and_by_a_command(desk, program_of, flask):
    program = program_of(OperatorRole.SUPPORT)
    rows = [row.get_text(" ", strip=True) for row in desk.get(PAGE).html.select("tbody tr")]
    assert rows[0].startswith("ops@portal.example you operator set up")
    assert [one["email"] for one in program.get("/admin/operators").json["operators"]] == [
        "ops@portal.example",
        "program@portal.example",
    ]
    assert "program@portal.example" in flask("operators", "list").stdout


@pytest.mark.attack("T3")
def test_to_everybody_else_nothing_is_there(visitor, app):
    an_account("teo@acme.example")
    visitor.log_in("teo@acme.example")
    there, nowhere = visitor.get(PAGE), visitor.get("/operator/nothing")
    assert (there.status, nowhere.status) == (404, 404)
    assert without_number(there) == without_number(nowhere)
    program = Program(app)
    program.log_in("teo@acme.example")
    assert fault(program.get("/admin/operators"))[:2] == (404, "not_found")
    assert program.get("/admin/operators").json == program.get("/admin/nothing").json


def test_the_second_factor_is_asked_for_again_after_twelve_hours(desk, time_machine):
    time_machine.move_to(clock.now() + timedelta(hours=11, minutes=59))
    assert desk.get(PAGE).status == 200
    time_machine.move_to(clock.now() + timedelta(minutes=2))
    assert desk.get(PAGE).response.location.startswith("/account/confirm")


def test_a_role_that_is_taken_ends_with_the_next_request(desk):
    Account.objects.update(unset__operator_role=True)
    assert desk.get(PAGE).status == 404
