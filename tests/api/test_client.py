"""A client that a generator made of the OpenAPI document does all that an organization's owner does."""

import importlib
import json
import sys

import httpx
import pytest
from openapi_python_client import generate
from openapi_python_client.config import Config, ConfigFile, MetaType

from portal.documents.organizations import Organization
from tests.factories import verify
from tests.visitor import PASSWORD

# A generator takes ten seconds; tests/api/test_openapi.py holds the document to what is answered.
pytestmark = pytest.mark.full

PACKAGE = "generated_portal_client"
MARA = {"email": "mara@acme.example", "password": PASSWORD}


class Api:
    """The generated package: its models, and its operations with a client that may have a token."""

    def __init__(self, package, document):
        self.package = importlib.import_module(package)
        self.models = importlib.import_module(f"{package}.models")
        self.modules = {
            operation["operationId"]: f"{package}.api.{operation['tags'][0]}"
            for item in document["paths"].values()
            for method, operation in item.items()
            if method != "parameters"
        }
        self.url = document["servers"][0]["url"]

    def client(self, app, token=None):
        options = {"httpx_args": {"transport": httpx.WSGITransport(app=app)}}
        # What the document doesn't have raises UnexpectedStatus.
        options |= {"base_url": self.url, "raise_on_unexpected_status": True}
        if token is None:
            return self.package.Client(**options)
        return self.package.AuthenticatedClient(token=token, **options)

    def call(self, client, operation, *arguments, body=None, **options):
        """What the operation returns. ``body`` is of the model that it takes."""
        module = importlib.import_module(f"{self.modules[operation]}.{operation}")
        if body is not None:
            options["body"] = body
        return module.sync(*arguments, client=client, **options)


@pytest.fixture(scope="module")
def api(app, tmp_path_factory):
    folder = tmp_path_factory.mktemp("client")
    document = app.test_client().get("/docs/openapi.json").json
    (folder / "openapi.json").write_text(json.dumps(document))
    config = Config.from_sources(
        ConfigFile(
            post_hooks=[],
            content_type_overrides={"application/x-ndjson": "application/octet-stream"},
        ),
        MetaType.NONE,
        folder / "openapi.json",
        "utf-8",
        overwrite=False,
        output_path=folder / PACKAGE,
    )
    assert generate(config=config) == [], "no part of the document is left out of the client"
    sys.path.insert(0, str(folder))
    yield Api(PACKAGE, document)
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture
def owner(app, api):
    """The client of who just signed up as the owner of Acme Corp."""
    stranger, models = api.client(app), api.models
    new = models.CreateBody(organization_name="Acme Corp", **MARA)
    api.call(stranger, "create_organization", body=new)
    verify()
    token = api.call(stranger, "log_in", body=models.LogInBody(**MARA))
    return api.client(app, token.token)


def test_a_generated_client_takes_the_tour(app, api):
    models, stranger = api.models, api.client(app)
    new = models.CreateBody(organization_name="Acme Corp", **MARA)
    created = api.call(stranger, "create_organization", body=new)
    assert isinstance(created, models.CreatedAnswer)
    assert created.organization.collection_name == "org_acme_corp"
    assert created.organization.created_at.tzinfo
    token = api.call(stranger, "log_in", body=models.LogInBody(**MARA))
    assert token.token_type == "bearer"
    owner = api.client(app, token.token)

    [own] = api.call(owner, "check_token").organizations
    assert (own.slug, own.role) == ("acme-corp", models.Role.OWNER)
    seen = api.call(owner, "get_organization", "Acme Corp").organization
    assert (seen.slug, seen.documents, seen.operation) == ("acme-corp", 0, None)

    rename = models.NewNameBody(new_organization_name="Acme & Daughters")
    key = {"idempotency_key": "rename-1"}
    renamed = api.call(owner, "rename_organization", "acme-corp", body=rename, **key)
    assert renamed.organization.slug == "acme-daughters"
    assert api.call(owner, "rename_organization", "acme-corp", body=rename, **key) == renamed
    events = api.call(owner, "list_audit_events", "acme-daughters", after=1, limit=1)
    assert events.events[0].action == "organization.renamed"
    assert events.events[0].details["slug"] == "acme-daughters"

    trashed = api.call(owner, "delete_organization", "acme-daughters").trash
    [listed] = api.call(owner, "list_trash").trash
    assert listed == trashed
    restore = models.RestoreBody(organization_name="Acme Again")
    back = api.call(owner, "restore_organization", trashed.id, body=restore).organization
    assert back.organization_name == "Acme Again"
    body = models.NameBody(organization_name="Acme Again")
    api.call(owner, "delete_organization_by_body", body=body)
    assert api.call(owner, "restore_organization", trashed.id).organization == back
    api.call(owner, "delete_organization", "acme-again")
    assert api.call(owner, "purge_organization", trashed.id).trash is None
    assert Organization.objects.get().state == "purged"


def test_a_generated_client_purges_at_once(api, owner):
    assert api.call(owner, "delete_organization", "acme-corp", purge=True).trash is None


def test_a_generated_client_manages_members_and_keys(api, owner):
    models = api.models
    invite = models.InviteBody(email="teo@acme.example", role=models.GrantableRole.VIEWER)
    invited = api.call(owner, "create_invitation", "acme-corp", body=invite).invitation
    again = models.ResendBody(role=models.GrantableRole.ADMIN)
    sent = api.call(owner, "resend_invitation", "acme-corp", invited.id, body=again).invitation
    assert (sent.role, sent.state) == (models.GrantableRole.ADMIN, models.InvitationState.OPEN)
    assert api.call(owner, "list_invitations", "acme-corp").invitations == [sent]
    withdrawn = api.call(owner, "withdraw_invitation", "acme-corp", invited.id).invitation
    assert withdrawn.state == models.InvitationState.WITHDRAWN
    [member] = api.call(owner, "list_members", "acme-corp").members
    assert (member.email, member.role) == ("mara@acme.example", models.Role.OWNER)

    viewing = [models.ApiKeyPermission.ORGANIZATION_VIEW]
    new = models.NewKeyBody(name="Nightly export", permissions=viewing)
    made = api.call(owner, "create_key", "acme-corp", body=new)
    assert (made.key.role, made.key.expires_on) == (None, None)
    rotated = api.call(owner, "rotate_key", "acme-corp", made.key.id)
    assert rotated.secret != made.secret
    assert [key.id for key in api.call(owner, "list_keys", "acme-corp").keys] == [made.key.id]
    assert api.call(owner, "revoke_key", "acme-corp", made.key.id) == models.Success("success")


def test_a_generated_client_gets_typed_errors(app, api, owner):
    models = api.models

    def code(client, operation, *arguments, **options):
        answer = api.call(client, operation, *arguments, **options)
        assert isinstance(answer, models.ErrorAnswer)
        return answer.error.code

    wrong = models.LogInBody(email="mara@acme.example", password="wrong")
    same = models.NewNameBody(new_organization_name="Acme Corp")
    bad = models.CreateBody(organization_name="!", email="no", password="short")
    assert code(api.client(app, "no token"), "check_token") == "not_authenticated"
    assert code(owner, "log_in", body=wrong) == "wrong_credentials"
    assert code(owner, "get_organization", "nobody-s") == "not_found"
    assert code(owner, "rename_organization", "acme-corp", body=same) == "name_unchanged"
    refused = api.call(api.client(app), "create_organization", body=bad)
    assert set(refused.error.fields.to_dict()) == {"organization_name", "email", "password"}
