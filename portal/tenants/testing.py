"""For tests of applications: what the portal does with organizations, over any replica set.

    @pytest.fixture
    def portal():
        with FakePortal("mongodb://localhost/?replicaSet=rs0") as portal:
            yield portal

    def test_a_note_survives_a_rename(portal):
        portal.create("acme-corp")
        acme = portal.tenants()["acme-corp"]
        acme.insert_one({"title": "First"})
        portal.rename("acme-corp", "acme-limited")
        assert acme.find_one()["title"] == "First"

Each has databases of its own, which are dropped at its end; so tests may run beside each other. An
organization is made in milliseconds. The documents are real, and so is the server's behaviour;
members, pages and the audit trail are left out. An organization has a collection, unless ``create``
is told another strategy.
"""

import itertools
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from bson import Binary, ObjectId
from bson.codec_options import DEFAULT_CODEC_OPTIONS
from bson.raw_bson import RawBSONDocument
from pymongo import IndexModel, MongoClient

from . import AsyncTenants, Tenants
from .directory import MAIN, ORGANIZATIONS, POOLS, SLUGS, PoolEntry, own_name, pool_name
from .elements import with_unwrapped_id, with_wrapped_id
from .placements import COLLECTION, DATABASE, SHARED
from .placements.database import ARRIVING, DOCUMENTS, LEFT, database_name
from .placements.shared import Shared
from .quotas import LIMITS
from .reports import reports_of
from .usage import USAGE

_EPOCH = 1
_MOVE = "move"
_FORMAT = 4


class FakePortal:
    """A directory and a tenant database, in which the test does what people do in the portal.

    Organizations are named by their current slug, or their id. ``clusters`` are the URIs of further
    clusters by name, to which they can be moved; it may be the same server.
    """

    def __init__(self, uri: str, clusters: Mapping[str, str] | None = None) -> None:
        name = f"tenants_test_{secrets.token_hex(6)}"
        self.uri = _with_database(uri, f"{name}_master")
        """The URI for ``Tenants``."""
        self.uris = {MAIN: self.uri, **(clusters or {})}
        """The URIs of all clusters, by name."""
        self._clients: dict[str, MongoClient[dict[str, Any]]] = {
            cluster: MongoClient(each, uuidRepresentation="standard", connect=False)
            for cluster, each in {MAIN: uri, **(clusters or {})}.items()
        }
        self.client = self._clients[MAIN]
        self._databases = {
            cluster: client[f"{name}_data" if cluster == MAIN else f"{name}_data_{cluster}"]
            for cluster, client in self._clients.items()
        }
        self._generations = itertools.count(1)  # never twice the same, also after "clear"
        self.master = self.client[f"{name}_master"]
        self.data = self._databases[MAIN]
        for view in (ORGANIZATIONS, SLUGS, POOLS):
            self.master.create_collection(view, check_exists=False)

    def __enter__(self) -> "FakePortal":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the databases."""
        self._drop_databases()
        self.client.drop_database(self.master)
        for data in self._databases.values():
            for name in (data.name, reports_of(data.name), f"{data.name}_internal"):
                data.client.drop_database(name)
            data.client.close()

    def clear(self) -> None:
        """Delete all organizations, which is quicker than another ``FakePortal``."""
        self._drop_databases()
        for data in self._databases.values():
            for name in data.list_collection_names():
                data.drop_collection(name)
        self.client[reports_of(self.data.name)].drop_collection(USAGE)
        for view in (ORGANIZATIONS, SLUGS, POOLS):
            self.master[view].delete_many({})

    def tenants(self, **options: Any) -> Tenants:
        """``Tenants`` over these databases, as the application makes them."""
        return Tenants(self.uris, **options)

    def async_tenants(self, **options: Any) -> AsyncTenants:
        """``AsyncTenants`` over these databases, as the application makes them."""
        return AsyncTenants(self.uris, **options)

    def create(self, slug: str, strategy: str = COLLECTION, pool: int = 1) -> ObjectId:
        """Create an organization; return its id. By the strategy ``shared`` it shares a collection
        with the others of the ``pool``, by ``database`` it has a database of its own."""
        organization_id = ObjectId()
        placement: dict[str, Any] = {"strategy": strategy, "cluster": MAIN}
        if strategy == SHARED:
            self._make_pool(pool)
            placement |= {"database": self.data.name, "pool": pool}
        else:
            database, collection = self.data.name, own_name(slug)
            if strategy == DATABASE:
                database, collection = database_name(organization_id), DOCUMENTS
            self.client[database].create_collection(collection, check_exists=False)
            uuid = _uuid(self.client[database], collection)
            placement |= {"database": database, "collection": collection, "uuid": uuid}
        self._entries.insert_one(
            {
                "_id": organization_id,
                "slug": slug,
                "state": "active",
                "version": 1,
                "placement": placement,
                "home": self.data.name,
                "epoch": _EPOCH,
                "format": _FORMAT,
            }
        )
        self._claim(slug, organization_id)
        return organization_id

    def rename(self, organization: str | ObjectId, slug: str) -> None:
        """Rename an organization. Its slug before leads to it from now on, too."""
        name = self._name(organization, slug)
        with self.operation(organization, "rename", name) as entry:
            self._place(entry["_id"], name, slug=slug)
            self._slugs.update_one({"_id": entry["slug"]}, {"$set": {"state": "old"}})
            self._claim(slug, entry["_id"])

    def trash(self, organization: str | ObjectId) -> ObjectId:
        """Put an organization into the trash; return its id. Its slugs are free then."""
        entry = self.entry(organization)
        name = f"trash_{entry['_id']}"
        with self.operation(entry["_id"], "trash", name):
            if entry["placement"]["strategy"] == SHARED:
                self.advance_pool(entry["placement"]["pool"])
            self._place(entry["_id"], name, state="trashed")
            self._slugs.delete_many({"organization": entry["_id"]})
        return entry["_id"]

    def restore(self, organization_id: ObjectId, slug: str) -> None:
        """Take an organization out of the trash, under this slug."""
        name = self._name(organization_id, slug)
        with self.operation(organization_id, "restore", name):
            self._place(organization_id, name, state="active", slug=slug)
            self._claim(slug, organization_id)

    def purge(self, organization: str | ObjectId) -> ObjectId:
        """Delete an organization's documents for good; return its id."""
        entry = self.entry(organization)
        organization_id, placement = entry["_id"], entry["placement"]
        with self.operation(organization_id, "purge", placement.get("collection", "")):
            if placement["strategy"] == SHARED:
                self.advance_pool(placement["pool"])
                own = {"_id": Shared(organization_id).filters.range}
                self._collection_at(placement).delete_many(own)
            else:
                self._collection_at(placement).drop()
            self.update(organization_id, state="purged")
            self._slugs.delete_many({"organization": organization_id})
        return organization_id

    def limit(self, organization: str | ObjectId, **limits: int) -> None:
        """Set an organization's limits, of ``documents``, ``bytes`` and ``operations`` per second;
        without any it has none. Processes that know it hear of that within seconds."""
        self.update(organization, limits=limits)
        entry = self.entry(organization)
        change = {"limits": limits, "version": entry["version"], "epoch": entry["epoch"]}
        self.data[LIMITS].update_one(
            {"_id": entry["_id"]},
            {"$set": change, "$currentDate": {"changed_at": True}},
            upsert=True,
        )

    def usage(self) -> list[dict[str, Any]]:
        """The reports of processes: the rows of all organizations, in the order of arrival."""
        batches = self.client[reports_of(self.data.name)][USAGE].find(sort=[("until", 1)])
        return [row for batch in batches for row in batch["rows"]]

    def relocate(
        self,
        organization: str | ObjectId,
        strategy: str = COLLECTION,
        cluster: str = MAIN,
        pool: int = 1,
    ) -> None:
        """Move an organization's documents to another place, as the portal does while applications
        read and write."""
        with self.relocating(organization, strategy, cluster, pool):
            pass

    @contextmanager
    def relocating(
        self,
        organization: str | ObjectId,
        strategy: str = COLLECTION,
        cluster: str = MAIN,
        pool: int = 1,
    ) -> Iterator[None]:
        """Likewise, with the body between the two places: reads and writes of the organization wait
        there. Where it raises, nothing is moved."""
        entry, move = self.entry(organization), ObjectId()
        organization_id, source = entry["_id"], entry["placement"]
        self.update(organization_id, operation={"kind": _MOVE})
        left = self._leave(entry, move)
        try:
            yield
            left_at = self._now(source["cluster"], move)
            target = self._arrive(organization_id, strategy, cluster, pool, move)
            self._copy(left, source, target, organization_id)
        except BaseException:
            if source["strategy"] != SHARED:
                left.rename(source["collection"])
            self._end(organization_id)
            raise
        came = {"moved_from": self._uuid_at(source), "left_at": left_at}
        came["moved_at"] = self._now(cluster, move)
        if strategy == SHARED:
            change = {"$set": {"placement": target | came}, "$unset": {"operation": ""}}
            self._entries.update_one({"_id": organization_id}, {**change, "$inc": {"version": 1}})
        else:
            name = self._name(organization_id, entry["slug"], strategy)
            operation = {"kind": _MOVE, "collection": name}
            self.update(organization_id, placement=target | came, operation=operation)
            self._collection_at(target).rename(name)
            self.update(organization_id, **{"placement.collection": name})
            self._end(organization_id)
        if source["strategy"] == SHARED:
            self._collection_at(source).delete_many({"_id": Shared(organization_id).filters.range})
        else:
            left.drop()

    def pool(self, number: int) -> PoolEntry:
        """The directory's entry of a shared collection."""
        return PoolEntry.from_document(self._pools.find_one({"_id": number}))

    def advance_pool(self, number: int) -> None:
        """Give a shared collection its next name, as the portal does when one of its organizations
        goes into the trash: all others notice nothing."""
        pool, following = self.pool(number), next(self._generations)
        self._pools.update_one({"_id": number}, {"$set": {"next_generation": following}})
        self._databases[pool.cluster][pool.names[0]].rename(pool_name(number, following))
        change = {"$set": {"generation": following}, "$unset": {"next_generation": ""}}
        self._pools.update_one({"_id": number}, change)

    @contextmanager
    def fenced(self, organization: str | ObjectId) -> Iterator[None]:
        """Keep all reads and writes of an organization waiting in the body, as an operation does
        that takes long; also those of others that share its collection."""
        entry = self.entry(organization)
        place = {f"placement.{name}": entry["placement"].get(name) for name in ("uuid", "pool")}
        affected = [each["_id"] for each in self._entries.find(place)]
        name = self._found(entry["_id"]).name
        with ExitStack() as operations:
            for each in affected:
                operations.enter_context(self.operation(each, _MOVE, name))
            self.move(entry["_id"], f"fenced_{entry['_id']}")
            try:
                yield
            finally:
                self.move(entry["_id"], name)

    def fence(self, organization: str | ObjectId, seconds: float) -> threading.Thread:
        """Do so for some seconds, in a thread that has begun when this returns. Raises KeyError."""
        organization_id, begun = self.entry(organization)["_id"], threading.Event()

        def hold() -> None:
            try:
                with self.fenced(organization_id):
                    begun.set()
                    threading.Event().wait(seconds)
            finally:
                begun.set()

        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        begun.wait()
        return thread

    def entry(self, organization: str | ObjectId) -> dict[str, Any]:
        """The directory's entry of an organization. Raises KeyError."""
        key = "_id" if isinstance(organization, ObjectId) else "slug"
        found = self._entries.find_one({key: organization}, sort=[("state", 1)])
        if found is None:
            raise KeyError(organization)
        return found

    def update(self, organization: str | ObjectId, **fields: Any) -> None:
        """Change what the directory says of an organization, as a newer version of it."""
        change: dict[str, Any] = {"$set": fields, "$inc": {"version": 1}}
        self._entries.update_one({"_id": self.entry(organization)["_id"]}, change)

    def move(self, organization: str | ObjectId, name: str) -> None:
        """Rename the collection alone, and leave the directory as it is."""
        found = self._found(organization)
        if found.name != name:
            found.rename(name)

    @contextmanager
    def operation(
        self, organization: str | ObjectId, kind: str, target: str
    ) -> Iterator[dict[str, Any]]:
        """Have the directory tell of a running operation in the body."""
        entry = self.entry(organization)
        self.update(entry["_id"], operation={"kind": kind, "collection": target})
        yield entry
        self._end(entry["_id"])

    def _end(self, organization_id: ObjectId) -> None:
        """Have the directory tell of no operation any more."""
        change = {"$unset": {"operation": ""}, "$inc": {"version": 1}}
        self._entries.update_one({"_id": organization_id}, change)

    def _now(self, cluster: str, move: ObjectId) -> Any:
        """The time of a cluster, after all that was written there."""
        tokens = self._clients[cluster][f"{self._databases[cluster].name}_internal"].moves
        with self._clients[cluster].start_session() as session:
            tokens.update_one({"_id": move}, {"$inc": {"n": 1}}, upsert=True, session=session)
            return session.operation_time

    def _leave(self, entry: dict[str, Any], move: ObjectId) -> Any:
        """Take the collection's name from it, and return it."""
        placement = entry["placement"]
        if placement["strategy"] == SHARED:
            self.advance_pool(placement["pool"])
            return self._collection_at(placement)
        name = LEFT if placement["strategy"] == DATABASE else f"moving_{move}"
        self.move(entry["_id"], name)
        return self._databases[placement["cluster"]].client[placement["database"]][name]

    def _arrive(
        self, organization_id: ObjectId, strategy: str, cluster: str, pool: int, move: ObjectId
    ) -> dict[str, Any]:
        """The placement at which an organization arrives."""
        placement: dict[str, Any] = {"strategy": strategy, "cluster": cluster}
        data = self._databases[cluster]
        if strategy == SHARED:
            self._make_pool(pool, cluster)
            return placement | {"database": data.name, "pool": pool}
        name = f"move_{move}"
        if strategy == DATABASE:
            data, name = data.client[database_name(organization_id)], ARRIVING
        data.create_collection(name, check_exists=False)
        return placement | {
            "database": data.name, "collection": name, "uuid": _uuid(data, name)
        }  # fmt: skip

    def _copy(
        self, left: Any, source: dict[str, Any], target: dict[str, Any], organization_id: ObjectId
    ) -> None:
        """Copy the documents, and between collections of their own the indexes."""
        shared = source["strategy"] == SHARED
        query = {"_id": Shared(organization_id).filters.range} if shared else {}
        raw = DEFAULT_CODEC_OPTIONS.with_options(document_class=RawBSONDocument)
        found = [bytes(each.raw) for each in left.with_options(raw).find(query)]
        documents = [with_unwrapped_id(each) for each in found] if shared else found
        if target["strategy"] == SHARED:
            documents = [with_wrapped_id(each, organization_id) or b"" for each in documents]
        there = self._collection_at(target)
        if documents:
            there.insert_many([RawBSONDocument(each) for each in documents])
        if not shared and target["strategy"] != SHARED:
            indexes = [dict(each) for each in left.list_indexes() if each["name"] != "_id_"]
            for index in indexes:
                there.create_indexes([IndexModel(index.pop("key").items(), **index)])

    def _collection_at(self, placement: dict[str, Any]) -> Any:
        """The collection of a placement."""
        data = self._databases[placement["cluster"]]
        if placement["strategy"] == SHARED:
            return data[self.pool(placement["pool"]).names[0]]
        return data.client[placement["database"]][placement["collection"]]

    def _uuid_at(self, placement: dict[str, Any]) -> Any:
        """The UUID of that collection."""
        pool = placement.get("pool")
        return placement["uuid"] if pool is None else self.pool(pool).uuid

    def _found(self, organization: str | ObjectId) -> Any:
        """The collection, whatever its name."""
        placement = self.entry(organization)["placement"]
        uuid = Binary.from_uuid(self._uuid_at(placement))
        database = self._clients[placement["cluster"]][placement["database"]]
        [found] = database.list_collections(filter={"info.uuid": uuid})
        return database[found["name"]]

    def _name(self, organization: str | ObjectId, slug: str, strategy: str = "") -> str:
        """The collection's name under a slug, by the strategy or a new one."""
        strategy = strategy or self.entry(organization)["placement"]["strategy"]
        return own_name(slug) if strategy == COLLECTION else DOCUMENTS

    def _place(self, organization_id: ObjectId, name: str, **fields: Any) -> None:
        """Give the collection its name, unless others share it, and record that."""
        if self.entry(organization_id)["placement"]["strategy"] != SHARED:
            self.move(organization_id, name)
            fields["placement.collection"] = name
        self.update(organization_id, **fields)

    def _make_pool(self, number: int, cluster: str = MAIN) -> None:
        if self._pools.find_one({"_id": number}) is None:
            generation = next(self._generations)
            name, data = pool_name(number, generation), self._databases[cluster]
            data.create_collection(name, check_exists=False)
            record = {"cluster": cluster, "database": data.name, "uuid": _uuid(data, name)}
            stamp = {"generation": generation, "epoch": _EPOCH, "format": _FORMAT}
            self._pools.insert_one({"_id": number, **record, **stamp})

    def _claim(self, slug: str, organization_id: ObjectId) -> None:
        claim = {"organization": organization_id, "state": "current"}
        stamp = {"epoch": _EPOCH, "format": _FORMAT}
        self._slugs.replace_one({"_id": slug}, {**claim, **stamp}, upsert=True)

    def _drop_databases(self) -> None:
        for entry in self._entries.find({"placement.strategy": DATABASE}):
            placement = entry["placement"]
            self._clients[placement["cluster"]].drop_database(placement["database"])

    @property
    def _entries(self) -> Any:
        return self.master[ORGANIZATIONS]

    @property
    def _slugs(self) -> Any:
        return self.master[SLUGS]

    @property
    def _pools(self) -> Any:
        return self.master[POOLS]


def _uuid(database: Any, collection: str) -> Any:
    [found] = database.list_collections(filter={"name": collection})
    return found["info"]["uuid"]


def _with_database(uri: str, database: str) -> str:
    parts = urlsplit(uri)
    if parts.username and "authSource=" not in parts.query:  # else the path says where the user is
        source = f"authSource={parts.path.strip('/') or 'admin'}"
        parts = parts._replace(query="&".join(filter(None, [parts.query, source])))
    return urlunsplit(parts._replace(path=f"/{database}"))
