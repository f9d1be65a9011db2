"""The time that a script takes which nothing is left to do for."""

import tempfile
from pathlib import Path
from typing import Any

from bson import ObjectId

from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import interleaved_medians, timed
from portal import clock
from portal.documents.jobs import ItemState, JobItem
from portal.documents.organizations import Organization, OrganizationState
from portal.tenant_scripts import applying
from portal.tenant_scripts.loading import load_script
from portal.tenant_scripts.selecting import Selection
from portal.tenant_scripts.standing import Standing
from portal.web.context import OPERATOR, RequestContext

# Goal: a deployment doesn't wait for a script that everybody has.
_MOST_SECONDS = 2
_SCRIPT = "def apply(tenant):\n    tenant.create_index('status')\n"


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """``flask tenants apply`` without its start, with every organization done."""
    number = scale.documents // 10
    ids = [ObjectId() for _ in range(number)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index_status.py"
        path.write_text(_SCRIPT)
        script = load_script(path)
    organizations, items = Organization._get_collection(), JobItem._get_collection()
    organizations.insert_many(_organization(one) for one in ids)
    # Those of other parts, which stand beside these, are done too.
    everyone = organizations.distinct("_id", {"state": OrganizationState.ACTIVE})
    items.insert_many(_done(one, script.name) for one in everyone)
    try:

        def nothing_to_do(n: int) -> None:
            standing = applying.start_or_join(script, Selection(), RequestContext(OPERATOR))
            assert isinstance(standing, Standing)
            assert standing.done >= number

        [seconds] = interleaved_medians(scale.repeats, timed(nothing_to_do))
    finally:
        organizations.delete_many({"_id": {"$in": ids}})
        items.delete_many({"subject": script.name})
    words = f"nothing to do for {number:,} organizations"
    return [Figure.in_ms(words, seconds, _MOST_SECONDS, f"{_MOST_SECONDS} s", 1)]


def _organization(organization_id: ObjectId) -> dict[str, Any]:
    slug = f"seeded-{organization_id}"
    return {
        "_id": organization_id,
        "name": slug,
        "slug": slug,
        "state": OrganizationState.ACTIVE,
        "placement": {"strategy": "collection", "collection": f"org_{slug}"},
        "version": 1,
        "created_at": clock.now(),
        "created_by": organization_id,
    }


def _done(organization_id: ObjectId, script: str) -> dict[str, Any]:
    return {
        "kind": applying.KIND.name,
        "subject": script,
        "organization": organization_id,
        "state": ItemState.DONE,
        "attempt": 1,
        "strategy": "collection",
    }
