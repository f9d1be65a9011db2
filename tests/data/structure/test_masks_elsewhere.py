"""Sensitive fields by API and by command."""

from portal.audit.words import describe_event
from portal.documents.audit import AuditEvent
from tests.data.conftest import DataProgram
from tests.factories import a_key, fresh
from tests.program import fault

MASKS = "/org/acme-corp/masks"


def test_a_program_chooses_sensitive_fields(app, acme):
    key = a_key(acme, None, ["documents.read", "documents.mask", "documents.unmask"])
    program = DataProgram(app, key)
    answer = program.post(MASKS, {"path": "contact.email"})
    assert [each["path"] for each in answer.json["masks"]] == ["contact.email"]
    assert answer.json["masks"][0]["since"]
    assert fault(program.post(MASKS, {"path": "_id"})) == (422, "invalid_mask", {"path"})
    assert program.delete(MASKS, {"path": "contact.email"}).json["masks"] == []
    assert program.get(MASKS).json["masks"] == []


def test_a_program_that_may_not_see_values_makes_none_visible(app, acme):
    program = DataProgram(app, a_key(acme, None, ["documents.read", "documents.mask"]))
    program.post(MASKS, {"path": "iban"})
    assert fault(program.delete(MASKS, {"path": "iban"}))[:2] == (403, "forbidden")
    assert fresh(acme).masked_fields == ["iban"]


def test_an_operator_chooses_them_by_command(app, acme):
    run = app.test_cli_runner().invoke
    assert "iban is sensitive" in run(args=["data", "mask", "acme-corp", "iban"]).output
    assert "iban" in run(args=["data", "masks", "acme-corp"]).output
    assert run(args=["data", "mask", "acme-corp", "_id"]).exit_code == 2
    assert "visible" in run(args=["data", "unmask", "acme-corp", "iban"]).output
    assert "No field" in run(args=["data", "masks", "acme-corp"]).output
    masked = AuditEvent.objects(action="field.masked").get()
    assert describe_event(masked.action, masked.details, None) == "Field “iban” made sensitive"
