"""Errors of the registry of clusters, and their words."""

from collections.abc import Sequence
from dataclasses import dataclass

from portal.errors import Conflict, Invalid, NotFound, Unavailable
from portal.web.counting import counted


@dataclass
class InvalidClusterName(Invalid):
    """A name that a cluster can't have."""

    name: str

    code = "invalid_name"
    message = (
        "{name} is no name for a cluster: use 1 to 32 lowercase letters, digits and -, and not "
        "main, which is the cluster of MONGO_URI"
    )


@dataclass
class InvalidClusterUri(Invalid):
    """A URI that leads nowhere; the reason repeats no piece of a password."""

    reason: str

    code = "invalid_uri"
    message = "The URI {reason}"


@dataclass
class UriOfMain(InvalidClusterUri):
    """The first cluster has its URI from the environment."""

    reason: str = "of main is MONGO_URI"


@dataclass
class InvalidWeight(Invalid):
    """A weight that is none."""

    weight: int

    code = "invalid_weight"
    message = "{weight} is no weight: use 0 to 1000; 0 takes no new organizations"


@dataclass
class ClusterExists(Conflict):
    """A cluster of this name is registered already."""

    name: str

    code = "cluster_exists"
    message = (
        "There is a cluster {name} already. flask clusters change gives it another URI, region or "
        "weight."
    )


@dataclass
class ClusterNotFound(NotFound):
    """No cluster of this name is registered."""

    name: str

    code = "cluster_not_found"
    message = "There is no cluster {name}: flask clusters list shows them."


@dataclass
class ClusterSilent(Unavailable):
    """A cluster that is to be looked at doesn't answer."""

    name: str
    reason: str

    code = "cluster_silent"
    message = "{name} was not changed. {reason}"


class UriUnusable(ClusterSilent):
    """No client can be made of a cluster's URI, for a ``cause``."""

    def __init__(self, name: str, cause: object) -> None:
        super().__init__(name, f"The portal can't use its URI: {cause}")


@dataclass
class ClusterUnsuitable(Conflict):
    """A cluster that the portal can't use."""

    name: str
    problems: Sequence[str]

    code = "cluster_unsuitable"
    message = "{name} can't be used, and nothing was changed. {told}"

    @property
    def told(self) -> str:
        """The problems as sentences."""
        return " ".join(self.problems)


@dataclass
class ClusterKnown(Conflict):
    """The URI of a new cluster leads to one that is registered."""

    name: str
    known: str

    code = "cluster_known"
    message = (
        "The URI of {name} leads to the cluster {known}, which is registered already. Nothing was "
        "changed."
    )


@dataclass
class AnotherCluster(Conflict):
    """The new URI of a cluster leads to another one."""

    name: str

    code = "another_cluster"
    message = (
        "The URI leads to another MongoDB than the one that was added as {name}, so its "
        "organizations are not there. Nothing was changed. (A cluster that was restored elsewhere "
        "has what is in <TENANT_DB>_internal, too.)"
    )


@dataclass
class ClusterInUse(Conflict):
    """A cluster that is to be removed holds something."""

    name: str
    organizations: int
    first: Sequence[str]
    pools: Sequence[int]
    moves: int = 0
    first_moves: Sequence[str] = ()

    code = "cluster_in_use"
    message = "{name} was not removed, and takes organizations as before. It holds {held}."

    @property
    def held(self) -> str:
        """All that it holds in words."""
        held = [self._held_organizations] if self.organizations else []
        if self.moves:
            more = self.moves - len(self.first_moves)
            held += [", ".join(self.first_moves) + (f" and {more} more moves" if more else "")]
        return "; ".join(held)

    @property
    def _held_organizations(self) -> str:
        shared = f", in the shared collections {', '.join(map(str, self.pools))}"
        return _named(self.organizations, self.first) + (shared if self.pools else "")


@dataclass
class RegionInUse(Conflict):
    """A cluster is to be outside a region, and holds organizations that are bound to it."""

    name: str
    region: str
    organizations: int
    first: Sequence[str]

    code = "region_in_use"
    message = (
        "{name} has to be in {region}, and nothing was changed. It holds {held}, or copies for "
        "their ways back, which may not leave that region: move them to another cluster there "
        "(flask moves start), end their ways back, or release them from it (flask organizations "
        "set SLUG --region '')."
    )

    @property
    def held(self) -> str:
        """The organizations in words."""
        return _named(self.organizations, self.first)


@dataclass
class ClusterIsLost(Conflict):
    """A cluster was given up, so it can't be changed."""

    name: str

    code = "cluster_is_lost"
    message = "{name} was given up as lost. It can only be removed, once no organization is there."


@dataclass
class TakesOrganizations(Conflict):
    """A cluster that is to be emptied takes new organizations."""

    name: str

    code = "takes_organizations"
    message = (
        "{name} takes new organizations, so it would never be empty. First: flask clusters change "
        "{name} --weight 0. Nothing was moved."
    )


def _named(organizations: int, first: Sequence[str]) -> str:
    more = organizations - len(first)
    names = ", ".join(first) + (f" and {more} more" if more else "")
    return f"{counted(organizations, 'organization')} ({names})"
