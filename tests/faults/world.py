"""The databases that a test and the processes it lets die have in common."""

from contextlib import ExitStack

from portal.database.connection import client
from portal.documents.accounts import Account
from portal.documents.organizations import MAIN_CLUSTER, Strategy
from portal.organizations.lifecycle import runner
from portal.settings import current
from tests.factories import an_account, an_organization
from tests.faults import doomed, invariant
from tests.faults.lapse import let_leases_run_out, let_transactions_run_out
from tests.placing import collection_called, collections_on, documents_of, store
from tests.rights import administering_users_anywhere


def uuid_of(collection):
    [found] = collection.database.list_collections(filter={"name": collection.name})
    return found["info"]["uuid"].as_uuid()


class World:
    """The databases of this test, where others die and this process carries on; to be closed."""

    def __init__(self, empty, settings, admin, others=()):
        self.empty, self.settings, self.admin = empty, settings, admin
        self.servers = {MAIN_CLUSTER: admin, **dict(others)}
        self.server = admin
        self._rights = ExitStack()

    def close(self):
        """Take back the rights that a scenario wanted."""
        self._rights.close()

    def begin(self, scenario):
        """What the scenario wants, and somebody who has nothing to do with it."""
        self.close()
        self.empty()
        self.server = self.servers[scenario.cluster]
        if scenario.strategy == Strategy.DATABASE:
            self._rights.enter_context(administering_users_anywhere(self.server))
        owner = an_account("bystander@else.example")
        placed = {"strategy": scenario.strategy, "cluster": scenario.cluster}
        bystander = an_organization("Bystander", owner, **placed)
        self.store(bystander, {"_id": "the bystander's"})
        self.arguments = scenario.given()
        self.idle = Account.objects.distinct("id")
        self.strangers = {}
        if scenario.stranger:
            name = scenario.stranger.format(*self.arguments)
            stranger = collection_called(self.tenant, name)
            stranger.insert_one({"_id": "a stranger's"})
            self.strangers = {name: uuid_of(stranger)}

    def drop_stranger(self):
        """Whoever made the collection that is in the way thinks better of it."""
        for name in self.strangers:
            collection_called(self.tenant, name).drop()
        self.strangers = {}

    def live(self, scenario, end=None):
        life = doomed.live(self.settings, scenario.deed, *self.arguments, end=end)
        assert end is None or life.points[-1] == end, f"it never came to {end}: {life}"
        self.let_time_pass()
        return life

    def asleep(self, scenario, point, end=None):
        """A process that does the deed is stopped at the ``point`` for the block."""
        deed = (scenario.deed, *self.arguments)
        return doomed.asleep(self.settings, *deed, point=point, end=end)

    def recover_and_die(self, end=None):
        life = doomed.live(self.settings, runner.recover_due_operations, end=end)
        assert end is None or life.points[-1] == end, f"it never came to {end}: {life}"
        self.let_time_pass()
        return life

    def replay(self, scenario, *ends):
        """Begin, and die at each of the points: in the operation, in its recovery, in the next."""
        self.begin(scenario)
        first, *others = ends
        self.live(scenario, end=first)
        for end in others:
            self.recover_and_die(end=end)

    def let_time_pass(self):
        """Enough for what the dead and the sleepers had in hand to be anybody's."""
        for server in self.servers.values():
            let_transactions_run_out(server)
        let_leases_run_out(client()[current().master_db])

    def recover(self):
        """Carry on what is left, in this process; what the databases say then."""
        runner.recover_due_operations()
        return self.picture()

    def check_whole(self):
        invariant.check_whole(
            self.master, self.tenant, idle_accounts=self.idle, strangers=self.strangers
        )
        if self.server is not self.admin:
            assert not collections_on(self.admin[current().tenant_db])
        for name, uuid in self.strangers.items():
            assert uuid_of(collection_called(self.tenant, name)) == uuid

    def picture(self):
        return invariant.picture(self.master, self.tenant)

    def store(self, organization, *documents):
        """Write into the organization as an application would."""
        store(self.tenant, organization.to_mongo(), self.pools, *documents)

    def documents_of(self, organization):
        """The organization's documents, as they are stored."""
        return documents_of(self.tenant, organization.to_mongo(), self.pools)

    @property
    def master(self):
        return self.admin[current().master_db]

    @property
    def tenant(self):
        return self.server[current().tenant_db]

    @property
    def pools(self):
        return list(self.master.pools.find())
