"""Pages of an organization's credentials."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError

from portal import settings
from portal.bidi import isolated
from portal.database.errors import ClusterUnavailable
from portal.documents.idempotency import IdempotencyRecord
from portal.errors import PortalError
from portal.identity.sessions.reauthentication import reauthenticated
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access, access_to
from portal.organizations.credentials import hosts, managing, travelling
from portal.organizations.credentials.connecting import render_ways_in
from portal.organizations.credentials.errors import CredentialNotFound, NotTravelling
from portal.organizations.credentials.forms import EndOverlapForm, NewCredentialForm, RotateForm
from portal.organizations.credentials.managing import (
    IN_WORDS,
    MADE,
    MAX_CREDENTIALS,
    ROTATED,
    NewConnectionString,
)
from portal.web import error_handlers, requests
from portal.web.errors import DuplicateRequest
from portal.web.forms import IdempotentForm
from portal.web.idempotency import find_record
from portal.web.requests import request_context

blueprint = Blueprint("credentials", __name__, url_prefix="/organizations/<slug>/credentials")


_PENDING = "It is revoked here. MongoDB did not answer: it is tried again until it has."


@dataclass(frozen=True, slots=True)
class _Done:
    """A change that is done here, and perhaps not yet ``in_mongodb``."""

    in_mongodb: bool


@blueprint.get("")
@with_access("credentials.manage")
def show_all(access: Access) -> ResponseReturnValue:
    missing, away = _hindrances(access)
    return _page(
        "list",
        access,
        credentials=managing.credentials_of(access.organization),
        most=MAX_CREDENTIALS,
        missing=missing,
        away=away,
        journey=travelling.journey_of(access.organization),
    )


@blueprint.route("/new", methods=["GET", "POST"])
@with_access("credentials.manage")
@reauthenticated
def make(access: Access) -> ResponseReturnValue:
    form = NewCredentialForm()
    made = form.submit(
        lambda: managing.create_credential(
            access, form.name.data, form.reach.data, request_context()
        )
    )
    return _show_secret(access, made) if made else _page("make", access, form)


@blueprint.route("/<credential_id>/rotate", methods=["GET", "POST"])
@with_access("credentials.manage")
@reauthenticated
def rotate(access: Access, credential_id: str) -> ResponseReturnValue:
    credential = managing.credential_of(access.organization, credential_id)
    form = RotateForm()
    rotated = form.submit(
        lambda: managing.rotate_credential(access, credential.id, form.chosen, request_context())
    )
    if rotated:
        return _show_secret(access, rotated)
    return _page("rotate", access, form, credential=credential)


@blueprint.route("/<credential_id>/end", methods=["GET", "POST"])
@with_access("credentials.manage")
@reauthenticated
def end_overlap(access: Access, credential_id: str) -> ResponseReturnValue:
    credential = managing.credential_of(access.organization, credential_id)
    form = EndOverlapForm()
    ended = form.submit(
        lambda: _Done(
            managing.end_overlap(
                access,
                credential.id,
                request_context(),
                although_in_use=form.although_in_use.data,
            )
        )
    )
    if ended:
        words = f"The old user of “{isolated(credential.name)}” is dropped."
        return _back(access, words if ended.in_mongodb else _PENDING)
    return _page("end", access, form, credential=credential)


@blueprint.route("/<credential_id>/move", methods=["GET", "POST"])
@with_access("credentials.manage")
@reauthenticated
def prepare(access: Access, credential_id: str) -> ResponseReturnValue:
    credential = managing.credential_of(access.organization, credential_id)
    journey = travelling.journey_of(access.organization)
    if journey is None:
        raise NotTravelling
    form = IdempotentForm()
    prepared = form.submit(
        lambda: travelling.prepare_credential(access, credential.id, request_context())
    )
    if prepared:
        return _page("arriving", access, credential=credential, new=prepared, journey=journey)
    return _page("prepare", access, form, credential=credential, journey=journey)


@blueprint.route("/<credential_id>/revoke", methods=["GET", "POST"])
@with_access("credentials.manage")
def revoke(access: Access, credential_id: str) -> ResponseReturnValue:
    credential = managing.credential_of(access.organization, credential_id)
    form = IdempotentForm()
    revoked = form.submit(
        lambda: _Done(managing.revoke_credential(access, credential.id, request_context())[1])
    )
    if revoked:
        words = f"“{isolated(credential.name)}” is revoked. MongoDB refuses its connections."
        return _back(access, words if revoked.in_mongodb else _PENDING)
    return _page("revoke", access, form, credential=credential)


def _back(access: Access, words: str) -> ResponseReturnValue:
    flash(words, "ok")
    return redirect(url_for(".show_all", slug=access.organization.slug), 303)


def _show_secret(access: Access, new: NewConnectionString) -> ResponseReturnValue:
    """The only response with the connection string: no redirect, since it isn't stored."""
    credential = managing.credential_of(access.organization, new.credential)
    works = f"The MongoDB user “{isolated(credential.name)}” works."
    flash(f"{works} Its connection string is below, this once.", "ok")
    return render_ways_in(access, credential, new=new, **_told(access))


@blueprint.errorhandler(DuplicateRequest)
@blueprint.errorhandler(CredentialNotFound)
def _answer_refusal(error: DuplicateRequest | CredentialNotFound) -> ResponseReturnValue:
    """Answer a form that was submitted twice by what its first submission did."""
    try:
        record = find_record(requests.idempotency_key())
        return _replay(record) if record else error_handlers.answer_portal_error(error)
    except PortalError as refused:
        return error_handlers.answer_portal_error(refused)
    except (PyMongoError, MongoEngineException) as unavailable:
        return error_handlers.answer_database_error(unavailable)


def _replay(record: IdempotencyRecord) -> ResponseReturnValue:
    """The result of the first submission, without the connection string."""
    access = access_to((request.view_args or {})["slug"], current_user)
    if record.kind not in (MADE, ROTATED):  # a string for a move can be made again
        return redirect(url_for(".show_all", slug=access.organization.slug), 303)
    credential = managing.credential_of(access.organization, record.operation)
    return render_ways_in(access, credential, new=None, **_told(access))


def _hindrances(access: Access) -> tuple[list[str], str | None]:
    """The rights that the portal lacks to make users, and words on a cluster that is away: users
    can be revoked all the same."""
    if not managing.may_have_credentials(access.organization):
        return [], None
    try:
        return managing.missing_rights(access.organization), None
    except ClusterUnavailable as error:
        return [], error.words


def _page(
    name: str, access: Access, form: IdempotentForm | None = None, **values: object
) -> ResponseReturnValue:
    return render_page(f"credentials/{name}.html", access, form, **_told(access), **values)


def _told(access: Access) -> dict[str, Any]:
    """The values of pages about all of an organization's users."""
    placement = access.organization.placement
    return {
        "in_words": IN_WORDS,
        "hosts": hosts.tried(placement.cluster),
        "hosts_are_set": bool(hosts.chosen_uri(placement.cluster)),
        "database": placement.database or settings.current().tenant_db,
        "shared": not managing.may_have_credentials(access.organization),
    }
