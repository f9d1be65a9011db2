"""The overview for programs, and on the portal's machine."""

import pytest

from portal.documents.accounts import OperatorRole
from tests.factories import an_organization, fresh
from tests.operators.test_overview import a_job, begin, cared_for, heart  # noqa: F401


def test_programs_see_what_needs_somebody(program_of, cared_for, master_db):  # noqa: F811
    program = program_of(OperatorRole.SUPPORT)
    assert program.get("/admin/overview").json["needs"]["number"] == 0
    begin(an_organization("Acme Corp"), master_db, attempt=5, last_error="a disk is full")
    told = program.get("/admin/overview").json
    [need] = told["needs"]["told"]
    assert need["title"] == "Rename of Acme Corp failed 5 times"
    assert {source["name"] for source in told["needs"]["sources"]} >= {"doctor", "mails", "runners"}
    assert told["figures"]["organizations"] == 1
    assert told["clusters"][0]["name"] == "main"
    assert told["processes"][0]["silent"] is False


def test_a_program_tells_not_looked_from_nothing_found(program_of, heart):  # noqa: F811
    sources = program_of(OperatorRole.SUPPORT).get("/admin/overview").json["needs"]["sources"]
    by_name = {source["name"]: source for source in sources}
    assert (by_name["mails"]["number"], by_name["mails"]["trouble"]) == (0, None)
    assert by_name["doctor"]["looked_at"] is None
    assert by_name["doctor"]["trouble"]


def test_programs_have_an_operation_tried_again_or_undone(program_of, cared_for, master_db):  # noqa: F811
    program, acme = program_of(OperatorRole.OPERATOR), an_organization("Acme Corp")
    begin(acme, master_db, attempt=5, last_error="a disk is full", collection="org_other")
    [told] = program.get("/admin/operations").json["operations"]
    path = f"/admin/operations/{told['organization']}/{told['id']}"
    assert told["may_undo"]
    assert program.post(f"{path}/undo").json == {"status": "success", "done": True}
    assert program.post(f"{path}/retry").json["error"]["code"] == "operation_over"
    assert fresh(acme).slug == "acme-corp"


def test_acts_are_read_page_after_page(program_of, cared_for):  # noqa: F811
    program = program_of(OperatorRole.OPERATOR)
    for _ in range(3):
        program.post("/admin/doctor/examine")
    acts = program.get("/admin/activity").json
    assert [act["action"] for act in acts["acts"]] == ["doctor.examination_asked"] * 3
    assert acts["after"] is None
    one = program.get(f"/admin/activity?after={acts['acts'][1]['id']}").json["acts"]
    assert [act["id"] for act in one] == [acts["acts"][2]["id"]]
    refused = program.get("/admin/activity?action=nothing.like_it")
    assert (refused.status_code, [*refused.json["error"]["fields"]]) == (422, ["action"])


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["overview"], "Rename of Acme Corp failed 5 times"),
        (["overview", "--json"], "Rename of Acme Corp failed 5 times"),
        (["overview", "operations"], "a disk is full"),
        (["overview", "activity"], "There"),
        (["overview", "processes"], "well"),
    ],
)
def test_the_machine_tells_it_too(app, cared_for, master_db, command, told):  # noqa: F811
    begin(an_organization("Acme Corp"), master_db, attempt=5, last_error="a disk is full")
    answer = app.test_cli_runner().invoke(args=command)
    assert told in answer.output or command[-1] == "activity"
    assert answer.exit_code == (
        1
        if command[0] == "overview" and len(command) < 3 and command[-1] in ("overview", "--json")
        else 0
    )
