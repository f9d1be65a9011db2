"""The list of all organizations, for programs of operators."""

from typing import Any

import marshmallow as ma
from marshmallow import fields

from portal.api.guard import ApiBlueprint
from portal.api.operators import OF_OPERATORS, by_operator
from portal.api.schemas import Body, Choice, Response, Success
from portal.operators.access import Operator
from portal.operators.listing import feeding
from portal.operators.listing.errors import InvalidFilter
from portal.operators.listing.filters import MOST_COUNTED, OrganizationFilter
from portal.operators.listing.reading import read_page
from portal.operators.listing.searching import LONGEST_SEARCH
from portal.operators.listing.sorting import FIELDS, Order

admin_listing = ApiBlueprint(
    "admin_listing", __name__, url_prefix="/admin", description="All organizations"
)

MOST_ROWS = 200
_ID = {"example": "692588d0a7c4f2b91e03d65a"}
_TIME = {"example": "2026-11-25T09:30:00+00:00"}
_DAY = "a day in UTC"
_SORTS = [*FIELDS, *(f"-{name}" for name in FIELDS)]


class ListingQuery(Body):
    search = fields.String(
        validate=ma.validate.Length(max=LONGEST_SEARCH),
        metadata={
            "description": "words that name, slug, e-mail address or domain of an owner, or an id "
            "elsewhere begin with; or a whole id, slug, collection, or address of any member",
            "example": "ver",
        },
    )
    state = Choice("ListedState", metadata={"description": "without it any but purged"})
    strategy = Choice("Strategy")
    size = Choice("SizeClass")
    used = Choice("UseClass", metadata={"description": "used within that time, or `older`"})
    plan = fields.String(metadata={"example": "team"})
    region = fields.String(metadata={"example": "eu"})
    cluster = fields.String(metadata={"example": "main"})
    created_from = fields.String(
        metadata={"format": "date", "description": _DAY, "example": "2026-11-01"}
    )
    created_to = fields.String(
        metadata={"format": "date", "description": _DAY, "example": "2026-11-25"}
    )
    sort = fields.String(load_default="name", validate=ma.validate.OneOf(_SORTS))
    after = fields.String(metadata={"description": "the `next` of the answer before"})
    limit = fields.Integer(load_default=50, validate=ma.validate.Range(1, MOST_ROWS))


class ListedOrganizationInfo(Response):
    """An organization in the list: name, slug and state of now, all else as last listed."""

    id = fields.String(required=True, metadata=_ID)
    name = fields.String(required=True, metadata={"example": "Acme Corp"})
    slug = fields.String(required=True, metadata={"example": "acme-corp"})
    state = fields.String(required=True, metadata={"example": "active"})
    restricted = fields.String(required=True, allow_none=True, metadata={"example": "read-only"})
    running = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "the operation that runs", "example": "rename"},
    )
    plan = fields.String(required=True, allow_none=True, metadata={"example": "team"})
    region = fields.String(required=True, allow_none=True, metadata={"example": "eu"})
    strategy = fields.String(required=True, metadata={"example": "shared"})
    cluster = fields.String(required=True, metadata={"example": "main"})
    documents = fields.Integer(required=True, allow_none=True, metadata={"example": 2668})
    bytes = fields.Integer(required=True, allow_none=True, metadata={"example": 3100000})
    used_at = fields.AwareDateTime(format="iso", required=True, metadata=_TIME)
    created_at = fields.AwareDateTime(format="iso", required=True, metadata=_TIME)
    external_id = fields.String(required=True, allow_none=True, metadata={"example": "C-1042"})
    owners = fields.List(fields.String(metadata={"example": "mara@acme.example"}), required=True)


class ListingAnswer(Success):
    organizations = fields.List(fields.Nested(ListedOrganizationInfo), required=True)
    next = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "what to send as `after`",
            "example": "692588d0a7c4f2b91e03d65aver",
        },
    )
    first_hits = fields.Boolean(
        required=True,
        metadata={
            "description": "whether only the first hits were looked at",
            "example": False,
        },
    )
    matching = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": f"how many match, counted to {MOST_COUNTED}", "example": 16},
    )
    lag_seconds = fields.Float(
        required=True, metadata={"description": "how far the list is behind", "example": 0.0}
    )


@admin_listing.get("/organizations", refusals=(*OF_OPERATORS, InvalidFilter))
@by_operator("console.view")
@admin_listing.arguments(ListingQuery, location="query")
@admin_listing.response(200, ListingAnswer)
def list_all_organizations(operator: Operator, query: dict[str, Any]) -> dict[str, Any]:
    """List organizations

    All that aren't purged, or those that match every filter, in an order. Send the `next` of one
    answer as `after` of the next call. A search looks at the first hits only.
    """
    wanted = OrganizationFilter.from_args({name: str(value) for name, value in query.items()})
    order = Order.parse(query["sort"]) or Order()
    page = read_page(wanted, order, after=query.get("after"), size=query["limit"])
    return {
        "organizations": page.rows,
        "next": page.after,
        "first_hits": page.first_hits,
        "matching": wanted.count() if len(wanted.open_classes) < 2 else None,
        "lag_seconds": feeding.lag_seconds(),
    }
