"""Pages of an organization's API keys."""

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import settings
from portal.bidi import isolated
from portal.documents.idempotency import IdempotencyRecord
from portal.identity.api_keys.errors import ApiKeyNotFound
from portal.identity.sessions.reauthentication import reauthenticated
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access, access_to
from portal.organizations.api_keys import managing
from portal.organizations.api_keys.forms import NewKeyForm, RotateForm
from portal.organizations.api_keys.managing import MAX_KEYS, REVOKED, NewSecret
from portal.permissions import in_words
from portal.web import replay
from portal.web.errors import DuplicateRequest
from portal.web.forms import IdempotentForm
from portal.web.requests import request_context

blueprint = Blueprint("keys", __name__, url_prefix="/organizations/<slug>/keys")


@blueprint.get("")
@with_access("keys.manage")
def show_all(access: Access) -> ResponseReturnValue:
    return _page("list", access, keys=managing.keys_of(access.organization), most=MAX_KEYS)


@blueprint.route("/new", methods=["GET", "POST"])
@with_access("keys.manage")
@reauthenticated
def make(access: Access) -> ResponseReturnValue:
    form = NewKeyForm()
    created = form.submit(
        lambda: managing.create_key(
            access, form.name.data, form.role, form.chosen, form.expires_on.data, request_context()
        )
    )
    if created:
        return _show_secret(access, created)
    return _page("make", access, form)


@blueprint.route("/<key_id>/rotate", methods=["GET", "POST"])
@with_access("keys.manage")
@reauthenticated
def rotate(access: Access, key_id: str) -> ResponseReturnValue:
    key = managing.key_of(access.organization, key_id)
    form = RotateForm()
    rotated = form.submit(
        lambda: managing.rotate_key(access, key.id, form.chosen, request_context())
    )
    if rotated:
        return _show_secret(access, rotated)
    return _page("rotate", access, form, key=key)


@blueprint.route("/<key_id>/revoke", methods=["GET", "POST"])
@with_access("keys.manage")
def revoke(access: Access, key_id: str) -> ResponseReturnValue:
    key = managing.key_of(access.organization, key_id)
    form = IdempotentForm()
    revoked = form.submit(lambda: managing.revoke_key(access, key.id, request_context()))
    if revoked:
        flash(
            f"“{isolated(revoked.name)}” is revoked. What comes by it is refused from now on.", "ok"
        )
        return redirect(url_for(".show_all", slug=access.organization.slug), 303)
    return _page("revoke", access, form, key=key)


def _show_secret(access: Access, new: NewSecret) -> ResponseReturnValue:
    """The only response with the secret: no redirect, since the secret isn't stored."""
    key = managing.key_of(access.organization, new.key.id)
    return _page("secret", access, key=key, credential=new.credential)


def _replay(record: IdempotencyRecord) -> ResponseReturnValue:
    """The result of the first submission, without the secret."""
    access = access_to((request.view_args or {})["slug"], current_user)
    if record.kind == REVOKED:
        return redirect(url_for(".show_all", slug=access.organization.slug), 303)
    key = managing.key_of(access.organization, record.operation)
    return _page("secret", access, key=key, credential=None)


def _page(
    name: str, access: Access, form: IdempotentForm | None = None, **values: object
) -> ResponseReturnValue:
    public_url = settings.current().public_url
    return render_page(
        f"api_keys/{name}.html", access, form, in_words=in_words, public_url=public_url, **values
    )


replay.install_for(blueprint, (DuplicateRequest, ApiKeyNotFound), _replay)
