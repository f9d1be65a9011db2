"""Pages of an organization's sensitive fields."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from portal import clock
from portal.bidi import isolated
from portal.data.errors import QueryTooSlow
from portal.data.shown import Reader
from portal.data.structure import masking
from portal.data.structure.mask_forms import PathForm
from portal.data.structure.mask_preview import preview_of
from portal.organizations.access import replay
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access
from portal.web.forms import see_other
from portal.web.requests import request_context
from portal.web.template_filters import page_zone

blueprint = Blueprint("masks", __name__, url_prefix="/organizations/<slug>/data/masks")
replay.install(blueprint, "masks.show")


@blueprint.get("")
@with_access("documents.mask")
def show(access: Access) -> ResponseReturnValue:
    reader = Reader(clock.zone_of(page_zone()))
    found: list[masking.Suggestion] | None = None
    preview, read = None, 0
    try:
        preview = preview_of(access.organization, request_context(), reader)
        found, read = masking.suggestions(access.organization)
    except QueryTooSlow:
        pass  # the page says so
    return render_page(
        "structure/masks.html",
        access,
        PathForm(),
        fields=masking.sensitive_fields(access.organization),
        readers=masking.readers_of(access.organization),
        suggestions=found,
        read=read,
        preview=preview,
    )


@blueprint.route("/new", methods=["GET", "POST"])
@with_access("documents.mask")
def mask(access: Access) -> ResponseReturnValue:
    form = PathForm(path=request.args.get("path", ""))
    masked = form.submit(lambda: masking.mask_field(access, form.path.data, request_context()))
    if masked:
        return _back(access, f"“{isolated(form.path.data)}” is hidden from viewers from now on.")
    return render_page("structure/mask.html", access, form)


@blueprint.route("/remove", methods=["GET", "POST"])
@with_access("documents.mask")
def unmask(access: Access) -> ResponseReturnValue:
    form = PathForm(path=request.args.get("path", ""))
    unmasked = form.submit(lambda: masking.unmask_field(access, form.path.data, request_context()))
    if unmasked:
        return _back(access, f"“{isolated(form.path.data)}” is shown to all who read documents.")
    readers = masking.readers_of(access.organization)
    return render_page("structure/unmask.html", access, form, readers=readers)


@blueprint.post("/pass-over")
@with_access("documents.mask")
def pass_over(access: Access) -> ResponseReturnValue:
    form = PathForm()
    passed = form.submit(lambda: masking.pass_over(access, form.path.data, request_context()))
    if passed:
        return _back(access, f"“{isolated(form.path.data)}” is suggested no longer.")
    return render_page("structure/mask.html", access, form)


def _back(access: Access, words: str) -> ResponseReturnValue:
    return see_other(".show", words, slug=access.organization.slug)
