"""The JSON API: its parts, its OpenAPI document, and the page that shows it."""

import json
from functools import cached_property
from typing import Any

from apispec.ext.marshmallow import MarshmallowPlugin, OpenAPIConverter
from flask import Blueprint, Flask, Response, current_app, make_response, render_template
from flask.typing import ResponseReturnValue
from flask_smorest import Api
from flask_wtf import CSRFProtect
from marshmallow import fields
from werkzeug.routing import BaseConverter

from portal import settings
from portal.api import organization_schemas, replay, schemas
from portal.api.accounts import admin, auth
from portal.api.api_keys import org_keys
from portal.api.audit import audit
from portal.api.bulk_edits import bulk_edits
from portal.api.credentials import org_credentials
from portal.api.document_views import document_views
from portal.api.documents import documents
from portal.api.history import history
from portal.api.indexes import indexes
from portal.api.masks import masks
from portal.api.members import org_members
from portal.api.moves import org_moves
from portal.api.operator_bulk import admin_bulk
from portal.api.operator_listing import admin_listing
from portal.api.operator_moves import admin_moves
from portal.api.operator_organizations import admin_organizations
from portal.api.operator_overview import admin_overview
from portal.api.operator_people import admin_people
from portal.api.operator_restrictions import admin_restrictions
from portal.api.operator_roles import admin_operators
from portal.api.operator_support import admin_support
from portal.api.operator_usage import admin_usage
from portal.api.organizations import org
from portal.api.placements import placements
from portal.api.structure import org_structure
from portal.api.support import org_support
from portal.api.transfers import transfers
from portal.organizations.lifecycle.names import RESERVED
from portal.web.headers import POLICY_WITHOUT_TRUSTED_TYPES

docs = Blueprint("docs", __name__)

_PARTS = (
    admin,
    auth,
    org,
    placements,
    org_moves,
    org_members,
    org_keys,
    org_credentials,
    org_support,
    documents,
    document_views,
    indexes,
    org_structure,
    masks,
    history,
    bulk_edits,
    transfers,
    audit,
    admin_operators,
    admin_overview,
    admin_organizations,
    admin_bulk,
    admin_moves,
    admin_listing,
    admin_support,
    admin_people,
    admin_usage,
    admin_restrictions,
)

_ABOUT = """\
What people do on pages, programs do here. Get a bearer token by `POST /admin/login` and send it as
`Authorization: Bearer …`. A token is a session that lasts {seconds} seconds and can be ended.

In paths, `{{name}}` is an organization's slug; or its name, without regard to case; or, in two
parts, `by-id/` and its id, which no rename changes: `/org/by-id/692588d0a7c4f2b91e03d65a/members`.
A name with a slash is in no path, not even encoded: that organization is reached by slug or id.

An organization's API key is sent the same way, and belongs to the organization rather than to a
person. It does what its role or permissions allow in that organization, until it expires or is
revoked; what it may not do is answered 403 with the permission that is missing.

Send an `Idempotency-Key` with what you POST, PUT or DELETE under `/org`, and you may send it again
where no answer came, for 24 hours: it is done once. The answer is the first one again.

Every error has one shape: `{{"status": "error", "error": {{"code", "message", "fields"}}}}`.
429 and 503 say in `Retry-After` when to come again. Each answer has an `X-Request-ID`, which the
log knows.
"""


class NameConverter(BaseConverter):
    """A name or slug in a URL, but for the API's reserved words; or ``by-id/`` and an id."""

    regex = rf"(?:by-id/[0-9a-f]{{24}}|(?!(?:{'|'.join(sorted(RESERVED))})(?:/|$))[^/]+)"
    part_isolating = False  # it may span two parts of the path


class _Converter(OpenAPIConverter):
    """Writes what has one type in generated clients only if the document says so."""

    def init_attribute_functions(self) -> None:
        super().init_attribute_functions()
        self.attribute_functions += [self._constant, self._choice]

    def _constant(self, field: fields.Field, ret: dict[str, Any]) -> dict[str, Any]:
        """A constant by its type: clients tell answers and errors apart by it."""
        if not isinstance(field, fields.Constant):
            return {}
        ret.pop("default", None)
        return {"type": "string", "const": field.constant}

    def _choice(self, field: fields.Field, ret: dict[str, Any]) -> dict[str, Any]:
        """A reference to the choice: of enums beside null, and of equal ones in several schemas,
        generators make several types."""
        if not isinstance(field, schemas.Choice):
            return {}
        for inline in ("type", "enum"):
            ret.pop(inline, None)
        values = {"$ref": f"#/components/schemas/{field.choice}"}
        return {"anyOf": [values, {"type": "null"}]} if field.allow_none else values


class _MarshmallowPlugin(MarshmallowPlugin):
    Converter = _Converter


class _Api(Api):
    ERROR_SCHEMA = schemas.ErrorAnswer

    def _register_error_handlers(self) -> None:
        """The portal's own error handlers serve the API, too."""

    def _register_pagination_header(self) -> None:
        """No answer has one."""


class Document:
    """The OpenAPI document of an app, written for its first reader: that takes as long as the rest
    of a start, and most processes have none."""

    def __init__(self, app: Flask) -> None:
        self._app, self._settings = app, settings.current()

    @cached_property
    def text(self) -> str:
        """The document as JSON."""
        active = self._settings
        spec = {
            "title": active.name,
            "version": self._app.jinja_env.globals["version"],
            "openapi_version": "3.1.0",
            "info": {
                "description": _ABOUT.format(seconds=active.jwt_expires_seconds),
                "contact": {"name": "Operator of this portal", "url": active.public_url},
            },
            "servers": [{"url": active.public_url}],
            "security": [{"bearer": []}],
            "marshmallow_plugin": _MarshmallowPlugin(),
        }
        organization_schemas.show_password_rule(active.password_min_length)
        api = _Api(self._app, spec_kwargs=spec)
        components = api.spec.components
        components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
        components.parameter(replay.PARAMETER, "header", replay.PARAMETER_DOC)
        for name, values in schemas.CHOICES.items():
            components.schema(name, {"type": "string", "enum": values})
        api.register_converter(NameConverter, lambda _: {"type": "string", "minLength": 1})
        examples = {}
        for part in _PARTS:
            part.register_views_in_doc(api, self._app, api.spec, name=part.name, parameters=None)
            api.spec.tag({"name": part.name, "description": part.description})
            examples.update(part.refusals.examples)
        for name, example in examples.items():
            components.example(name, example)
        return json.dumps(api.spec.to_dict(), indent=2)


def init_app(app: Flask, csrf: CSRFProtect) -> None:
    """Give ``app`` the API and its documentation."""
    app.url_map.converters["name"] = NameConverter
    for part in _PARTS:
        csrf.exempt(part)  # it takes no cookie
        app.register_blueprint(part)
    app.register_blueprint(docs)
    app.extensions["openapi"] = Document(app)


@docs.get("/docs/openapi.json")
def openapi_json() -> ResponseReturnValue:
    """The document itself."""
    return Response(current_app.extensions["openapi"].text, mimetype="application/json")


@docs.get("/docs")
def show() -> ResponseReturnValue:
    """The interactive documentation."""
    page = make_response(render_template("api/docs.html"))
    page.headers["Content-Security-Policy"] = POLICY_WITHOUT_TRUSTED_TYPES
    return page
