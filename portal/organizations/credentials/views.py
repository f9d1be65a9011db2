"""Pages of an organization's credentials."""

from dataclasses import dataclass

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.bidi import isolated
from portal.documents.idempotency import IdempotencyRecord
from portal.identity.sessions.reauthentication import reauthenticated
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access, access_to
from portal.organizations.credentials import managing, travelling
from portal.organizations.credentials.connecting import Fresh, render_ways_in, values_of
from portal.organizations.credentials.errors import CredentialNotFound, NotTravelling
from portal.organizations.credentials.forms import EndOverlapForm, NewCredentialForm, RotateForm
from portal.organizations.credentials.managing import MADE, ROTATED, NewConnectionString
from portal.organizations.credentials.travelling import Journey
from portal.web import replay
from portal.web.errors import DuplicateRequest
from portal.web.forms import IdempotentForm
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
    """The way from links to the list that was here."""
    slug = access.organization.slug
    return redirect(url_for("organizations.connect", slug=slug, _anchor="mongodb-user"))


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
        return _show_secret(access, prepared, journey)
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
    return _lead_to_list(access)


def _show_secret(
    access: Access, new: NewConnectionString, journey: Journey | None = None
) -> ResponseReturnValue:
    """The only response with the connection string: no redirect, since it isn't stored."""
    credential = managing.credential_of(access.organization, new.credential)
    works = f"at {journey.target.cluster} can sign in" if journey else "works"
    told = f"The MongoDB user “{isolated(credential.name)}” {works}."
    flash(f"{told} Its connection string is below, this once.", "ok")
    return render_ways_in(access, Fresh(credential, new, journey))


def _replay(record: IdempotencyRecord) -> ResponseReturnValue:
    """The result of the first submission, without the connection string."""
    access = access_to((request.view_args or {})["slug"], current_user)
    if record.kind not in (MADE, ROTATED):  # a string for a move can be made again
        return _lead_to_list(access)
    credential = managing.credential_of(access.organization, record.operation)
    return render_ways_in(access, Fresh(credential, None))


def _page(
    name: str, access: Access, form: IdempotentForm | None = None, **values: object
) -> ResponseReturnValue:
    return render_page(f"credentials/{name}.html", access, form, **values_of(access), **values)


def _lead_to_list(access: Access) -> ResponseReturnValue:
    """The way to the top of the page, where it is said what was done."""
    return redirect(url_for("organizations.connect", slug=access.organization.slug), 303)


replay.install_for(blueprint, (DuplicateRequest, CredentialNotFound), _replay)
