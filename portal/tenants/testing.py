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
members, pages and the audit trail are left out.
"""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from bson import Binary, ObjectId
from pymongo import MongoClient

from . import AsyncTenants, Tenants
from .directory import COLLECTION, MAIN, ORGANIZATIONS, SLUGS
from .reports import reports_of

_EPOCH = 1


class FakePortal:
    """A directory and a tenant database, in which the test does what people do in the portal.

    Organizations are named by their current slug, or their id.
    """

    def __init__(self, uri: str) -> None:
        name = f"tenants_test_{secrets.token_hex(6)}"
        self.uri = _with_database(uri, f"{name}_master")
        """The URI for ``Tenants``."""
        self.client: MongoClient[dict[str, Any]] = MongoClient(
            uri, uuidRepresentation="standard", connect=False
        )
        self.master = self.client[f"{name}_master"]
        self.data = self.client[f"{name}_data"]
        for view in (ORGANIZATIONS, SLUGS):
            self.master.create_collection(view, check_exists=False)

    def __enter__(self) -> "FakePortal":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the databases."""
        self.client.drop_database(self.data)
        self.client.drop_database(reports_of(self.data.name))
        self.client.drop_database(self.master)
        self.client.close()

    def clear(self) -> None:
        """Delete all organizations, which is quicker than another ``FakePortal``."""
        for name in self.data.list_collection_names():
            self.data.drop_collection(name)
        for view in (ORGANIZATIONS, SLUGS):
            self.master[view].delete_many({})

    def tenants(self, **options: Any) -> Tenants:
        """``Tenants`` over these databases, as the application makes them."""
        return Tenants(self.uri, **options)

    def async_tenants(self, **options: Any) -> AsyncTenants:
        """``AsyncTenants`` over these databases, as the application makes them."""
        return AsyncTenants(self.uri, **options)

    def create(self, slug: str) -> ObjectId:
        """Create an organization; return its id."""
        organization_id, collection = ObjectId(), _collection(slug)
        self.data.create_collection(collection, check_exists=False)
        self._entries.insert_one(
            {
                "_id": organization_id,
                "slug": slug,
                "state": "active",
                "version": 1,
                "placement": {
                    "strategy": COLLECTION,
                    "cluster": MAIN,
                    "database": self.data.name,
                    "collection": collection,
                    "uuid": self._uuid(collection),
                },
                "epoch": _EPOCH,
                "format": 1,
            }
        )
        self._claim(slug, organization_id)
        return organization_id

    def rename(self, organization: str | ObjectId, slug: str) -> None:
        """Rename an organization. Its slug before leads to it from now on, too."""
        with self.operation(organization, "rename", _collection(slug)) as entry:
            self.move(entry["_id"], _collection(slug))
            self.update(entry["_id"], slug=slug, **{"placement.collection": _collection(slug)})
            self._slugs.update_one({"_id": entry["slug"]}, {"$set": {"state": "old"}})
            self._claim(slug, entry["_id"])

    def trash(self, organization: str | ObjectId) -> ObjectId:
        """Put an organization into the trash; return its id. Its slugs are free then."""
        organization_id = self.entry(organization)["_id"]
        name = f"trash_{organization_id}"
        with self.operation(organization_id, "trash", name):
            self.move(organization_id, name)
            self.update(organization_id, state="trashed", **{"placement.collection": name})
            self._slugs.delete_many({"organization": organization_id})
        return organization_id

    def restore(self, organization_id: ObjectId, slug: str) -> None:
        """Take an organization out of the trash, under this slug."""
        with self.operation(organization_id, "restore", _collection(slug)):
            self.move(organization_id, _collection(slug))
            collection = {"placement.collection": _collection(slug)}
            self.update(organization_id, state="active", slug=slug, **collection)
            self._claim(slug, organization_id)

    def purge(self, organization: str | ObjectId) -> ObjectId:
        """Delete an organization's documents for good; return its id."""
        entry = self.entry(organization)
        with self.operation(entry["_id"], "purge", entry["placement"]["collection"]):
            self.data.drop_collection(entry["placement"]["collection"])
            self.update(entry["_id"], state="purged")
            self._slugs.delete_many({"organization": entry["_id"]})
        return entry["_id"]

    @contextmanager
    def fenced(self, organization: str | ObjectId) -> Iterator[None]:
        """Keep all reads and writes of an organization waiting in the body, as an operation does
        that takes long."""
        entry = self.entry(organization)
        collection = entry["placement"]["collection"]
        with self.operation(entry["_id"], "move", collection):
            self.move(entry["_id"], f"fenced_{entry['_id']}")
            try:
                yield
            finally:
                self.move(entry["_id"], collection)

    def fence(self, organization: str | ObjectId, seconds: float) -> threading.Thread:
        """Do so for some seconds, in a thread that has begun when this returns."""
        begun = threading.Event()

        def hold() -> None:
            with self.fenced(organization):
                begun.set()
                threading.Event().wait(seconds)

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
        uuid = self.entry(organization)["placement"]["uuid"]
        [found] = self.data.list_collections(filter={"info.uuid": Binary.from_uuid(uuid)})
        if found["name"] != name:
            self.data[found["name"]].rename(name)

    @contextmanager
    def operation(
        self, organization: str | ObjectId, kind: str, target: str
    ) -> Iterator[dict[str, Any]]:
        """Have the directory tell of a running operation in the body."""
        entry = self.entry(organization)
        self.update(entry["_id"], operation={"kind": kind, "collection": target})
        yield entry
        change = {"$unset": {"operation": ""}, "$inc": {"version": 1}}
        self._entries.update_one({"_id": entry["_id"]}, change)

    def _claim(self, slug: str, organization_id: ObjectId) -> None:
        claim = {"organization": organization_id, "state": "current", "epoch": _EPOCH, "format": 1}
        self._slugs.replace_one({"_id": slug}, claim, upsert=True)

    def _uuid(self, collection: str) -> Any:
        [found] = self.data.list_collections(filter={"name": collection})
        return found["info"]["uuid"]

    @property
    def _entries(self) -> Any:
        return self.master[ORGANIZATIONS]

    @property
    def _slugs(self) -> Any:
        return self.master[SLUGS]


def _collection(slug: str) -> str:
    return f"org_{slug.replace('-', '_')}"


def _with_database(uri: str, database: str) -> str:
    parts = urlsplit(uri)
    if parts.username and "authSource=" not in parts.query:  # else the path says where the user is
        source = f"authSource={parts.path.strip('/') or 'admin'}"
        parts = parts._replace(query="&".join(filter(None, [parts.query, source])))
    return urlunsplit(parts._replace(path=f"/{database}"))
