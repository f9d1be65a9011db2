"""The OpenAPI document is true, and nothing that it allows or forbids breaks the API."""

import re

import pytest
import schemathesis
from bson import ObjectId
from hypothesis import HealthCheck, assume, given, settings
from openapi_spec_validator import validate
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from portal.documents.accounts import Account
from portal.documents.api_keys import ApiKey
from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from tests.factories import a_key, an_organization

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


def test_every_change_of_an_organization_takes_a_key(document):
    key = {"$ref": "#/components/parameters/IdempotencyKey"}
    for path, method in operations(document):
        takes = key in document["paths"][path][method].get("parameters", [])
        assert takes == (path.startswith("/org/") and method != "get")
    assert document["components"]["parameters"]["IdempotencyKey"]["name"] == "Idempotency-Key"


def test_every_operation_is_described(document):
    for path, method in operations(document):
        operation = document["paths"][path][method]
        assert operation["summary"]
        assert operation["responses"]["default"]


# That whatever has the right type is accepted: no schema can say that a name leads to a slug, that
# a password is hard to guess, or that with a token credentials are refused. Those are 422.
BEYOND_A_SCHEMA = positive_data_acceptance
EXAMPLES = pytest.mark.parametrize("examples", [3, pytest.param(30, marks=pytest.mark.full)])


def try_every_operation(app, mode, examples, prepare):
    """Send what the document allows, or what it forbids, and hold the answers against it."""
    patiently = settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    schema = schemathesis.openapi.from_wsgi("/docs/openapi.json", app)
    for found in schema.get_all_operations():
        cases = found.ok().as_strategy(generation_mode=mode)

        @patiently
        @given(case=cases)
        def keeps_to_the_document(case):
            # What is written as nothing is not sent, so it can't be refused.
            assume(not any(value in ([], {}) for value in (case.query or {}).values()))
            case.call_and_validate(headers=prepare(case), excluded_checks=[BEYOND_A_SCHEMA])

        keeps_to_the_document()


@pytest.mark.attack("D3")
@EXAMPLES
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.slow
def test_the_api_keeps_to_its_document_without_a_token(app, mode, examples):
    try_every_operation(app, mode, examples, lambda case: {})


@pytest.mark.attack("D3")
@EXAMPLES
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", list(GenerationMode))
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
@EXAMPLES
@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", [Role.VIEWER, Role.ADMIN])
@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.slow
def test_the_api_keeps_to_its_document_with_a_key(app, mode, role, examples):
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

    try_every_operation(app, mode, examples, prepare)
