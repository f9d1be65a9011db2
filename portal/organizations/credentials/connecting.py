"""The page of an organization on which applications find their ways in, with its MongoDB users."""

from dataclasses import dataclass
from typing import Any

from flask.typing import ResponseReturnValue

from portal import settings
from portal.database.errors import ClusterUnavailable
from portal.database.together import Part, Read, joined, read
from portal.documents.applications import Application
from portal.organizations.access.guards import render_page
from portal.organizations.access.lookup import Access
from portal.organizations.api_keys import managing as api_keys
from portal.organizations.credentials import hosts, managing, travelling
from portal.organizations.credentials.managing import (
    IN_WORDS,
    MAX_CREDENTIALS,
    ListedCredential,
    NewConnectionString,
)
from portal.organizations.credentials.travelling import Journey
from portal.web.requests import choice_argument


@dataclass(frozen=True, slots=True)
class Fresh:
    """A MongoDB user of a moment ago, and its connection string, which is told once: ``None`` where
    that was before. It works from the switch of a move on where it is ``for_journey``."""

    credential: ListedCredential
    new: NewConnectionString | None
    for_journey: Journey | None = None


def render_ways_in(access: Access, fresh: Fresh | None = None) -> ResponseReturnValue:
    """Render the page; with what is told of a ``fresh`` MongoDB user in its place."""
    values: dict[str, Any] = {}
    parts: dict[str, Part[Any]] = {"registered": _any_application()}
    if access.can("keys.manage"):
        parts["keys"] = api_keys.listing({"organization": access.organization.id})
    if access.can("credentials.manage"):
        parts["credentials"] = managing.listing(access.organization)
        values = values_of(access)
        values["missing"], values["away"] = _hindrances(access)
        values["journey"] = travelling.journey_of(access.organization)
    found = dict(zip(parts, read(joined(*parts.values())), strict=True))
    return render_page(
        "organizations/connect.html",
        access,
        None,
        python=choice_argument("python", ("sync", "async")),
        curl=choice_argument("curl", ("list", "insert", "stream")),
        public_url=settings.current().public_url,
        fresh=fresh,
        most=MAX_CREDENTIALS,
        **values,
        **found,
    )


def values_of(access: Access) -> dict[str, Any]:
    """The values of pages about an organization's MongoDB users."""
    placement = access.organization.placement
    return {
        "in_words": IN_WORDS,
        "hosts": hosts.tried(placement.cluster),
        "hosts_setting": hosts.setting_of(placement.cluster),
        "hosts_are_set": bool(hosts.chosen_uri(placement.cluster)),
        "database": placement.database or settings.current().tenant_db,
    }


def _hindrances(access: Access) -> tuple[list[str], str | None]:
    """The rights that the portal lacks to make users, and words on a cluster that is away: users
    can be revoked all the same."""
    if not managing.may_have_credentials(access.organization):
        return [], None
    try:
        return managing.missing_rights(access.organization), None
    except ClusterUnavailable as error:
        return [], error.words


def _any_application() -> Part[bool]:
    """Tell whether an application is registered on the portal."""
    [rows] = yield [Read(Application, [{"$limit": 1}, {"$project": {"_id": 1}}])]
    return bool(rows)
