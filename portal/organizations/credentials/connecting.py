"""The page of an organization on which applications find their ways in."""

from flask.typing import ResponseReturnValue

from portal import settings
from portal.organizations.access.guards import render_page
from portal.organizations.access.lookup import Access
from portal.organizations.credentials.managing import ListedCredential
from portal.web.requests import choice_argument


def render_ways_in(
    access: Access, credential: ListedCredential | None = None, **values: object
) -> ResponseReturnValue:
    """Render the page; with a ``credential`` of a moment ago what is told about it once."""
    return render_page(
        "organizations/connect.html",
        access,
        None,
        python=choice_argument("python", ("sync", "async")),
        curl=choice_argument("curl", ("list", "insert", "stream")),
        public_url=settings.current().public_url,
        credential=credential,
        **values,
    )
