"""What the doctor says of moves, and of what they left over on any cluster."""

from datetime import timedelta

import pytest
from bson import ObjectId

from portal import clock
from portal.database.portal_role import MOVED_COLLECTIONS
from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import Organization, Strategy
from portal.organizations.lifecycle import pools
from portal.organizations.moving.ways_back import end_way_back
from portal.organizations.storage import tenant_of
from tests.factories import a_context, an_organization, collections_in, fresh
from tests.moving.records import a_move, a_way_back
from tests.organizations.moving.carrying import begin, make_due, move, run_movers

THREE = [{"_id": number} for number in range(3)]


def an_owner_of_documents(strategy, name="Acme Corp", **placement):
    organization = an_organization(name, strategy=strategy, **placement)
    tenant_of(organization).insert_many(THREE)
    return organization


@pytest.mark.parametrize("source", Strategy)
def test_nothing_is_amiss_while_an_organization_moves_or_can_go_back(app, found, source):
    target = Strategy.SHARED if source == Strategy.DATABASE else Strategy.DATABASE
    acme = an_owner_of_documents(source)
    begun = begin(acme, target, switch="on command")
    run_movers()
    assert Move.objects.get().state == MoveState.READY
    assert found() == []
    Move.objects(id=begun.id).update(switch_wanted=True)
    make_due()
    run_movers()
    assert Move.objects.get(id=begun.id).outcome == Outcome.MOVED
    assert found() == []
    end_way_back("acme-corp", a_context())
    run_movers()
    assert found() == []


@pytest.mark.parametrize("source", Strategy)
def test_an_old_copy_that_was_left_over_is_removed(app, tenant_db, found, repair, source):
    """As an earlier backup of the master database may leave it: its record says that all is done."""
    target = Strategy.SHARED if source == Strategy.DATABASE else Strategy.DATABASE
    acme = an_owner_of_documents(source)
    move(acme, target)
    Move.objects(open=True).update(
        unset__open=True, unset__due_at=True, set__state=MoveState.DONE, set__outcome=Outcome.ENDED
    )
    kinds = {kind for kind, _ in found()}
    left = "unowned_documents" if source == Strategy.SHARED else "move_leftover"
    assert kinds == {left, "move_token"}
    repaired = {kind: done for kind, _, done in repair()}
    assert repaired[left] in ("removed", "deleted")
    assert found() == []
    assert tenant_of(fresh(acme)).count_documents({}) == 3
    assert not Move.objects(open=True)


def test_a_copy_of_an_aborted_move_is_removed_on_any_cluster(europe, there, found, repair):
    acme = an_owner_of_documents(Strategy.COLLECTION)
    begun = begin(acme, Strategy.COLLECTION, "europe", switch="on command")
    run_movers()
    Move.objects(id=begun.id).update(
        unset__open=True, unset__due_at=True, set__state=MoveState.DONE,
        set__outcome=Outcome.ABORTED,
    )  # fmt: skip
    name = f"move_{begun.id}"
    assert ("move_leftover", f"tenant_test.{name}") in found()
    assert ("move_leftover", f"tenant_test.{name}", "removed") in repair()
    assert collections_in(there.tenant_test) == []
    assert found() == []


def test_the_collection_where_an_organization_lives_is_never_removed(app, tenant_db, found, repair):
    acme = an_owner_of_documents(Strategy.COLLECTION)
    a_move(acme, MoveState.DONE, acme.placement, open=None, due_at=None, outcome=Outcome.ABORTED)
    tenant_db.org_acme_corp.rename(f"moving_{ObjectId()}_1")
    assert [kind for kind, *_ in repair()] == ["misnamed_collection"]
    assert found() == []
    assert tenant_of(acme).count_documents({}) == 3


def test_a_strangers_collection_under_a_name_of_moves_is_told_and_kept(
    app, tenant_db, found, repair
):
    tenant_db[f"moving_{ObjectId()}_1"].insert_one({})
    assert [kind for kind, *_ in found()] == ["stray_collection"]
    assert next(done for *_, done in repair()).startswith("renamed to stray_")
    own = an_owner_of_documents(Strategy.DATABASE)
    tenant_db.client[own.placement.database][MOVED_COLLECTIONS[0]].insert_one({})
    assert ("other_collections", "acme-corp") in found()


def test_a_token_that_nobody_closed_is_closed(app, tenant_db, found, repair):
    tokens = tenant_db.client.tenant_test_internal.moves
    acme = an_organization("Acme Corp")
    way_back = a_way_back(acme, acme.placement)
    stray = ObjectId()
    tokens.insert_many(
        [{"_id": one, "attempt": 3} for one in (way_back.id, way_back.way_back_of, stray)]
    )
    assert found() == [("move_token", str(stray))]
    assert repair() == [("move_token", str(stray), "closed")]
    assert found() == []
    assert tokens.find_one({"_id": stray})["attempt"] > 1000


def test_a_move_that_does_not_get_on_is_told(app, found):
    acme, kestrel = an_organization("Acme Corp"), an_organization("Kestrel")
    here = acme.placement
    late = a_move(acme, target=here, due_at=clock.now() - timedelta(minutes=5))
    a_move(kestrel, target=here)
    assert found() == [("stuck_move", str(late.id))]
    late.update(set__paused=True)
    assert found() == []
    late.update(set__last_error="Full: no room")
    assert found() == [("stuck_move", str(late.id))]


def test_a_move_of_a_cluster_that_was_given_up_meanwhile_is_given_up(
    europe, command, found, repair
):
    acme = an_organization("Acme Corp")
    command("clusters", "lost", "europe", "--confirm", "europe")
    begun = a_move(acme)
    assert found() == [("stuck_move", str(begun.id))]
    assert repair() == [("stuck_move", str(begun.id), "given up")]
    run_movers()
    assert Move.objects.get().outcome == Outcome.GIVEN_UP
    assert found() == []


def test_what_a_pool_has_of_one_that_lives_elsewhere_without_a_move_is_kept(app, found, repair):
    acme = an_owner_of_documents(Strategy.SHARED)
    pool = acme.placement.pool
    elsewhere = an_organization("Kestrel")
    Organization.objects(id=acme.id).update(set__placement=elsewhere.placement)
    Organization.objects(id=elsewhere.id).delete()
    pools.count_due()
    assert ("unowned_documents", None) in [(kind, done) for kind, _, done in repair()]
    assert len(pools.read_documents(pool, acme.id, [])) == 3
