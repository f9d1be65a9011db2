"""The standing of a script: the organizations that have it, and those that don't."""

from collections import Counter
from dataclasses import dataclass

from portal.documents.jobs import ItemState, Job
from portal.jobs.items import Item, Items
from portal.jobs.running import JobKind
from portal.tenant_scripts.loading import Script
from portal.tenant_scripts.selecting import Selection, count_trashed, select

KIND = JobKind("tenant_script", goes_on="goes on when flask tenants apply is called again")
MOST_TOLD = 1000


@dataclass(frozen=True, slots=True)
class Told:
    """An organization that does not have the script, though it was begun."""

    slug: str
    item: Item


@dataclass(frozen=True, slots=True)
class Standing:
    """The number of organizations by what became of them, those that failed or don't take the
    script (MOST_TOLD at most), and the latest job."""

    done: int
    failed: int
    not_applicable: int
    begun: int
    missing: int
    trashed: int
    told: list[Told]
    job: Job | None

    @property
    def pending(self) -> int:
        """The number of organizations that a job would reach."""
        return self.failed + self.begun + self.missing


def items_of(script: Script) -> Items:
    """The states of organizations over all jobs of the script."""
    return Items(KIND.name, script.name)


def standing_of(script: Script, selection: Selection) -> Standing:
    """The standing of the script among the organizations of the selection."""
    counts: Counter[str | None] = Counter()
    told: list[Told] = []
    for one in select(selection, items_of(script)):
        counts[one.state] += 1
        if one.item and one.state not in (None, ItemState.DONE) and len(told) < MOST_TOLD:
            told.append(Told(one.slug, one.item))
    jobs = Job.objects(kind=KIND.name, subject=script.name)
    return Standing(
        done=counts[ItemState.DONE],
        failed=counts[ItemState.FAILED],
        not_applicable=counts[ItemState.NOT_APPLICABLE],
        begun=counts[ItemState.RUNNING],
        missing=counts[None],
        trashed=count_trashed(selection),
        told=told,
        job=jobs.order_by("-attempt", "-id").first(),
    )
