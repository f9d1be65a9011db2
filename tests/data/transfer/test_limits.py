"""An import into an organization that has limits."""

from portal.data.transfer.imports import start_write
from portal.data.transfer.stages import Stage, find_import
from portal.jobs import runner
from portal.jobs.managing import find_job
from portal.organizations.storage import tenant_of
from portal.organizations.usage import limits
from portal.organizations.usage.limits import LimitKind
from tests.data.transfer.conftest import checked, lines
from tests.factories import a_context, fresh

TEN = lines(*[{"_id": n} for n in range(10)])


def set_limit(organization, kind, value):
    limits.set_limits(organization, {kind: value}, a_context())


def run_again(master_db, job):
    master_db.jobs.update_one({"_id": job.id}, {"$set": {"due_at": job.created_at}})
    runner.run_due_jobs()


def test_where_there_is_no_room_it_waits_and_goes_on_once_there_is(acme, seen, master_db):
    set_limit(acme, LimitKind.DOCUMENTS, 5)
    ready = checked(seen, TEN)
    start_write(seen, ready)
    runner.run_due_jobs()
    waits = find_job(find_import(acme, ready.file.id).job.id)
    assert waits.state == "running"
    assert waits.last_error == "the organization keeps 0 of 5 documents"
    set_limit(acme, LimitKind.DOCUMENTS, 20)
    run_again(master_db, waits)
    done = find_import(acme, ready.file.id)
    assert done.stage == Stage.DONE
    assert tenant_of(fresh(acme)).count_documents({}) == 10


def test_beyond_the_limit_of_operations_it_waits_and_is_not_refused(acme, seen):
    set_limit(acme, LimitKind.OPERATIONS, 4)
    tenant_of(fresh(acme)).insert_many([{"_id": -n} for n in range(1, 22)])
    ready = checked(seen, TEN)
    start_write(seen, ready)
    runner.run_due_jobs()
    assert find_import(acme, ready.file.id).stage == Stage.DONE
