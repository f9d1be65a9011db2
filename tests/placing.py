"""Where an organization's documents are stored, read without the portal's code."""

import re

OWN_DATABASE = re.compile("t_[0-9a-f]{24}")
PORTALS_OWN = {"portal_budgets", "portal_limits"}
"""What the portal has in the tenant database beside the organizations' collections."""


def homes(tenant, elsewhere=()):
    """Each tenant database, with what tells whether a placement, or a pool, is on its cluster: all
    are in ``tenant`` but for those of the clusters ``elsewhere``, by name."""
    others = dict(elsewhere)
    yield tenant, lambda placed: placed.get("cluster") not in others
    for name, database in others.items():
        yield database, lambda placed, name=name: placed.get("cluster") == name


def strategy_of(organization):
    return organization["placement"].get("strategy", "collection")


def collection_of(tenant, organization, pools):
    """The collection with the organization's documents, on the server of the ``tenant`` database."""
    placement = organization["placement"]
    if strategy_of(organization) == "shared":
        pool = next(pool for pool in pools if pool["_id"] == placement["pool"])
        return tenant[pool_name(pool)]
    return tenant.client[placement.get("database") or tenant.name][placement["collection"]]


def documents_of(tenant, organization, pools):
    """The organization's documents by ``_id``, as it knows them."""
    collection = collection_of(tenant, organization, pools)
    if strategy_of(organization) != "shared":
        return list(collection.find().sort("_id", 1))
    found = collection.find({"_id.o": organization["_id"]}).sort("_id", 1)
    return [{**document, "_id": document["_id"]["i"]} for document in found]


def store(tenant, organization, pools, *documents):
    """Write documents as they are stored."""
    if strategy_of(organization) == "shared":
        owner = organization["_id"]
        documents = [{**each, "_id": {"o": owner, "i": each["_id"]}} for each in documents]
    collection_of(tenant, organization, pools).insert_many(documents)


def pool_name(pool):
    return f"shared_{pool['_id']}_{pool['generation']}"


def own_databases(client):
    """The databases that look like organizations' own."""
    wanted = {"name": {"$regex": f"^{OWN_DATABASE.pattern}$"}}
    return [client[found["name"]] for found in client.list_databases(filter=wanted, nameOnly=True)]


def collections_on(tenant):
    """Their UUIDs by name, but for the portal's own; those in organizations' own databases as
    ``database.name``."""
    others = {"name": {"$nin": [*PORTALS_OWN]}}
    found = {c["name"]: c["info"]["uuid"].as_uuid() for c in tenant.list_collections(filter=others)}
    for database in own_databases(tenant.client):
        for c in database.list_collections():
            found[f"{database.name}.{c['name']}"] = c["info"]["uuid"].as_uuid()
    return found


def collection_called(tenant, name):
    """The collection that ``collections_on`` calls so."""
    database, _, own = name.partition(".")
    return tenant.client[database][own] if own else tenant[name]
