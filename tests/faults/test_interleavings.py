"""Whatever several threads do at once on few names, it comes out as if they had done it one after
the other."""

import itertools
from collections import Counter
from dataclasses import dataclass, replace

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from portal.documents.organizations import (
    MAIN_CLUSTER,
    Organization,
    OrganizationState,
    Placement,
    Strategy,
)
from portal.errors import NotFound, PortalError
from portal.organizations.lifecycle.creating import create_organization
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.storage import tenant_of
from portal.settings import current
from tests.factories import a_context, an_account
from tests.faults.invariant import check_whole
from tests.placing import documents_of
from tests.processes import at_once

NAMES = ("One", "Two", "Three")
# The states that an organization must be in for a deed; ``None``: it doesn't exist yet.
WANTED = {
    "create": (None,),
    "rename": (OrganizationState.ACTIVE,),
    "trash": (OrganizationState.ACTIVE,),
    "restore": (OrganizationState.TRASHED,),
    "purge": (OrganizationState.ACTIVE, OrganizationState.TRASHED),
    "write": (OrganizationState.ACTIVE,),
}


@dataclass(frozen=True)
class Deed:
    """What somebody asks for, of one of the organizations for which there is hope."""

    kind: str
    number: int
    name: str


@dataclass(frozen=True)
class Known:
    """An organization as the model knows it."""

    name: str
    state: str
    documents: frozenset = frozenset()


@dataclass(frozen=True)
class Answer:
    """What came of a deed: the subject's id if it was acknowledged, else the refusal."""

    deed: Deed
    subject: ObjectId | None
    refusal: str | None = None
    document: ObjectId | None = None


def done(world, answer):
    """The world after an acknowledged deed; ``None`` where it should have been refused."""
    deed, before = answer.deed, world.get(answer.subject)
    state = before.state if before else None
    taken = {known.name for known in world.values() if known.state == OrganizationState.ACTIVE}
    if deed.kind in ("create", "rename", "restore") and deed.name in taken:
        return None
    if state not in WANTED[deed.kind]:
        return None
    after = {
        "create": lambda: Known(deed.name, OrganizationState.ACTIVE),
        "rename": lambda: replace(before, name=deed.name),
        "trash": lambda: replace(before, state=OrganizationState.TRASHED),
        "restore": lambda: replace(before, name=deed.name, state=OrganizationState.ACTIVE),
        "purge": lambda: replace(before, state=OrganizationState.PURGED, documents=frozenset()),
        "write": lambda: replace(before, documents=before.documents | {answer.document}),
    }
    return {**world, answer.subject: after[deed.kind]()}


def worlds_after(world, answers):
    """Each world that the acknowledged deeds lead to in some order."""
    for order in itertools.permutations(answer for answer in answers if answer.subject):
        after = world
        for answer in order:
            after = done(after, answer)
            if after is None:
                break
        else:
            yield after


deeds = st.builds(
    Deed,
    kind=st.sampled_from(
        ["create", "create", "rename", "rename", "trash", "restore", "restore", "purge", "write"]
    ),
    number=st.integers(0, 2),
    name=st.sampled_from(NAMES),
)


class Interleavings(RuleBasedStateMachine):
    """One owner of a few organizations, with several browsers and programs."""

    counted: Counter
    strategies: tuple
    cluster: str

    def __init__(self):
        super().__init__()
        self.empty()
        self.account = an_account()
        self.world = {}

    @rule(deeds=st.integers(1, 4).flatmap(lambda n: st.lists(deeds, min_size=n, max_size=n)))
    def do_at_once(self, deeds):
        answers = at_once([lambda deed=deed: self._answer(deed) for deed in deeds])
        assert all(answers), "something failed that was no refusal"
        seen = self._seen()
        assert seen in worlds_after(self.world, answers), (self.world, answers, seen)
        if len(deeds) == 1 and answers[0].refusal:
            obeyed = replace(answers[0], subject=self._subject(deeds[0]))
            assert done(self.world, obeyed) is None, "refused for no reason"
        self.world = seen
        self.counted["interleavings"] += 1
        for answer in answers:
            self.counted[f"{answer.deed.kind}: {answer.refusal or 'acknowledged'}"] += 1

    @invariant()
    def all_is_whole(self):
        master, tenant = self.databases()
        check_whole(master, tenant, idle_accounts=[self.account.id])

    def _answer(self, deed):
        document = ObjectId()
        try:
            subject = self._do(deed, self._subject(deed), document)
        except PortalError as refusal:
            return Answer(deed, None, type(refusal).__name__)
        return Answer(deed, subject, document=document)

    def _subject(self, deed):
        hopeful = [i for i, known in self.world.items() if known.state in WANTED[deed.kind]]
        return hopeful[deed.number % len(hopeful)] if hopeful else None

    def _do(self, deed, subject, document):
        by = a_context(self.account)
        if deed.kind == "create":
            strategy = self.strategies[deed.number % len(self.strategies)]
            placement = Placement(strategy=strategy, cluster=self.cluster)
            return create_organization(self.account.id, deed.name, by, placement=placement).id
        organization = Organization.objects(id=subject, state__in=WANTED[deed.kind]).first()
        if organization is None:
            raise NotFound
        if deed.kind == "rename":
            rename_organization(organization, deed.name, by)
        elif deed.kind == "trash":
            trash_organization(organization, None, by)
        elif deed.kind == "restore":
            restore_organization(organization, deed.name, by)
        elif deed.kind == "purge":
            purge_organization(organization, None, by)
        else:
            tenant_of(organization).insert_one({"_id": document})
        return subject

    def _seen(self):
        """What is in the databases, as the model would know it."""
        return {
            o.id: Known(o.name, o.state, self._documents(o))
            for o in Organization.objects.no_cache()
        }

    def _documents(self, organization):
        if organization.state == OrganizationState.PURGED:
            return frozenset()
        master, tenant = self.databases()
        pools = list(master.pools.find())
        found = [d["_id"] for d in documents_of(tenant, organization.to_mongo(), pools)]
        assert len(found) == len(set(found))
        return frozenset(found)


ROUNDS = 10
"""The most tries until a change of each kind was acknowledged, which is a matter of chance."""


def interleave(
    empty_database, admin, figure, strategies, examples, steps, cluster=MAIN_CLUSTER, there=None
):
    """Many at once, whose organizations are on a cluster, which is ``there``."""
    # As functions: Hypothesis looks through all else.
    server = admin if there is None else there
    databases = admin[current().master_db], server[current().tenant_db]
    given = {
        "empty": staticmethod(empty_database),
        "databases": staticmethod(lambda: databases),
        "strategies": strategies,
        "cluster": cluster,
    }
    machine = type("Machine", (Interleavings,), {"counted": Counter(), **given})
    counted = machine.counted
    for _ in range(ROUNDS):
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                # What threads do can't be repeated, so nothing is to be gained by making it shorter.
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
        if came := all(counted[f"{kind}: acknowledged"] for kind in WANTED):
            break
    figure(f"{counted.pop('interleavings')} times several at once: {dict(sorted(counted.items()))}")
    assert came


@pytest.mark.attack("N2")
def test_what_is_done_at_once_comes_out_as_if_done_in_turn(empty_database, admin, figure):
    interleave(empty_database, admin, figure, tuple(Strategy), examples=10, steps=10)


@pytest.mark.attack("N2")
@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "strategies", [*((each,) for each in Strategy), tuple(Strategy)], ids="-".join
)
def test_much_that_is_done_at_once_comes_out_as_if_done_in_turn(
    empty_database, admin, figure, strategies
):
    interleave(empty_database, admin, figure, strategies, examples=100, steps=20)
