"""Checks of every API request before its view: its credentials, and its strictly parsed input."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar

import marshmallow as ma
from flask import Request, g, request
from flask_login import current_user
from flask_smorest import Blueprint
from flask_smorest.utils import deepupdate
from webargs.flaskparser import FlaskParser

from portal import settings
from portal.api.refusals import OF_BODIES, OF_EVERY_REQUEST, Refusal, Refusals
from portal.documents.organizations import SLUG, Organization
from portal.errors import NotFound
from portal.identity.api_keys.errors import NotForOperatorKeys, NotForProvisioning
from portal.identity.authentication.authenticate import read_along
from portal.identity.sessions.errors import NotAuthenticated
from portal.identity.sessions.principals import OperatorPrincipal, ProvisioningPrincipal
from portal.identity.sessions.reauthentication import recently_authenticated
from portal.operators.access import Operator, operator_of
from portal.operators.errors import RecentLogInRequired
from portal.organizations.access import lookup
from portal.organizations.access.errors import (
    AmbiguousName,
    Forbidden,
    OrganizationLocked,
    OrganizationPurged,
    OrganizationReadOnly,
    OrganizationTrashed,
    SecondFactorRequired,
    UnknownStrategy,
)
from portal.organizations.access.lookup import Access, stages_along
from portal.web.acting_operator import ActingOperator, note_operator
from portal.web.errors import (
    InvalidInput,
    KeyTwice,
    MalformedJson,
    NestedTooDeep,
    NotAnObject,
    NotJson,
    NotUtf8,
    RepeatedParameters,
    UnknownParameters,
)
from portal.web.requests import request_context

_FOR_PROVISIONING = ("org.create_organization", "org.set_plan", "org.set_external")
_OPERATORS_PREFIX = "/admin"
_LOG_IN = "admin.log_in"
_QUERY_MARK = "takes_query"

OF_ACCESS: tuple[Refusal, ...] = (
    NotFound,
    AmbiguousName,
    SecondFactorRequired,
    Forbidden,
    OrganizationLocked,
    OrganizationReadOnly,
    OrganizationTrashed,
    OrganizationPurged,
    UnknownStrategy,
)
"""The errors of ``access_by_name``."""

View = TypeVar("View", bound=Callable[..., Any])


class BodyParser(FlaskParser):
    """Parses one JSON object, and raises the portal's errors."""

    DEFAULT_UNKNOWN_BY_LOCATION = {"json": None, "query": None}  # as in the schema: refused

    def load_json(self, req: Request, schema: ma.Schema) -> Any:
        body = req.get_data()
        # Where every field is optional, an empty body is an empty object.
        if not body and not any(field.required for field in schema.fields.values()):
            return {}
        return read_object(body)

    def handle_error(
        self, error: ma.ValidationError, req: Request, schema: ma.Schema, **options: Any
    ) -> NoReturn:
        found = error.normalized_messages().values()
        raise InvalidInput({k: v for fields in found for k, v in faults_of(fields).items()})


class ApiBlueprint(Blueprint):
    """A part of the API, with strict parsing of requests."""

    ARGUMENTS_PARSER = BodyParser()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.refusals = Refusals()
        self._with_query: set[str] = set()
        self._prepare_doc_cbks.append(self._add_refusals)
        self.before_request(self._check_request)

    def route(
        self, rule: str, *, refusals: tuple[Refusal, ...] = (), **options: Any
    ) -> Callable[[View], View]:
        """Register a view as the operation of its name in the OpenAPI document, with the
        ``refusals`` it has beside those of every operation; a test that sees another fails."""
        register = super().route(rule, **options)
        [method] = options["methods"]
        common = OF_EVERY_REQUEST if method == "GET" else OF_EVERY_REQUEST + OF_BODIES
        parsing = (MalformedJson,) if method in ("POST", "PUT", "PATCH") else ()

        def decorate(view: View) -> View:
            endpoint = f"{self.name}.{view.__name__}"
            if hasattr(view, _QUERY_MARK):
                self._with_query.add(endpoint)
            keys = () if endpoint in _FOR_PROVISIONING else (NotForProvisioning,)
            if self.url_prefix != _OPERATORS_PREFIX:
                keys = (*keys, NotForOperatorKeys)
            told = {"endpoint": endpoint, "refusals": (*common, *keys, *parsing, *refusals)}
            view._apidoc = {**getattr(view, "_apidoc", {}), **told}  # type: ignore[attr-defined]
            return register(view)

        return decorate

    def _add_refusals(
        self, operation: dict[str, Any], found: dict[str, Any], **_: Any
    ) -> dict[str, Any]:
        """Add the operation's id and refusals, once the document is written."""
        endpoint = found["endpoint"]
        responses = self.refusals.responses(endpoint, found["refusals"])
        _, _, name = endpoint.rpartition(".")
        return deepupdate(operation, {"operationId": name, "responses": responses})

    def arguments(
        self, schema: Any, *, location: str = "json", **options: Any
    ) -> Callable[[View], View]:
        """Parse the request by the ``schema``, which for the ``location`` "query" says which query
        parameters there are: any other is refused, as all are where there is no such schema."""
        parse = super().arguments(schema, location=location, **options)

        def decorate(view: View) -> View:
            parsing: View = parse(view)
            if location == "query":
                setattr(parsing, _QUERY_MARK, True)
            return parsing

        return decorate

    def _check_request(self) -> None:
        """Refuse invalid credentials, keys except where they are for, and unknown or repeated query
        parameters."""
        _read_access_along()
        if self.url_prefix == _OPERATORS_PREFIX and request.endpoint != _LOG_IN:
            operator_by_request("console.view")
        if "Authorization" in request.headers and not current_user.is_authenticated:
            raise NotAuthenticated
        if is_provisioning() and request.endpoint not in _FOR_PROVISIONING:
            raise NotForProvisioning
        if isinstance(current_user, OperatorPrincipal) and self.url_prefix != _OPERATORS_PREFIX:
            raise NotForOperatorKeys
        if request.args and request.endpoint not in self._with_query:
            raise UnknownParameters(request.args)
        repeated = [name for name, values in request.args.lists() if len(values) > 1]
        if repeated:
            raise RepeatedParameters(repeated)


def logged_in(view: View) -> View:
    """Require a token or an API key; otherwise NotAuthenticated. An API key's ``account_id`` raises
    AccountRequired."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not current_user.is_authenticated:
            raise NotAuthenticated
        return view(*args, **kwargs)

    return guarded  # type: ignore[return-value]


def operator_by_request(permission: str) -> Operator:
    """The operator that the request's bearer token or operators' key stands for, with the
    ``permission``; from then on the request reads no organization's documents. Raises
    NotAuthenticated, OperatorForbidden, OperatorSecondFactorRequired; RecentLogInRequired where
    operators are changed, which pages ask a second factor for as well; NotFound for everybody who
    is no operator."""
    if not current_user.is_authenticated:
        raise NotAuthenticated
    operator = operator_of(current_user, permission, request_context())
    if permission == "operators.manage" and not recently_authenticated(current_user):
        raise RecentLogInRequired
    note_operator(ActingOperator())
    return operator


def is_provisioning() -> bool:
    """Tell whether the principal is a provisioning key."""
    return isinstance(current_user, ProvisioningPrincipal)


def access_by_name(name: str, permission: str) -> Access:
    """The caller's access, with the ``permission``, to the organization with this slug, name or
    id. Raises the errors in OF_ACCESS."""
    # Once: a replay looks again, after the change.
    read_name, read = g.pop("access_along", (None, None))
    found = read.found if name == read_name else None
    return lookup.access_by_name(name, current_user, permission, read=found)


def canonical(access: Access, organization: Organization, below: str = "") -> dict[str, str]:
    """The header with the organization's canonical URL, and the path ``below`` it, for a request by
    an old slug."""
    if access.slug == organization.slug:
        return {}
    url = f"{settings.current().public_url}/org/{organization.slug}{below}"
    return {"Link": f'<{url}>; rel="canonical"'}


def _read_access_along() -> None:
    """Have access to the organization that the path names read with the session."""
    name = (request.view_args or {}).get("name", "")
    if SLUG.fullmatch(name):
        g.access_along = name, read_along(stages_along(name))


def faults_of(messages: dict[str, Any]) -> dict[str, str]:
    """A schema's messages by field, each in one text."""
    return {name: _joined(nested) for name, nested in messages.items()}


def _joined(messages: Any) -> str:
    """A field's error messages in one text; a list's by index."""
    if isinstance(messages, dict):
        return " ".join(f"{index}: {_joined(nested)}" for index, nested in messages.items())
    return " ".join(messages)


def read_object(body: bytes) -> dict[str, Any]:
    """Parse ``body`` as a JSON object. Raises MalformedJson.

    Duplicate names are refused, since parsers differ in which one wins; so are lone surrogates,
    which UTF-8 can't encode, and NaN and infinities, which JSON hasn't. A byte order mark in front
    is passed over (RFC 8259, 8.1).
    """
    try:
        text = body.decode("utf-8-sig")
        parsed = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_number)
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise NotUtf8 from error
    except RecursionError as error:
        raise NestedTooDeep from error
    except ValueError as error:
        raise NotJson from error
    if not isinstance(parsed, dict):
        raise NotAnObject
    return parsed


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) < len(pairs):
        raise KeyTwice
    return parsed


def _refuse_number(constant: str) -> NoReturn:
    raise ValueError(constant)
