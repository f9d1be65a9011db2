"""Pages of organizations."""

from collections.abc import Mapping
from datetime import timedelta

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal import clock, settings
from portal.audit.trail import HIGHEST_SEQ, events_of
from portal.bidi import isolated
from portal.database.together import joined, read
from portal.display_names import LONGEST, visible_part
from portal.documents.organizations import (
    SLUG,
    OperationKind,
    Organization,
    OrganizationState,
)
from portal.identity.accounts.creating import check_sign_up
from portal.identity.authentication import cookies
from portal.identity.authentication.authenticate import read_along
from portal.identity.authentication.passwords import strength
from portal.identity.sessions.reauthentication import reauthenticated
from portal.organizations import adopting, directory, latest, moves, sharing, signing_up
from portal.organizations.access import replay
from portal.organizations.access.guards import render_page, with_access, with_trashed
from portal.organizations.access.lookup import Access, access_to
from portal.organizations.credentials.connecting import render_ways_in
from portal.organizations.directory import TRASH_KEY, Preview, Selection, preview_of
from portal.organizations.forms import (
    AdoptForm,
    ConfirmForm,
    FinishSignUpForm,
    NameForm,
    NewOrganizationForm,
    SignUpForm,
    ViewersForm,
)
from portal.organizations.lifecycle import creating, renaming, trashing
from portal.organizations.lifecycle.errors import NotReplaced
from portal.organizations.lifecycle.names import slug_of
from portal.organizations.moving import requesting
from portal.organizations.places import reading_place
from portal.organizations.storage import CollectionState, figures_of, stored_by
from portal.organizations.usage.limits import limits_of
from portal.organizations.usage.showing import shown_kept
from portal.web import rate_limits
from portal.web.requests import (
    number_argument,
    request_context,
    sort_key_argument,
    user_agent,
)

blueprint = Blueprint("organizations", __name__)
replay.install(blueprint)


@blueprint.route("/signup", methods=["GET", "POST"])
def sign_up() -> ResponseReturnValue:
    if current_user.is_authenticated and request.method == "GET":
        return redirect(url_for(".create"), 303)
    check_sign_up()
    form = SignUpForm()
    if settings.current().signup_requires_verification:
        return _ask_for_sign_up(form)
    signed_up = form.submit(
        lambda: signing_up.sign_up(
            form.organization_name.data,
            form.email.data,
            form.password.data,
            request_context(),
            user_agent(),
            form.typed_slug,
            viewers_read_documents=form.viewers_read_documents.data,
        )
    )
    return _enter(signed_up) if signed_up else _sign_up_page(form)


def _ask_for_sign_up(form: SignUpForm) -> ResponseReturnValue:
    address = form.submit(
        lambda: signing_up.request_sign_up(
            form.organization_name.data,
            form.email.data,
            form.password.data,
            request_context(),
            form.typed_slug,
            viewers_read_documents=form.viewers_read_documents.data,
        )
    )
    if address:
        return render_template("organizations/sign_up_asked.html", email=address.shown), 202
    return _sign_up_page(form)


def _enter(signed_up: creating.SignedUp) -> ResponseReturnValue:
    if signed_up.principal:
        cookies.enter(signed_up.principal)
    return redirect(url_for(".overview", slug=signed_up.organization.slug), 303)


def _sign_up_page(
    form: SignUpForm, template: str = "organizations/sign_up.html"
) -> ResponseReturnValue:
    preview = _preview(form.data)
    mails_link = settings.current().signup_requires_verification
    return render_template(template, form=form, preview=preview, mails_link=mails_link), form.status


@blueprint.route("/signup/finish", methods=["GET", "POST"])
def finish_sign_up() -> ResponseReturnValue:
    # A stale form is shown again as by GET, where ``values`` has no form.
    token = request.form.get("token", request.args.get("token", ""))
    asked = signing_up.find_pending_sign_up(token)
    form = FinishSignUpForm(
        token=token,
        organization_name=asked.name,
        slug=asked.slug or "",
        viewers_read_documents=bool(asked.viewers_read_documents),
    )
    form.email.data = asked.email
    signed_up = form.submit(
        lambda: signing_up.finish_sign_up(
            asked,
            form.organization_name.data,
            form.password.data,
            request_context(),
            user_agent(),
            form.typed_slug,
            viewers_read_documents=form.viewers_read_documents.data,
        )
    )
    if signed_up:
        return _enter(signed_up)
    return _sign_up_page(form, "organizations/finish_sign_up.html")


@blueprint.post("/signup/password")
def password_strength() -> ResponseReturnValue:
    rate_limits.count_attempt_of_network(rate_limits.PREVIEW, request.remote_addr)
    known = (request.form.get("email", ""), request.form.get("organization_name", ""))
    found = strength(request.form.get("password", ""), *known)
    return render_template("organizations/password_strength.html", strength=found)


@blueprint.get("/organizations/preview")
def preview() -> ResponseReturnValue:
    slug = request.args.get("renames", "")
    renamed = None
    if slug and current_user.is_authenticated:
        renamed = access_to(slug, current_user).organization
    shown = _preview(request.args, renamed)
    return render_template("organizations/preview.html", preview=shown, organization=renamed)


@blueprint.get("/organizations")
def list_mine() -> ResponseReturnValue:
    typed = request.args.get("q", "")
    searched = visible_part(typed, " ").strip()[:LONGEST].rstrip()
    before, after = sort_key_argument("before", SLUG), sort_key_argument("after", SLUG)
    selection = Selection(searched, before, after)
    along = read_along(directory.list_along(selection))  # before the session is read
    if not current_user.is_authenticated:
        return current_app.login_manager.unauthorized()  # type: ignore[attr-defined]
    page = directory.organizations_of(current_user.account_id, selection, along.found)
    if not page.rows and (before or after):  # the page has become empty
        return redirect(url_for(".list_mine", q=searched or None), 303)
    return render_template(
        "organizations/list.html", page=page, searched=searched, longest_name=LONGEST
    )


@blueprint.route("/organizations/new", methods=["GET", "POST"])
@login_required
def create() -> ResponseReturnValue:
    form = NewOrganizationForm()
    organization = form.submit(
        lambda: creating.create_organization(
            current_user.account_id,
            form.organization_name.data,
            request_context(),
            form.typed_slug,
            viewers_read_documents=form.viewers_read_documents.data,
        )
    )
    if organization:
        return redirect(url_for(".overview", slug=organization.slug), 303)
    preview = _preview(form.data)
    return render_template("organizations/create.html", form=form, preview=preview), form.status


@blueprint.get("/organizations/<slug>")
@with_access("organization.view", directory.joined_details)
def overview(access: Access) -> ResponseReturnValue:
    running = access.organization.operation
    leaving = running and running.kind in (OperationKind.TRASH, OperationKind.PURGE)
    # Masks are applied by the pages of documents alone.
    sees_all = access.can("documents.unmask") or not access.organization.masked_fields
    # An operator opens a page of documents to see any, which is recorded as that.
    reads = access.can("documents.read") and sees_all and access.role is not None
    stored = stored_by(access.organization, *(latest.PIPELINE if reads else ()))
    return render_page(
        "organizations/overview.html",
        access,
        stored_data=stored,
        latest=latest.as_shown(stored.documents)
        if stored.state == CollectionState.PRESENT and reads and not leaving
        else None,
        details=directory.details_from(access.along),
        database=access.organization.placement.database or settings.current().tenant_db,
    )


@blueprint.get("/organizations/<slug>/placement")
@with_access("organization.view")
def placement(access: Access) -> ResponseReturnValue:
    organization = access.organization
    limits = limits_of(organization, measured=False)
    place, moving, former, offered = read(
        joined(
            reading_place(organization, limits),
            moves.reading_move(organization),
            moves.reading_former_places(organization),
            requesting.reading_offered_regions(organization),
        )
    )
    return render_page(
        "organizations/placement.html",
        access,
        place=place,
        moving=moving,
        residences=moves.residences_of(organization, former),
        offered=offered,
        limits=shown_kept(limits, figures_of(organization)),
    )


@blueprint.get("/organizations/<slug>/settings")
@with_access("organization.view")
def show_settings(access: Access) -> ResponseReturnValue:
    trash_days = settings.current().trash_days
    return render_page(
        "organizations/settings.html", access, trash_days=trash_days, today=clock.now()
    )


@blueprint.route("/organizations/<slug>/viewers", methods=["GET", "POST"])
@with_access("documents.share")
def viewers(access: Access) -> ResponseReturnValue:
    organization, form = access.organization, ViewersForm()
    if not form.is_submitted():
        form.viewers_read_documents.data = bool(organization.viewers_read_documents)
    changed = form.submit(
        lambda: sharing.let_viewers_read(
            access, request_context(), allowed=form.viewers_read_documents.data
        )
    )
    if changed:
        may = "may read" if changed.viewers_read_documents else "may not read"
        flash(f"Viewers {may} the documents of {isolated(changed.name)}.", "ok")
        return redirect(url_for(".show_settings", slug=changed.slug), 303)
    return render_page("organizations/viewers.html", access, form)


@blueprint.route("/organizations/<slug>/rename", methods=["GET", "POST"])
@with_access("organization.rename")
def rename(access: Access) -> ResponseReturnValue:
    organization = access.organization
    form = NameForm()
    if not form.is_submitted():
        form.organization_name.data = organization.name
    renamed = form.submit(
        lambda: renaming.rename_organization(
            organization, form.organization_name.data, request_context(), form.typed_slug
        )
    )
    if renamed:
        if renamed.name != organization.name:
            before, name = isolated(organization.name), isolated(renamed.name)
            flash(f"{before} is now {name}. Old links still work.", "ok")
        elif renamed.slug != organization.slug:
            flash(f"The address is now {renamed.slug}. Old links still work.", "ok")
        return redirect(url_for(".overview", slug=renamed.slug), 303)
    return render_page(
        "organizations/rename.html",
        access,
        form,
        preview=_preview(form.data, organization),
        figures=stored_by(organization).figures,
        old_slug_days=settings.current().old_slug_days,
    )


@blueprint.get("/organizations/<slug>/connect")
@with_access("organization.view")
def connect(access: Access) -> ResponseReturnValue:
    return render_ways_in(access)


@blueprint.route("/organizations/<slug>/delete", methods=["GET", "POST"])
@with_access("organization.delete", directory.joined_details)
@reauthenticated
def delete(access: Access) -> ResponseReturnValue:
    organization = access.organization
    form = ConfirmForm()
    trashed = form.submit(
        lambda: trashing.trash_organization(organization, form.confirm_name.data, request_context())
    )
    if trashed and trashed.state == OrganizationState.TRASHED:
        flash(
            f"{isolated(organization.name)} is in the trash. Nobody but its owners sees it.", "ok"
        )
        return redirect(url_for(".trash"), 303)
    if trashed:  # not finished, as the organization's page shows
        return redirect(url_for(".overview", slug=trashed.slug), 303)
    trash_days = settings.current().trash_days
    return render_page(
        "organizations/delete.html",
        access,
        form,
        figures=stored_by(organization).figures,
        details=directory.details_from(access.along),
        trash_days=trash_days,
        purge_at=clock.now() + timedelta(days=trash_days),
    )


@blueprint.route("/organizations/<slug>/adopt", methods=["GET", "POST"])
@with_access("organization.adopt")
@reauthenticated
def adopt(access: Access) -> ResponseReturnValue:
    organization, form = access.organization, AdoptForm()
    adopted = form.submit(
        lambda: adopting.adopt_replacement(
            access, form.uuid.data, form.confirm_name.data, request_context()
        )
    )
    if adopted:
        flash(f"{isolated(adopted.name)} reads and writes there again.", "ok")
        return redirect(url_for(".overview", slug=adopted.slug), 303)
    replacement = adopting.find_replacement(organization)
    if replacement is None:
        raise NotReplaced(organization.name)
    form.uuid.data = str(replacement.uuid)
    return render_page("organizations/adopt.html", access, form, replacement=replacement)


@blueprint.get("/trash")
@login_required
def trash() -> ResponseReturnValue:
    before, after = sort_key_argument("before", TRASH_KEY), sort_key_argument("after", TRASH_KEY)
    page = directory.trash_of(current_user.account_id, before=before, after=after)
    if not page.rows and (before or after):  # the page has become empty
        return redirect(url_for(".trash"), 303)
    return render_template(
        "organizations/trash.html",
        page=page,
        trash_days=settings.current().trash_days,
        restoring=NameForm(),
    )


@blueprint.get("/trash/<organization_id>")
@with_trashed("organization.restore")
def trashed(access: Access) -> ResponseReturnValue:
    page = events_of(
        access.organization.id,
        before=number_argument("before", HIGHEST_SEQ),
        after=number_argument("after", HIGHEST_SEQ),
    )
    return render_page(
        "organizations/trashed.html",
        access,
        stored_data=stored_by(access.organization),
        trashed_by=trashing.deleter_of(access.organization),
        trash_days=settings.current().trash_days,
        page=page,
    )


@blueprint.route("/trash/<organization_id>/restore", methods=["GET", "POST"])
@with_trashed("organization.restore")
def restore(access: Access) -> ResponseReturnValue:
    organization = access.organization
    form = NameForm()
    restored = form.submit(
        lambda: renaming.restore_organization(
            organization,
            form.organization_name.data or None,
            request_context(),
            form.typed_slug,
        )
    )
    if restored and restored.state == OrganizationState.ACTIVE:
        flash(f"{isolated(restored.name)} is back, with all of its documents and members.", "ok")
        return redirect(url_for(".overview", slug=restored.slug), 303)
    if restored:  # not finished, as its page in the trash shows
        return redirect(url_for(".trashed", organization_id=organization.id), 303)
    if not form.is_submitted() or not form.organization_name.data:
        form.organization_name.data = organization.name
        if not form.slug.data and organization.slug != slug_of(organization.name):
            form.slug.data = organization.slug
    preview = _preview(form.data)
    return render_page("organizations/restore.html", access, form, preview=preview)


@blueprint.route("/trash/<organization_id>/purge", methods=["GET", "POST"])
@with_trashed("organization.purge")
@reauthenticated
def purge(access: Access) -> ResponseReturnValue:
    organization = access.organization
    form = ConfirmForm()
    purged = form.submit(
        lambda: trashing.purge_organization(organization, form.confirm_name.data, request_context())
    )
    if purged:
        if purged.state == OrganizationState.PURGED:
            flash(f"{isolated(organization.name)} and all of its documents are gone.", "ok")
        return redirect(url_for(".trash"), 303)
    stored = stored_by(organization)
    return render_page("organizations/purge.html", access, form, stored_data=stored)


def _preview(typed: Mapping[str, str | None], renamed: Organization | None = None) -> Preview:
    account = current_user.account_id if current_user.is_authenticated else None
    network = rate_limits.network_of(request.remote_addr)
    name, slug = typed.get("organization_name") or "", typed.get("slug") or ""
    return preview_of(name, slug, network, account, renamed)
