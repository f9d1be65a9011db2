"""A portal at work while its server has faults."""

import sys
import time
from contextlib import contextmanager
from tempfile import TemporaryFile

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from portal.clusters import managing
from portal.clusters.managing import Changes
from portal.database import connection
from portal.documents.organizations import MAIN_CLUSTER
from portal.organizations.lifecycle import runner
from portal.placement import policies
from portal.web.context import RequestContext
from tests.faults import doomed, invariant
from tests.faults.customers import Crowd, Writers
from tests.faults.lapse import let_leases_run_out
from tests.processes import portal, wait_until
from tests.rights import admit

SETTLED_SECONDS = 60
ABROAD = "europe"


@contextmanager
def _log_shown_on_failure():
    with TemporaryFile("w+") as log:
        try:
            yield log
        except BaseException:
            log.seek(0)
            sys.stderr.writelines(line for line in log if '"level": "error"' in line)
            raise


# A few of each, so that what happens to one strategy happens beside the others.
MIXED = """
[[place]]
strategy = "database"
first = 4

[[place]]
strategy = "collection"
first = 8

[[place]]
strategy = "shared"
"""


def _set_policy(text):
    connection.prepare()
    policies.set_policy(text, 0, [MAIN_CLUSTER], RequestContext())


def _place_abroad(uri, too):
    """Have all organizations be placed in another cluster, or half of them."""
    connection.prepare()
    managing.add_cluster(ABROAD, Changes(uri), RequestContext())
    if not too:
        managing.change_cluster(MAIN_CLUSTER, Changes(weight=0), RequestContext())


@contextmanager
def storm(server, figure, *, in_haste=False, policy=None, abroad=None, at_home_too=False):
    """Customers and writers at work on a portal, whose organizations are placed by the ``policy``,
    in the cluster ``abroad`` if there is one, or in both. After the block, when they are done with
    what they had begun, nothing that was acknowledged is lost, and all is whole."""
    active = server.settings_of("storm")
    if policy is not None:
        assert doomed.live(active, _set_policy, policy).raised is None
    if abroad is not None:
        admit(abroad.admin_uri, active.master_db, active.tenant_db)
        assert doomed.live(active, _place_abroad, abroad.uri, at_home_too).raised is None
    home = (abroad or server).admin_uri
    with (
        MongoClient(home, uuidRepresentation="standard", tz_aware=True, timeoutMS=20_000) as there,
        MongoClient(
            server.admin_uri, uuidRepresentation="standard", tz_aware=True, timeoutMS=20_000
        ) as client,
        MongoClient(server.admin_uri, timeoutMS=2000) as impatient,
        _log_shown_on_failure() as log,
        portal(server, "storm", stderr=log) as running,
    ):
        master, tenant = client[active.master_db], there[active.tenant_db]
        elsewhere = {}
        if at_home_too:
            tenant, elsewhere = client[active.tenant_db], {ABROAD: tenant}

        def settled():
            all_left = crowd.has_left()
            try:
                if in_haste:  # a while passes every moment
                    let_leases_run_out(impatient[active.master_db])
                    doomed.live(active, runner.recover_due_operations)
                running = master.organizations.find_one({"operation": {"$exists": True}})
            except PyMongoError:
                return False  # what woke up is not well yet
            return all_left and not running

        with Crowd(running.url, impatient[active.master_db], 8 if at_home_too else 4) as crowd:
            with Writers(active) as writers:
                yield crowd
            crowd.stop()
            begin = time.monotonic()
            wait_until(settled, SETTLED_SECONDS)
            figure(f"all settled {time.monotonic() - begin:.1f} s after the last request")
        crowd.check(master)
        writers.check(master, tenant, elsewhere)
        invariant.check_whole(master, tenant, elsewhere=elsewhere)
        figure(crowd.figure)
        figure(writers.figure)
