"""Pages of how an organization's documents are: their shape, indexes and rules."""

from typing import Any

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from portal.bidi import isolated
from portal.data.access import document_access
from portal.data.document_ids import parse_document_id
from portal.data.errors import (
    IndexNotFound,
    InvalidExtendedJson,
    InvalidIndex,
    InvalidQuery,
    InvalidRules,
    RulesBroken,
)
from portal.data.indexes import builds as index_builds
from portal.data.indexes import conflicts as index_conflicts
from portal.data.indexes import listing as indexes
from portal.data.indexes.conflicts import Conflicts, Expiring
from portal.data.indexes.listing import ID_INDEX, MOST_INDEXES, ListedIndex
from portal.data.indexes.suggesting import suggestions_for
from portal.data.rules import rules
from portal.data.rules.former import find_former, former_rules, refusals_of
from portal.data.rules.proposing import propose_rules
from portal.data.rules.schemas import lines_of, parse_schema
from portal.data.shape.sampling import shape_of
from portal.data.shape.words import value_in_words
from portal.data.structure.errors import InTheWay, NotBuilt
from portal.data.structure.forms import (
    IndexForm,
    NewIndexForm,
    RulesForm,
    TriedRulesForm,
    args_of,
)
from portal.documents.organizations import Strategy
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access
from portal.organizations.storage import stored_by
from portal.tenants.collections import Figures
from portal.web.forms import see_other
from portal.web.requests import request_context

blueprint = Blueprint("structure", __name__, url_prefix="/organizations/<slug>/data")


@blueprint.get("/shape")
@with_access("documents.read")
def show_shape(access: Access) -> ResponseReturnValue:
    shape = shape_of(document_access(access, request_context()))
    return render_page("structure/shape.html", access, shape=shape)


@blueprint.get("/indexes")
@with_access("indexes.manage")
def show_indexes(access: Access) -> ResponseReturnValue:
    given = {name: value for name, value in request.args.items() if name in NewIndexForm()}
    return _indexes_page(access, NewIndexForm(data=given))


@blueprint.post("/indexes/new")
@with_access("indexes.manage")
def create_index(access: Access) -> ResponseReturnValue:
    form, found = NewIndexForm(), _Found()
    if form.more.data:
        return _indexes_page(access, form)
    made = form.submit(lambda: _check_and_build(access, form, found))
    if made is None:
        return _indexes_page(access, form, found)
    words = {
        indexes.READY: "The index %s is ready.",
        indexes.BUILDING: "The index %s is being built.",
        indexes.FAILED: "The index %s was not built.",
    }[made.state]
    return see_other(".show_indexes", words % isolated(made.name), slug=access.organization.slug)


@blueprint.route("/indexes/<path:index_name>/drop", methods=["GET", "POST"])
@with_access("indexes.manage")
def drop_index(access: Access, index_name: str) -> ResponseReturnValue:
    form = IndexForm()

    def drop() -> _Done:
        index_builds.drop_index(access, index_name, request_context())
        return _Done()

    if form.submit(drop):
        return see_other(
            ".show_indexes", f"{isolated(index_name)} is gone.", slug=access.organization.slug
        )
    found = _listed(access)
    index = next((index for index in found if index.name == index_name), None)
    if index is None or index_name == ID_INDEX:
        raise IndexNotFound
    return render_page("structure/drop_index.html", access, form, index=index)


@blueprint.post("/indexes/<path:index_name>/hide", defaults={"hidden": True})
@blueprint.post("/indexes/<path:index_name>/unhide", defaults={"hidden": False})
@with_access("indexes.manage")
def hide_index(access: Access, index_name: str, hidden: bool) -> ResponseReturnValue:
    form = IndexForm()
    form.submit(lambda: indexes.hide_index(access, index_name, request_context(), hidden=hidden))
    words = "hidden: no query uses it" if hidden else "used again"
    return see_other(
        ".show_indexes", f"{isolated(index_name)} is {words}.", slug=access.organization.slug
    )


@blueprint.route("/rules", methods=["GET", "POST"])
@with_access("indexes.manage")
def show_rules(access: Access) -> ResponseReturnValue:
    """The rules in force, and those that are proposed, edited or tried."""
    if access.organization.placement.strategy == Strategy.SHARED:
        return render_page("structure/rules.html", access, shared=True)
    page = _RulesPage(access)
    if TriedRulesForm().is_submitted():
        text = request.form.get("schema", "")
        return page.edited(text) if request.form.get("edit") else page.tried(text)
    if request.args.get("proposed") is not None:
        return page.proposed()
    if request.args.get("edit") is not None:
        return page.edited("")
    if former := request.args.get("former"):
        return page.former(former)
    return page.in_force_now()


@blueprint.post("/rules/force")
@with_access("indexes.manage")
def put_into_force(access: Access) -> ResponseReturnValue:
    form = RulesForm()
    text = form.schema.data or ""

    def put() -> _Done:
        rules.set_rules(
            access,
            parse_schema(text),
            request_context(),
            level=form.level.data,
            action=form.action.data,
            known=form.known,
        )
        return _Done()

    try:
        if form.submit(put):
            return see_other(
                ".show_rules", "The rules are in force.", slug=access.organization.slug
            )
    except RulesBroken:
        return _RulesPage(access).tried(text, form, grown=True)
    return _RulesPage(access).tried(text, form)


@blueprint.post("/rules/end")
@with_access("indexes.manage")
def end_rules(access: Access) -> ResponseReturnValue:
    form = IndexForm()
    form.submit(lambda: rules.set_rules(access, None, request_context()))
    return see_other(
        ".show_rules", "No rules are in force any more.", slug=access.organization.slug
    )


class _Found:
    """The findings of the check of an index."""

    conflicts: Conflicts | None = None
    expiring: Expiring | None = None


class _Done:
    """A change that is made."""


def _check_and_build(access: Access, form: NewIndexForm, found: _Found) -> ListedIndex:
    """Build the index, unless documents stand in its way or would be deleted unasked."""
    context, spec = request_context(), form.spec()
    seen = document_access(access, context)
    try:
        indexes.check_spec(seen, spec)
        found.conflicts = index_conflicts.conflicts_of(seen, spec)
        if found.conflicts and found.conflicts.documents:
            raise InTheWay(f"{found.conflicts.documents:,}")
        found.expiring = index_conflicts.expiring_by(seen, spec)
        if not form.deletes.data:
            index_conflicts.check_expiring(spec, found.expiring)
        return index_builds.create_index(access, spec, context)
    except InvalidIndex as error:
        raise NotBuilt(error.reason) from error
    except InvalidQuery as error:
        raise NotBuilt(error.reason, "filter") from error


def _listed(access: Access, figures: Figures | None = None) -> list[ListedIndex]:
    found = index_builds.list_indexes(access.organization)
    return indexes.with_figures(access.organization, found, figures)


def _indexes_page(
    access: Access, form: NewIndexForm, found: _Found | None = None
) -> ResponseReturnValue:
    figures = stored_by(access.organization).figures
    listed = _listed(access, figures)
    return render_page(
        "structure/indexes.html",
        access,
        form,
        indexes=listed,
        figures=figures,
        most=MOST_INDEXES,
        last=index_builds.last_build(access.organization),
        found=found or _Found(),
        hiding=IndexForm(),
        shared=access.organization.placement.strategy == Strategy.SHARED,
        suggestions=suggestions_for(access.organization, listed),
        args_of=args_of,
        shown_id=shown_id,
    )


class _RulesPage:
    """The page of rules, with those in force beside what is proposed, edited or tried."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.seen = document_access(access, request_context())
        self.in_force = rules.visible_rules(self.seen)

    def in_force_now(self) -> ResponseReturnValue:
        """The page of the rules in force."""
        if self.in_force.schema is None:
            return self._render()
        return self._with(self.in_force.schema, "In force", None)

    def proposed(self) -> ResponseReturnValue:
        """The page of rules that are proposed, tried."""
        found = propose_rules(self.seen)
        title = f"Proposed from the shape: {found.named} of {found.fields} fields"
        return self._with(found.schema, title, rules.try_rules(self.seen, found.schema))

    def former(self, former_id: str) -> ResponseReturnValue:
        """The page of rules that were in force before, tried. Raises RulesNotFound."""
        found = find_former(self.seen, self.in_force, former_id).rules
        schema = found.schema or {}
        try:
            trial = rules.try_rules(self.seen, schema)
        except InvalidRules as error:  # a program had set what can't be tried here
            return self.edited("\n".join(line.text for line in lines_of(schema)), error.words)
        return self._with(schema, "Former rules", trial, of=found)

    def edited(self, text: str, fault: str = "") -> ResponseReturnValue:
        """The page where rules are edited as text."""
        schema = self.in_force.schema or {"bsonType": "object"}
        text = text or "\n".join(line.text for line in lines_of(schema))
        page, _ = self._render(text=text, fault=fault, edited=True)
        return page, 422 if fault else 200

    def tried(
        self, text: str, form: RulesForm | None = None, *, grown: bool = False
    ) -> ResponseReturnValue:
        """The page of edited rules, tried; or the editor where they can't be. With what was chosen
        in the ``form`` that did not put them into force."""
        try:
            schema = parse_schema(text)
            trial = rules.try_rules(self.seen, schema)
        except InvalidExtendedJson as error:
            place, reason = next(iter(error.fields.items()))
            return self.edited(text, f"Correct the JSON at {place}: {reason}")
        except InvalidRules as error:
            return self.edited(text, error.words)
        page, status = self._with(schema, "Tried", trial, form, grown=grown)
        return page, 409 if grown else status

    def _with(
        self,
        schema: dict[str, Any],
        title: str,
        trial: rules.Trial | None,
        chosen: RulesForm | None = None,
        *,
        of: rules.Rules | None = None,
        **values: object,
    ) -> tuple[str, int]:
        lines = lines_of(schema)
        text = "\n".join(line.text for line in lines)
        of = of or self.in_force
        level = of.level if of.schema else rules.MODERATE
        given = {"schema": text, "level": level, "action": of.action}
        if trial:
            given |= {"breaking": str(trial.known.breaking), "sampled": str(trial.known.of or "")}
        if chosen:
            given |= {"level": chosen.level.data, "action": chosen.action.data}
        form = RulesForm(formdata=None, data=given)
        page, status = self._render(
            rules_form=form,
            title=title,
            lines=lines,
            text=text,
            trial=trial,
            unchanged=schema == self.in_force.schema,
            **values,
        )
        return page, chosen.status if chosen else status

    def _render(self, **values: object) -> tuple[str, int]:
        page = render_template(
            "structure/rules.html",
            access=self.access,
            organization=self.access.organization,
            in_force=self.in_force,
            former=former_rules(self.seen, self.in_force),
            refusals=refusals_of(self.access.organization, self.in_force),
            typed=TriedRulesForm(),
            ending=IndexForm(),
            shown_id=shown_id,
            **values,
        )
        return page, 200


def shown_id(address: str) -> str:
    """The id of a document in a few characters."""
    encoded = parse_document_id(address)
    return value_in_words(encoded[4], encoded, 6, len(encoded) - 1)
