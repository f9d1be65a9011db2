"""What programs write is kept in the history where an admin or owner chose that."""

import pytest

from portal.documents.audit import AuditEvent
from portal.documents.organizations import Organization
from tests.data.conftest import ACME, DataProgram
from tests.factories import a_key, fresh
from tests.program import fault

PAGE = "/organizations/acme-corp/data/history/settings"
SETTINGS = "/org/acme-corp/history/settings"


def chosen():
    """What was chosen, by the audit trail."""
    events = AuditEvent.objects(action__startswith="history.").order_by("seq")
    return [event.action.removeprefix("history.programs_") for event in events]


@pytest.fixture
def mara(visitor):
    visitor.sign_up("Acme Corp", "mara@acme.example")
    return visitor


@pytest.fixture
def acme_of_mara(mara):
    return Organization.objects.get(slug="acme-corp")


def test_an_admin_chooses_by_a_page(app, mara, acme_of_mara):
    program = DataProgram(app, a_key(acme_of_mara, None, ["documents.read", "documents.write"]))
    listed = mara.get("/organizations/acme-corp/data/history")
    assert "What programs write is not kept" in listed.text
    assert PAGE in [link["href"] for link in listed.html.select("main a")]
    assert not mara.get(PAGE).html.select_one("[name=records_programs]").has_attr("checked")

    done = mara.post(PAGE, {"records_programs": "y"})
    assert done.status == 303
    listed = mara.get(done.location)
    assert "What programs write is kept from now on" in listed.text
    assert "Edits by people, programs and imports" in listed.text
    assert mara.get(PAGE).html.select_one("[name=records_programs]").has_attr("checked")
    program.send("POST", ACME, '{"_id": 1}')
    assert "Inserted" in mara.get(done.location).text

    assert mara.post(PAGE, {"records_programs": "y"}).status == 303  # as it is
    assert mara.post(PAGE, {}).status == 303
    assert chosen() == ["recorded", "not_recorded"]


def test_a_form_that_is_sent_twice_is_one_change(mara, acme_of_mara):
    sent = {**mara.hidden(PAGE), "records_programs": "y"}
    first, second = (mara.send(PAGE, sent) for _ in range(2))
    assert (first.status, second.status) == (303, 303)
    assert first.location == second.location
    assert chosen() == ["recorded"]


def test_a_program_chooses_where_its_key_may(app, acme):
    program = DataProgram(app, a_key(acme, None, ["documents.write", "documents.record"]))
    assert program.get(SETTINGS).json["records_programs"] is False
    changed = program.ask("PUT", SETTINGS, {"records_programs": True})
    assert (changed.status_code, changed.json["records_programs"]) == (200, True)
    assert program.get(SETTINGS).json["records_programs"] is True
    assert fault(program.ask("PUT", SETTINGS, {"records_programs": "maybe"}))[0] == 422
    writer = DataProgram(app, a_key(acme, None, ["documents.write"]))
    assert fault(writer.ask("PUT", SETTINGS, {"records_programs": False}))[:2] == (403, "forbidden")
    assert chosen() == ["recorded"]


def test_an_operator_chooses_by_command(app, acme):
    def run(*args):
        return app.test_cli_runner().invoke(args=["data", "record-programs", "acme-corp", *args])

    assert "is kept" in run("--on").output
    assert fresh(acme).records_programs is True
    assert "is not kept" in run("--off").output
    assert run().exit_code == 2
    assert chosen() == ["recorded", "not_recorded"]
