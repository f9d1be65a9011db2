"""Hold, suspend, lift, rename, trash, restore, purge and move, at the same time in any mixture: no
hold is broken, no suspension lost, and what is left is whole."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from portal.documents.moves import Move
from portal.documents.organizations import OrganizationState, Restriction, Strategy
from portal.documents.restrictions import Cause, Suspension
from portal.errors import PortalError
from portal.organizations.lifecycle import runner
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.restricting import (
    Reason,
    lift_suspension,
    strictest,
    suspend_organization,
)
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.restrictions.holding import set_hold
from portal.organizations.storage import stored_by
from portal.tenants.collections import CollectionError
from portal.tenants.moving.errors import MovingError
from tests.factories import a_context, an_organization, fresh
from tests.faults.invariant import STRICTNESS
from tests.organizations.moving.carrying import begin, make_due, run_movers

REASON = Reason(Cause.OTHER, "support@portal.example")
DONE = object()
# Planning a move reads the collection beside the record, and meets a rename in between.
_REFUSALS = (PortalError, MovingError, CollectionError)


def lift_newest(organization):
    suspension = Suspension.objects(organization=organization.id, open=True).order_by("-id").first()
    if suspension is None:
        return None
    lift_suspension(fresh(organization), suspension.id, a_context())
    return suspension.id


def suspend(kind, organization):
    return suspend_organization(fresh(organization), kind, REASON, a_context()).id


def hold(organization):
    return set_hold(fresh(organization), "Case 4711", None, a_context()).hold.id


def move(organization):
    begin(fresh(organization), Strategy.DATABASE)


def work(organization):
    run_movers()


ACTS = {
    "hold": hold,
    "read-only": partial(suspend, Restriction.READ_ONLY),
    "lock": partial(suspend, Restriction.LOCKED),
    "lift": lift_newest,
    "rename": lambda one: rename_organization(fresh(one), f"Other {one.id}", a_context()),
    "trash": lambda one: trash_organization(fresh(one), None, a_context()),
    "restore": lambda one: restore_organization(fresh(one), f"Back {one.id}", a_context()),
    "purge": lambda one: purge_organization(fresh(one), None, a_context()),
    "move": move,
    "work": work,
}
several = st.lists(st.sampled_from(sorted(ACTS)), min_size=1, max_size=4)


def race(strategy, threads):
    """What each act came to: its result, or the refusal."""
    organization = an_organization("Acme Corp", strategy=strategy)

    def act(names):
        done = []
        for name in names:
            try:
                done.append((name, ACTS[name](organization) or DONE))
            except _REFUSALS as error:
                done.append((name, error))
        return done

    with ThreadPoolExecutor(len(threads)) as pool:
        ends = [each for found in pool.map(act, threads) for each in found]
    for _ in range(4):
        make_due()
        run_movers()
        runner.recover_due_operations()
    return fresh(organization), ends


def check(organization, ends):
    succeeded = [(name, end) for name, end in ends if not isinstance(end, Exception)]
    held = any(name == "hold" for name, _ in succeeded)
    purged = organization.state == OrganizationState.PURGED
    assert organization.operation is None
    assert held == bool(organization.held)
    assert not (held and purged), "a hold was broken"
    if purged:
        return
    stored = stored_by(organization)
    assert stored.missing is False
    assert stored.elsewhere is None
    lifted = {end for name, end in succeeded if name == "lift" and end is not DONE}
    made = {end for name, end in succeeded if name in ("read-only", "lock")}
    open_now = set(Suspension.objects(organization=organization.id, open=True).scalar("id"))
    assert open_now == made - lifted
    kinds = Suspension.objects(organization=organization.id, open=True).scalar("kind")
    assert organization.restricted == strictest(kinds)
    assert strictest(kinds) == max(kinds, key=STRICTNESS.index, default=None)
    if held:
        ending = Move.objects(organization=organization.id, state="ending", open=True)
        assert all("legal hold" in (move.waits_for or "") for move in ending)


def settled(examples):
    return settings(
        max_examples=examples,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize("strategy", [Strategy.COLLECTION, Strategy.SHARED])
def test_no_hold_is_broken_and_no_suspension_lost(empty, strategy):
    @settled(6)
    @given(st.lists(several, min_size=2, max_size=3))
    def holds(threads):
        empty()
        check(*race(strategy, threads))

    holds()


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("strategy", list(Strategy))
def test_however_often_no_hold_is_broken_and_no_suspension_lost(empty, strategy):
    @settled(60)
    @given(st.lists(several, min_size=2, max_size=4))
    def holds(threads):
        empty()
        check(*race(strategy, threads))

    holds()
