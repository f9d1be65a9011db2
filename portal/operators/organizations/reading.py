"""Read models of one organization, of what is kept about it and never of its documents."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.errors import OperationFailure, PyMongoError

from portal.database.clusters import database_of
from portal.database.errors import ClusterUnavailable
from portal.documents.figures import OrganizationFigures
from portal.documents.organizations import Organization, OrganizationState, Strategy
from portal.errors import PortalError, Unavailable
from portal.organizations.directory import details_of
from portal.organizations.storage import Stored, stored_by
from portal.organizations.usage.limits import LimitKind, limits_of
from portal.organizations.usage.showing import ShownLimit, shown_limit


@dataclass(frozen=True, slots=True)
class Figures:
    """The size and use of an organization. ``measured_at`` is set where the figures aren't of this
    moment but of the last measurement; ``unavailable`` says why they couldn't be read now."""

    stored: Stored
    measured: OrganizationFigures | None = None
    measured_at: datetime | None = None
    unavailable: str | None = None

    @property
    def documents(self) -> int | None:
        """The number of documents, if it is known."""
        if self.stored.figures:
            return self.stored.figures.documents
        return self.measured.documents if self.measured else None

    @property
    def grown(self) -> int | None:
        """The documents more than when it was last measured, if both are known."""
        if self.measured is None or self.stored.figures is None:
            return None
        return self.stored.figures.documents - self.measured.documents

    @property
    def size_bytes(self) -> int | None:
        """Their size, if it is known."""
        if self.stored.figures:
            return self.stored.figures.size_bytes
        return self.measured.bytes if self.measured else None


def figures_of(organization: Organization) -> Figures:
    """The organization's figures: as they are now, or else as they were last measured, which is
    always so where many share a collection, since counting there takes long."""
    measured = OrganizationFigures.objects(id=organization.id).first()
    if organization.state == OrganizationState.PURGED:
        return Figures(Stored())
    measured_at = measured.measured_at if measured else None
    if measured and organization.placement.strategy == Strategy.SHARED:
        return Figures(Stored(), measured, measured_at)
    try:
        return Figures(stored_by(organization), measured)
    except ClusterUnavailable as error:
        return Figures(Stored(), measured, measured_at, error.words)
    except PortalError:  # it is being purged just now
        return Figures(Stored(), measured, measured_at)


def sizes_of_each(organizations: Iterable[Organization]) -> dict[ObjectId, tuple[int, int]]:
    """The documents and bytes of each now, by a command each that opens no file; of those that
    share a collection, change just now, or are on a cluster that doesn't answer, none."""
    sizes: dict[ObjectId, tuple[int, int]] = {}
    away: set[str] = set()
    for one in organizations:
        place = one.placement
        if place.strategy == Strategy.SHARED or one.operation or place.cluster in away:
            continue
        try:
            database = database_of(place)
            namespace = f"{database.name}.{place.collection}"
            found = database.command("dataSize", namespace, estimate=True)
        except OperationFailure:  # of this one alone
            continue
        except (PyMongoError, Unavailable):
            away.add(place.cluster)
            continue
        sizes[one.id] = int(found["numObjects"]), int(found["size"])
    return sizes


def limits_shown(organization: Organization, figures: Figures) -> list[ShownLimit]:
    """The organization's limits, and how much of each these figures use."""
    known = {LimitKind.DOCUMENTS: figures.documents, LimitKind.BYTES: figures.size_bytes}
    limits = limits_of(organization, measured=False).values()
    return [shown_limit(replace(each, used=known.get(each.kind, each.used))) for each in limits]


def as_told(organization: Organization) -> dict[str, Any]:
    """All that is known of the organization but its documents, for programs. Raises NotFound where
    its creation was just rolled back."""
    figures, details = figures_of(organization), details_of(organization)
    placement, operation = organization.placement, organization.operation
    return {
        **{name: organization[name] for name in _OF_RECORD},
        "strategy": placement.strategy,
        "cluster": placement.cluster,
        "uuid": str(placement.uuid) if placement.uuid else None,
        "collection_name": placement.collection,
        "metadata": dict(organization.metadata or {}),
        "documents": figures.documents,
        "bytes": figures.size_bytes,
        "measured_at": figures.measured_at,
        "members": details.member_count,
        "owners": details.owners,
        "earlier_slugs": details.old_slugs,
        "operation": operation and {"kind": operation.kind, "started_at": operation.started_at},
    }


_OF_RECORD = (
    "id",
    "name",
    "slug",
    "state",
    "plan",
    "region",
    "external_id",
    "version",
    "created_at",
    "trashed_at",
    "purge_at",
    "purged_at",
)
