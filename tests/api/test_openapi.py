"""The OpenAPI document is true, and nothing that it allows or forbids breaks the API."""

import json
import re
import zlib

import pytest
import schemathesis
from bson import ObjectId
from hypothesis import HealthCheck, assume, given, settings
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from portal import clock
from portal.documents.accounts import Account, OperatorRole
from portal.documents.api_keys import ApiKey, OperatorKey
from portal.documents.bulk_actions import BulkAction
from portal.documents.jobs import Job
from portal.documents.memberships import Role
from portal.documents.organization_notes import OrganizationNote
from portal.documents.organizations import Organization
from portal.documents.processes import Process
from portal.documents.restrictions import Hold, Suspension
from portal.documents.support import SupportGrant
from portal.operators.bulk import managing
from portal.operators.organizations import notes
from portal.organizations.api_keys.errors import ApiKeyExpired
from portal.organizations.support import grants
from portal.settings import current as active_settings
from portal.web.context import OPERATOR, RequestContext
from tests.factories import a_hold, a_key, a_suspension, an_operator, an_organization
from tests.moving.records import a_way_back
from tests.operators.conftest import program_of  # noqa: F401

WITHOUT_TOKEN = {("/admin/login", "post"), ("/org/create", "post")}


@pytest.fixture
def document(program):
    return program.get("/docs/openapi.json").json


def operations(document):
    return {
        (path, method)
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
    }


def test_the_document_is_valid(document):
    assert document["openapi"] == "3.1.0"
    validate(document)


def test_the_document_names_exactly_the_routes_there_are(app, document):
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.split("/")[1] in ("org", "auth", "admin")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert operations(document) == routes


def test_the_document_says_truly_which_need_a_token(program, document):
    for path, method in operations(document):
        needs = document["paths"][path][method].get("security", document["security"])
        assert (needs == [{"bearer": []}]) == ((path, method) not in WITHOUT_TOKEN)
        answer = program.ask(
            method.upper(), path.replace("{name}", "acme"), {} if method != "get" else None
        )
        assert (answer.status_code == 401) == ((path, method) not in WITHOUT_TOKEN)


READING = ("/query", "/count", "/aggregate", "/indexes/check", "/rules/try", "/preview")


def test_every_change_of_an_organization_takes_a_key(document):
    key = {"$ref": "#/components/parameters/IdempotencyKey"}
    for path, method in operations(document):
        takes = key in document["paths"][path][method].get("parameters", [])
        reads = method == "get" or path.endswith(READING)
        changes = path.startswith(("/org/", "/admin/")) and path != "/admin/login"
        assert takes == (changes and not reads)
    assert document["components"]["parameters"]["IdempotencyKey"]["name"] == "Idempotency-Key"


def test_every_operation_is_described(document):
    for path, method in operations(document):
        operation = document["paths"][path][method]
        assert operation["summary"]
        assert operation["description"]
        assert operation["responses"]["default"]


def test_every_operation_has_an_id_that_is_a_method_of_a_client(document):
    ids = [document["paths"][path][method]["operationId"] for path, method in operations(document)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", found) for found in ids)


def test_every_operation_has_its_refusals_with_their_codes(document):
    """That there are no others, ``undocumented`` checks of all that tests see."""
    for path, method in operations(document):
        responses = document["paths"][path][method]["responses"]
        assert {"400", "401", "422", "503"} <= set(responses)
        for status, response in responses.items():
            if status >= "400" and status != "default":
                json_type = response["content"]["application/json"]
                assert json_type["schema"] == {"$ref": "#/components/schemas/ErrorAnswer"}
                for code, example in json_type["examples"].items():
                    assert f"`{code}`" in response["description"]
                    assert resolve(document, example)["value"]["error"]["code"] == code


def resolve(document, node):
    for name in node.get("$ref", "#").split("/")[1:]:
        document = document[name]
    return document if "$ref" in node else node


def test_a_refusal_that_no_view_declares_fails_the_test(app, owner, undocumented, monkeypatch):
    def refuse(**_):
        raise ApiKeyExpired("Nightly export")

    monkeypatch.setitem(app.view_functions, "org.get_organization", refuse)
    assert owner.get("/org/acme-corp").status_code == 409
    assert undocumented.pop() == ("GET", "/org/<name>", 409, "key_expired")


def test_an_example_of_a_refusal_names_the_field_as_the_answer_does(owner, document):
    same = owner.put("/org/update/acme-corp", {"new_organization_name": "Acme Corp"}).json
    refusals = document["paths"]["/org/update/{name}"]["put"]["responses"]["422"]
    examples = refusals["content"]["application/json"]["examples"]
    example = resolve(document, examples["name_unchanged"])["value"]
    assert set(example["error"]["fields"]) == set(same["error"]["fields"])


def test_the_document_says_where_the_portal_is(document):
    public_url = active_settings().public_url
    assert document["servers"] == [{"url": public_url}]
    assert document["info"]["contact"]["url"] == public_url


def test_every_query_parameter_there_is_is_documented(document):
    """Else no generated client can send it."""
    queries = {
        document["paths"][path][method]["operationId"]: names
        for path, method in operations(document)
        if (names := query_parameters(document["paths"][path][method]))
    }
    assert queries == {
        "delete_organization": {"purge"},
        "delete_organization_by_body": {"purge"},
        "get_usage_as_operator": {"span"},
        "list_loudest_organizations": {"cluster", "limit"},
        "list_acts": {"action", "after", "operator", "subject"},
        "list_audit_events": {"after", "limit"},
        "list_all_organizations": {
            "search",
            "state",
            "strategy",
            "size",
            "used",
            "plan",
            "region",
            "cluster",
            "created_from",
            "created_to",
            "sort",
            "after",
            "limit",
        },
        "list_documents": {"filter", "sort", "projection", "limit", "after", "json"},
        "query_documents": {"json"},
        "aggregate_documents": {"json"},
        "get_document": {"projection", "json"},
        "list_edits": {"document", "after"},
        "list_people": {"q", "blocked", "after"},
        "get_edit": {"after"},
        "list_members_as_operator": {"after"},
        "list_notes": {"after"},
        "start_move_as_operator": {"dry_run"},
        "approve_move_as_operator": {"dry_run"},
        "end_way_back_as_operator": {"dry_run"},
        "list_bulk_results": {"after", "outcome"},
        "rename_organization_as_operator": {"dry_run"},
        "trash_organization_as_operator": {"dry_run"},
        "restore_organization_as_operator": {"dry_run"},
        "purge_organization_as_operator": {"dry_run"},
        "set_plan_limits": {"dry_run"},
    }


def query_parameters(operation):
    return {
        found["name"] for found in operation.get("parameters", ()) if found.get("in") == "query"
    }


def test_every_component_is_used(document):
    text = json.dumps(document["paths"]) + json.dumps(document["components"])
    for kind in ("schemas", "responses", "parameters", "examples"):
        for name in document["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text


def test_every_property_has_an_example_that_is_one(document):
    for name, schema in document["components"]["schemas"].items():
        for field, found in schema.get("properties", {}).items():
            told = {"$ref", "anyOf", "items", "const", "enum", "default", "additionalProperties"}
            assert "example" in found or told & set(found), f"{name}.{field}"
            if "example" in found:
                Draft202012Validator(found).validate(found["example"])


def test_answers_and_errors_are_told_apart_by_their_status(document):
    schemas = document["components"]["schemas"]
    answers = {name: schema for name, schema in schemas.items() if "Answer" in name}
    assert len(answers) > 10
    for name, schema in answers.items():
        constant = "error" if name == "ErrorAnswer" else "success"
        assert schema["properties"]["status"] == {"type": "string", "const": constant}
        assert "status" in schema["required"]


def test_clients_may_get_fields_of_a_newer_portal_and_send_none_that_are_unknown(document):
    for name, schema in document["components"]["schemas"].items():
        if schema["type"] == "object":
            closed = schema.get("additionalProperties") is False
            assert closed == name.endswith("Body")


def test_no_choice_is_written_into_the_document_twice(document):
    """Client generators make a type of each enum, and several of one that has null in it."""
    choices = [tuple(found) for found in every("enum", document["components"]["schemas"])]
    assert len(set(choices)) == len(choices)
    assert not any(None in choice for choice in choices)


def every(name, node):
    """Each value of this name in the document, however deep."""
    if isinstance(node, dict):
        if name in node:
            yield node[name]
        node = list(node.values())
    if isinstance(node, list):
        for found in node:
            yield from every(name, found)


# That whatever has the right type is accepted: no schema can say that a name leads to a slug, that
# a password is hard to guess, or that with a token credentials are refused. Those are 422.
BEYOND_A_SCHEMA = positive_data_acceptance
# A text that is longer than its schema allows may make the whole body too large: 413.
REFUSED = [400, 401, 403, 404, 405, 409, 413, 415, 422, 428, 429]
CHECKED = schemathesis.Config.from_dict(
    {"checks": {"negative_data_rejection": {"expected-statuses": REFUSED}}}
)
MANY = 30
MODES = pytest.mark.parametrize("mode", list(GenerationMode))
# Daily each operation is sent something that it allows, or something that it forbids, by turns.
TURNS = pytest.mark.parametrize(
    ("mode", "examples"),
    [
        (None, 1),
        *(pytest.param(mode, MANY, marks=pytest.mark.full) for mode in GenerationMode),
    ],
)


CONSOLE = "^/admin/(?!login$)"
"""The calls that answer operators alone."""


def try_every_operation(app, mode, examples, prepare, *, console=False):
    """Send what the document allows, or what it forbids, or where no mode is given one of both, and
    hold the answers against it; to the ``console``, or to all but that."""
    patiently = settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    schema = schemathesis.openapi.from_wsgi("/docs/openapi.json", app, config=CHECKED)
    narrowed = schema.include if console else schema.exclude
    for found in narrowed(path_regex=CONSOLE).get_all_operations():
        operation = found.ok()
        turn = list(GenerationMode)[zlib.crc32(operation.label.encode()) % 2]
        cases = operation.as_strategy(generation_mode=mode or turn)

        @patiently
        @given(case=cases)
        def keeps_to_the_document(case):
            # What is written as nothing is not sent, so it can't be refused.
            assume(not any(value in ([], {}) for value in (case.query or {}).values()))
            case.call_and_validate(headers=prepare(case), excluded_checks=[BEYOND_A_SCHEMA])

        keeps_to_the_document()


# With a token all is sent daily: without one it is refused, as a test above says of each operation,
# and what a key gets into stands in the tables of ``test_routes``.
@pytest.mark.attack("D3")
@pytest.mark.full
@pytest.mark.timeout(300)
@MODES
def test_the_api_keeps_to_its_document_without_a_token(app, mode):
    try_every_operation(app, mode, MANY, lambda case: {})


@pytest.mark.attack("D3")
@TURNS
@pytest.mark.timeout(300)
@pytest.mark.slow
def test_the_api_keeps_to_its_document_with_a_token(app, owner, mode, examples):
    """Every other name is that of an organization there is."""
    account = Account.objects.get()

    def prepare(case):
        there = Organization.objects(state="active").first()
        there = there or an_organization(f"Organization {ObjectId()}", account)
        if len(str(case.path_parameters.get("name", ""))) % 2:
            case.path_parameters["name"] = there.slug
            if "key_id" in case.path_parameters and (key := ApiKey.objects.first()):
                case.path_parameters["key_id"] = str(key.id)
        return {"Authorization": f"Bearer {owner.token}"}

    try_every_operation(app, mode, examples, prepare)


@pytest.mark.attack("D3")
@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", [Role.VIEWER, Role.ADMIN])
@MODES
def test_the_api_keeps_to_its_document_with_a_key(app, mode, role):
    """Every other name is that of the key's organization."""
    organization = an_organization("Acme Corp")
    credential = a_key(organization, role)
    key = ApiKey.objects.get()

    def prepare(case):
        if len(str(case.path_parameters.get("name", ""))) % 2:
            slug = Organization.objects.get(id=organization.id).slug
            case.path_parameters["name"] = slug
        if "key_id" in case.path_parameters:
            case.path_parameters["key_id"] = str(key.id)
        return {"Authorization": f"Bearer {credential}"}

    try_every_operation(app, mode, MANY, prepare)


@pytest.fixture
def desk(program_of):  # noqa: F811
    """An operator-admin's program, and something of all that its calls are about."""
    program = program_of(OperatorRole.ADMIN)
    organization, by_operator = an_organization("Acme Corp"), RequestContext(OPERATOR)
    a_suspension(organization)
    a_hold(organization)
    notes.add_note(organization.id, "Called.", by_operator)
    grants.ask(organization.id, "Import stops", 4, by_operator, with_documents=True)
    managing.start_bulk(planned(organization).id, 1, by_operator)
    key = {"name": "Billing", "role": "support", "expires_on": f"{clock.now():%Y-%m-%d}"}
    assert program.post("/admin/keys", key).status_code == 201
    an_operator(OperatorRole.SUPPORT, "other@portal.example")
    a_way_back(organization)
    Process(host="web-2", pid=1, version="1", started_at=clock.now(), beat_at=clock.now()).save()
    return program


def planned(organization):
    chosen = [str(organization.id)]
    return managing.plan_these("note", {"text": "x"}, chosen, RequestContext(OPERATOR))


def ids_there():
    """An id of each thing that calls of the console name."""
    organization = Organization.objects(state__ne="purged").first()
    organization = organization or an_organization(f"Organization {ObjectId()}")
    other = Account.objects(email="other@portal.example").first()
    found = {
        "organization_id": organization,
        "account_id": other,
        "person_id": other,
        "bulk_id": BulkAction.objects(state="planned").first() or planned(organization),
        **{
            name: document.objects.first()
            for name, document in {
                "job_id": Job,
                "key_id": OperatorKey,
                "note_id": OrganizationNote,
                "suspension_id": Suspension,
                "hold_id": Hold,
                "grant_id": SupportGrant,
                "process_id": Process,
            }.items()
        },
    }
    return {name: str(one.id) for name, one in found.items() if one}


@pytest.mark.attack("D3")
@TURNS
@pytest.mark.timeout(300)
@pytest.mark.slow
def test_the_consoles_api_keeps_to_its_document_for_an_operator(app, desk, mode, examples):
    """Most ids are those of something there is."""

    def prepare(case):
        if len(str(case.path_parameters)) % 4:
            there = ids_there()
            for name in set(there) & set(case.path_parameters):
                case.path_parameters[name] = there[name]
        return {"Authorization": f"Bearer {desk.token}"}

    try_every_operation(app, mode, examples, prepare, console=True)
