"""Views of documents, kept under a name: a person's own, or everybody's of an organization."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qsl, urlencode

from bson import ObjectId
from mongoengine.errors import NotUniqueError
from werkzeug.datastructures import MultiDict

from portal import clock
from portal.audit.trail import record
from portal.bidi import isolated
from portal.data.access import DocumentAccess
from portal.data.browsing.errors import (
    InvalidViewName,
    InvalidViewQuery,
    TooManyViews,
    ViewChanged,
    ViewNameTaken,
    ViewNotFound,
)
from portal.data.errors import InvalidExtendedJson, InvalidQuery
from portal.data.handles import documents_of
from portal.data.reading import text_paths
from portal.data.selections import Selection, selection_from
from portal.data.uuid_readings import texts_of
from portal.database.transactions import transactional
from portal.display_names import InvalidName, clean_words
from portal.documents.document_views import DocumentView
from portal.documents.organizations import Organization
from portal.errors import Refused
from portal.organizations.access.lookup import Access, begin_change
from portal.web import rate_limits
from portal.web.context import RequestContext

MOST_SHARED, MOST_OWN = 200, 50
SAVED, CHANGED, DELETED = "view_saved", "view_changed", "view_deleted"
_LONGEST_QUERY = 6000

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ListedView:
    """A view: its ``query`` are the parameters of a URL, encoded, and whether everybody has it."""

    id: ObjectId
    name: str
    query: str
    shared: bool
    version: int

    @property
    def args(self) -> MultiDict[str, str]:
        """The parameters, as a URL has them."""
        return MultiDict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def selection(self) -> Selection | None:
        """The documents that it shows; ``None`` where another version of the portal kept what this
        one refuses."""
        try:
            selection = selection_from(self.args, building=True)
            _ = selection.filter
        except (InvalidQuery, InvalidExtendedJson):
            return None
        return selection


def query_of(
    selection: Selection,
    *,
    form: str = "",
    uuids: Mapping[str, str] | None = None,
    wide: Iterable[str] = (),
) -> str:
    """The parameters that a view keeps of a selection and of how it is shown."""
    own = [("as", form)] if form else []
    readings = [("uuid", text) for text in texts_of(uuids or {})]
    columns = [("wide", path) for path in wide]
    return urlencode([*selection.query_args(), *own, *readings, *columns])


def views_of(seen: DocumentAccess) -> list[ListedView]:
    """Everybody's views and the person's own, by their names; not those by a field that is masked
    for them."""
    account = seen.context.account
    whose = [None, account] if account else [None]
    found = DocumentView.objects(organization=seen.organization.id, account__in=whose).order_by(
        "name_key"
    )
    return [view for each in found if _may_see(seen, view := _listed(each))]


def find_view(seen: DocumentAccess, view_id: str) -> ListedView:
    """A view that the person may see. Raises ViewNotFound."""
    found = next((each for each in views_of(seen) if str(each.id) == view_id), None)
    if found is None:
        raise ViewNotFound
    return found


def save_view(
    access: Access, name: str, query: str, context: RequestContext, *, shared: bool
) -> ListedView:
    """Keep a view, for everybody (``documents.write``) or for the person. Recorded in the audit
    trail without its name.

    Raises InvalidViewName, InvalidViewQuery, ViewNameTaken, TooManyViews, TooManyAttempts,
    Forbidden, NotFound, DuplicateRequest.
    """
    name, account, query = _clean(name), _owner(access, context, shared=shared), _checked(query)
    rate_limits.count_attempt(rate_limits.MEMBER_CHANGES, str(access.organization.id))
    view = DocumentView(
        id=ObjectId(),
        organization=access.organization.id,
        account=account,
        name=name,
        name_key=name.casefold(),
        query=query,
        created_at=clock.now(),
    )

    @transactional
    def insert() -> None:
        organization = _begin(access, context, SAVED, view)
        most = MOST_SHARED if shared else MOST_OWN
        of_owner = DocumentView.objects(organization=organization.id, account=account)
        if of_owner.count() >= most:
            raise TooManyViews(most)
        _record(organization, "view.saved", view, context)
        view.insert()

    _unless_taken(insert, name)
    return _listed(view)


def change_view(
    access: Access,
    view: ListedView,
    name: str,
    query: str,
    context: RequestContext,
    *,
    version: int,
) -> ListedView:
    """Give a view another name and query, if it still is of the ``version`` that was read. Raises
    ViewChanged, ViewNotFound and what ``save_view`` raises."""
    name, query = _clean(name), _checked(query)

    @transactional
    def update() -> DocumentView:
        stored = _stored(access, view, context)
        organization = _begin(access, context, CHANGED, stored)
        if stored.version != version:
            raise ViewChanged(isolated(stored.name))
        stored.name, stored.name_key, stored.query = name, name.casefold(), query
        stored.version += 1
        stored.save()
        _record(organization, "view.changed", stored, context)
        return stored

    return _listed(_unless_taken(update, name))


def delete_view(access: Access, view: ListedView, context: RequestContext) -> None:
    """Delete a view. Raises ViewNotFound, Forbidden, NotFound, DuplicateRequest."""

    @transactional
    def delete() -> None:
        stored = _stored(access, view, context)
        organization = _begin(access, context, DELETED, stored)
        _record(organization, "view.deleted", stored, context)
        stored.delete()

    delete()


def _clean(name: str) -> str:
    try:
        return clean_words(name)
    except InvalidName as error:
        raise InvalidViewName(error.reason) from error


def _owner(access: Access, context: RequestContext, *, shared: bool) -> ObjectId | None:
    if shared or context.account is None:
        access.require("documents.write")
        return None
    return context.account


def _checked(query: str) -> str:
    """The parameters as a URL has them. Raises InvalidViewQuery, InvalidQuery, InvalidExtendedJson,
    UnappliedFilter."""
    if len(query) > _LONGEST_QUERY or len(written := _in_url(query)) > _LONGEST_QUERY:
        raise InvalidViewQuery
    _ = selection_from(MultiDict(parse_qsl(written))).filter
    return written


def _in_url(query: str) -> str:
    """The parameters encoded, whoever wrote them: as they are, a line break is none of a URL, and
    ``#`` its end."""
    return urlencode(parse_qsl(query, keep_blank_values=True))


def _begin(access: Access, context: RequestContext, kind: str, view: DocumentView) -> Organization:
    permission = "documents.read" if view.account else "documents.write"
    return begin_change(access, context, kind, view.id, permission=permission)


def _stored(access: Access, view: ListedView, context: RequestContext) -> DocumentView:
    account = None if view.shared else context.account
    stored = DocumentView.objects(
        id=view.id, organization=access.organization.id, account=account
    ).first()
    if stored is None:
        raise ViewNotFound
    return stored


def _record(
    organization: Organization, action: str, view: DocumentView, context: RequestContext
) -> None:
    whose = "their own" if view.account else "everybody’s"
    record(organization, action, context.origin, view=str(view.id), whose=whose)


def _unless_taken(write: Callable[[], Result], name: str) -> Result:
    try:
        return write()
    except NotUniqueError as error:
        raise ViewNameTaken(isolated(name)) from error


def _may_see(seen: DocumentAccess, view: ListedView) -> bool:
    """Tell whether nothing that the person may not see is in the view, whose URL has its values."""
    selection = view.selection
    if selection is None:
        return not seen.mask.paths
    try:
        handle = documents_of(seen.organization)
        seen.mask.check_filter(selection.filter, lambda: text_paths(handle))
        seen.mask.check_sort(selection.sort)
    except Refused:
        return False
    return True


def _listed(view: DocumentView) -> ListedView:
    query = _in_url(view.query)
    return ListedView(view.id, view.name, query, view.account is None, view.version)
