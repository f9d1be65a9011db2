"""Errors of placements, and their words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from portal.errors import Conflict, Invalid, Unavailable


@dataclass
class InvalidPlan(Invalid):
    """A name that a plan can't have."""

    plan: str

    code = "invalid_plan"
    field = "plan"
    message = "Name the plan by 1 to 40 lowercase letters, digits and -, like large or team-2024"


@dataclass
class InvalidRegion(Invalid):
    """A name that a region can't have."""

    region: str

    code = "invalid_region"
    field = "region"
    message = "Name the region by 1 to 40 lowercase letters, digits and -, like eu-central"


@dataclass
class UnknownRegion(Invalid):
    """No cluster is in the region, so nothing may hold an organization that is bound to it."""

    region: str

    code = "unknown_region"
    field = "region"
    message = (
        "No cluster of this portal is in {region}, and documents that are bound to a region are "
        "kept nowhere else"
    )


@dataclass
class OutsideRegion(Conflict):
    """The organization's documents are outside the region that it shall be bound to."""

    name: str
    region: str
    cluster: str

    code = "outside_region"
    message = (
        "The documents of {name} are on the cluster {cluster}, which is not in {region}. Have them "
        "moved there first. Nothing was changed."
    )


@dataclass
class CopyOutsideRegion(Conflict):
    """A move keeps a copy of the organization's documents outside the region that it shall be bound
    to, or is making one."""

    name: str
    region: str
    cluster: str

    code = "copy_outside_region"
    message = (
        "A copy of the documents of {name} is on the cluster {cluster}, which is not in {region}, "
        "for a move or for the way back of one. Abort or end that first (flask moves abort, flask "
        "moves end). Nothing was changed."
    )


@dataclass
class RegionUnavailable(Unavailable):
    """No cluster of the region takes an organization now."""

    region: str

    code = "region_unavailable"
    title = "No organization can be made there now"
    message = (
        "Every cluster in {region} is away or closed to new organizations, and documents that are "
        "bound to a region are kept nowhere else. Nothing was created. Try again later."
    )


@dataclass
class ClustersUnavailable(Unavailable):
    """No cluster takes an organization now."""

    code = "clusters_unavailable"
    title = "No organization can be made now"
    message = (
        "Every cluster is away or closed to new organizations. Nothing was created. Try again "
        "later."
    )


@dataclass
class NoOtherCluster(Unavailable):
    """An organization is to leave a cluster, and no other takes it."""

    cluster: str
    region: str | None

    code = "no_other_cluster"
    message = (
        "No other cluster than {cluster}{in_region} takes organizations now: they are away, closed "
        "(weight 0), or not reached by every application"
    )

    @property
    def in_region(self) -> str:
        """The region in words, if it is bound to one."""
        return f" in {self.region}" if self.region else ""


@dataclass
class TooManyOpenFiles(Unavailable):
    """A cluster has so many files open that it is better not to look at more."""

    cluster: str

    code = "too_many_open_files"
    message = (
        "{cluster} has more than 60 % of the files open that it may, and closes none. Raise its "
        "limit (ulimit -n), or have it close idle ones early (docs/operating.md)"
    )


@dataclass
class InvalidPolicy(Invalid):
    """A policy with faults, each by the name of its field or by its line."""

    faults: Mapping[str, str]

    code = "invalid_policy"
    field = "text"
    message = "The policy was not changed.\n{listed}"

    @property
    def listed(self) -> str:
        """The faults, one a line."""
        return "\n".join(f"{place}: {reason}" for place, reason in self.faults.items())


class PolicyTooLong(InvalidPolicy):
    """The text of a policy is too long."""

    def __init__(self, longest: int) -> None:
        super().__init__({"the text": f"Use {longest:,} characters at most."})


class PolicyOfUnknownClusters(InvalidPolicy):
    """A policy names clusters that the registry doesn't have."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(dict.fromkeys(names, "There is no cluster of this name."))


@dataclass
class PolicyChanged(Conflict):
    """The policy was changed since it was read."""

    version: int

    code = "policy_changed"
    title = "The policy was changed meanwhile"
    message = (
        "The policy is at version {version} meanwhile. Look at it, then set yours again. Nothing "
        "was changed."
    )
