"""What must be true of the databases whenever no operation runs, written without the portal's code."""

import hashlib
import json
import re
from collections import Counter

from tests.placing import (
    OWN_DATABASE,
    collection_called,
    collections_on,
    homes,
    pool_name,
    strategy_of,
)

STATES = {"active", "trashed", "purged"}
STRICTNESS = ("read-only", "locked", "hidden")
OF_TRASH = {"trashed_at", "trashed_by", "purge_at"}


def check_whole(master, tenant, *, idle_accounts=(), strangers=(), elsewhere=()):
    """Fail where anything is half or stray; the organizations that there are.

    An account has a membership, or owned what was purged, but for ``idle_accounts``. Collections
    of ``strangers`` are there, and are no organization's. All organizations are in ``tenant``, but
    for those of clusters whose databases are ``elsewhere``.
    """
    organizations = list(master.organizations.find())
    assert not [o for o in organizations if o.get("operation") is not None]
    assert {o["state"] for o in organizations} <= STATES
    kept = [o for o in organizations if o["state"] != "purged"]
    tombstones = [o for o in organizations if o["state"] == "purged"]
    for home, is_here in homes(tenant, elsewhere):
        here = [[o for o in some if is_here(o["placement"])] for some in (kept, tombstones)]
        pools = [pool for pool in master.pools.find() if is_here(pool)]
        _check_collections(home, pools, *here, strangers)
        _check_credentials(master, home, here[0], strangers)
    _check_suspensions(master, organizations)
    _check_slugs(master, organizations)
    _check_people(master, kept, tombstones, idle_accounts)
    _check_chains(master, organizations)
    return organizations


def _check_collections(tenant, pools, kept, tombstones, strangers):
    found = collections_on(tenant)
    for name in strangers:
        found.pop(name)
    for pool in pools:
        assert pool.get("next_generation") is None or pool["generation"]
        if pool["generation"]:
            assert found.pop(pool_name(pool), None) == pool["uuid"]
    own = [o for o in kept if strategy_of(o) != "shared"]
    names = {uuid: name for name, uuid in found.items()}
    recorded = {o["placement"]["uuid"]: recorded_name(o["placement"]) for o in own}
    assert set(names) == set(recorded)
    for uuid, name in recorded.items():
        # Where a stranger has the name there is none to give.
        assert names[uuid] == name or name in strangers
    for organization in own:
        assert organization["placement"]["collection"] == _collection_of(organization)
    dropped = {(o.get("placement") or {}).get("uuid") for o in tombstones}
    assert not dropped & set(names)
    for pool in pools:
        _check_pool(tenant, pool, kept)


def recorded_name(placement):
    """Its collection's, as ``collections_on`` calls it."""
    database = placement.get("database")
    return f"{database}.{placement['collection']}" if database else placement["collection"]


def _check_pool(tenant, pool, kept):
    """Nobody's documents are in it but its organizations'."""
    if not pool["generation"]:
        return
    inside = {o["_id"] for o in kept if o["placement"].get("pool") == pool["_id"]}
    assert set(tenant[pool_name(pool)].distinct("_id.o")) <= inside


def _check_credentials(master, tenant, kept, strangers):
    """A user and a role for each that is recorded, which reaches its organization's collection and
    no other, and nothing in the trash."""
    ids = {o["_id"]: o for o in kept}
    recorded = {
        user["name"]: credential["organization"]
        for credential in master.credentials.find({"organization": {"$in": [*ids]}})
        for user in credential["users"]
    }
    reached = _reached(tenant)
    assert set(reached) == set(recorded) == _users(tenant)
    for name, organization_id in recorded.items():
        organization = ids[organization_id]
        collection = recorded_name(organization["placement"])
        reachable = organization["state"] == "active" and collection not in strangers
        reachable = reachable and organization.get("restricted") in (None, "read-only")
        assert reached[name] == ([collection] if reachable else [])


def _check_suspensions(master, organizations):
    """Each organization is restricted to the strictest of those that are open."""
    suspensions = list(master.suspensions.find({"open": True}))
    for organization in organizations:
        own = [s["kind"] for s in suspensions if s["organization"] == organization["_id"]]
        strictest = max(own, key=STRICTNESS.index, default=None)
        assert organization.get("restricted") == strictest or organization["state"] == "purged"


def _users(tenant):
    found = tenant.client.admin["system.users"].find(_in_tenant_databases(tenant))
    return {user["user"] for user in found}


def _reached(tenant):
    """The collections that each role reaches, as ``recorded_name`` calls them."""
    found = tenant.client.admin["system.roles"].find(_in_tenant_databases(tenant))
    return {
        role["role"]: [_name_of(tenant, one["resource"]) for one in role["privileges"]]
        for role in found
    }


def _in_tenant_databases(tenant):
    """A filter of users and roles: those of the tenant database and of organizations' own."""
    return {"$or": [{"db": tenant.name}, {"db": OWN_DATABASE}]}


def _name_of(tenant, resource):
    own = resource["db"] != tenant.name
    return f"{resource['db']}.{resource['collection']}" if own else resource["collection"]


def _collection_of(organization):
    restricted = organization.get("restricted")
    kept = {None: "active", "read-only": "readonly"}.get(restricted, "locked")
    kept = "trashed" if organization["state"] == "trashed" else kept
    if strategy_of(organization) == "database":
        return f"portal_{kept.replace('active', 'tenant')}_documents"
    if kept != "active":
        return f"{kept.replace('trashed', 'trash')}_{organization['_id']}"
    return "org_" + organization["slug"].replace("-", "_")


def _check_slugs(master, organizations):
    claims = list(master.slugs.find())
    current = {c["organization"]: c["_id"] for c in claims if c["state"] == "current"}
    active = {o["_id"]: o["slug"] for o in organizations if o["state"] == "active"}
    assert current == active
    assert len([c for c in claims if c["state"] == "current"]) == len(active)
    others = [c for c in claims if c["state"] != "current"]
    assert {c["state"] for c in others} <= {"old"}, "a rename's claim outlived it"
    assert {c["organization"] for c in others} <= set(active)
    assert all(c["held_until"] for c in others)


def _check_people(master, kept, tombstones, idle_accounts):
    memberships = list(master.memberships.find())
    pairs = Counter((m["organization"], m["account"]) for m in memberships)
    assert set(pairs.values()) <= {1}
    owned = {m["organization"] for m in memberships if m["role"] == "owner"}
    ids = {o["_id"] for o in kept}
    assert owned == ids, "an organization without an owner, or the other way round"
    assert {m["organization"] for m in memberships} <= ids
    members = {m["account"] for m in memberships}
    accounts = set(master.accounts.distinct("_id"))
    assert members <= accounts
    owners_once = {account for o in tombstones for account in o["owners"]}
    assert owners_once <= accounts
    assert accounts - members <= owners_once | set(idle_accounts)
    assert set(master.sessions.distinct("account")) <= accounts
    for organization in [*kept, *tombstones]:
        state, fields = organization["state"], {f for f, v in organization.items() if v is not None}
        assert state != "active" or not fields & OF_TRASH
        assert state != "trashed" or fields >= OF_TRASH
        assert (state == "purged") == bool(fields & {"purged_at", "owners"})


def _check_chains(master, organizations):
    """Events follow each other without a gap, each sealed over the one before, up to the head."""
    subjects = [*organizations, *master.accounts.find(), *master.installation.find()]
    heads = {s["_id"]: s.get("audit_head") for s in subjects}
    chains = {}
    for event in master.audit_events.find().sort([("chain", 1), ("seq", 1)]):
        chains.setdefault(event["chain"], []).append(event)
    assert set(chains) <= set(heads), "a chain of nothing"
    assert {o["_id"] for o in organizations} <= set(chains), "an organization without a chain"
    for subject, head in heads.items():
        events = chains.get(subject, [])
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        sealed = ""
        for event in events:
            sealed = _hash_of(event, sealed)
            assert event["hash"] == sealed
        told = head or {"seq": 0, "hash": ""}
        assert (told["seq"], told["hash"]) == (len(events), sealed)


def _hash_of(event, before):
    digests = {}
    for name, personal in event.get("personal", {}).items():
        digests[name] = personal["digest"]
        if personal.get("value") is not None:  # it may have been erased
            salted = personal["salt"] + personal["value"]
            assert personal["digest"] == hashlib.sha256(salted.encode()).hexdigest()
    content = {
        "chain": str(event["chain"]),
        "seq": event["seq"],
        "at": round(event["at"].timestamp() * 1000),
        "action": event["action"],
        "actor": str(event["actor"]) if event.get("actor") else None,
        "request_id": event.get("request_id"),
        "details": event.get("details", {}),
        "personal": digests,
    }
    for name in ("actor_kind", "actor_name", "target", "session"):
        if event.get(name):
            content[name] = str(event[name])
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256((before + canonical).encode()).hexdigest()


def picture(master, tenant):
    """What the databases say but for ids, times and attempts, in lines: two pictures are equal
    where nobody could tell which way they came to be so."""
    organizations = list(master.organizations.find())
    lines = [
        *(f"organization {_outline(o)}" for o in organizations),
        *(f"slug {claim | {'held_until': 'held_until' in claim}}" for claim in master.slugs.find()),
        *(f"membership {m}" for m in master.memberships.find({}, {"_id": 0, "since": 0})),
        *(f"account {account}" for account in master.accounts.distinct("_id")),
        *(f"session of {session['account']}" for session in master.sessions.find()),
        *(f"link for {asked['email']}" for asked in _usable_links(master)),
        *(
            f"event {event['seq']} of {event['chain']}: {event['action']} {event.get('details')}"
            for event in master.audit_events.find()
        ),
        *(
            f"collection {_but_generation(name)}: {uuid} {_content(collection_called(tenant, name))}"
            for name, uuid in collections_on(tenant).items()
        ),
        *(
            f"suspension {s['_id']} of {s['organization']}: {s['kind']}, {s.get('open')}, "
            f"{s.get('failure')}, {'lifted_at' in s}"
            for s in master.suspensions.find()
        ),
        *(f"pool {pool['_id']}: {pool.get('uuid')}" for pool in master.pools.find()),
        *(
            f"credential of {c['organization']}: {[user['name'] for user in c['users']]}"
            for c in master.credentials.find()
        ),
        *(f"role {name}: {reached}" for name, reached in _reached(tenant).items()),
        *(f"user {name}" for name in _users(tenant)),
    ]
    names = dict.fromkeys(collections_on(tenant).values(), "nobody's")
    names |= {pool["uuid"]: "a pool's" for pool in master.pools.find({"uuid": {"$ne": None}})}
    names |= _names(organizations) | {a["_id"]: a["email"] for a in master.accounts.find()}
    # Ids that two processes make within a second are in any order.
    suspensions = enumerate(master.suspensions.find().sort("at", 1))
    names |= {suspension["_id"]: f"suspension {number}" for number, suspension in suspensions}
    for credential in master.credentials.find():
        names |= {user["name"]: "its user" for user in credential["users"]}
    text = "\n".join(lines)
    for identity, name in names.items():
        text = text.replace(str(identity), f"<{name}>")
    return sorted(text.splitlines())


def _but_generation(name):
    """Of a pool: however many fences there were."""
    return re.sub(r"(shared_\d+)_\d+", r"\1", name)


def _usable_links(master):
    """Of sign-ups that wait for their address: over is what the address got an account by."""
    accounts = master.accounts.distinct("_id")
    return master.pending_sign_ups.find({"account": {"$nin": accounts}})


def _names(organizations):
    """Of their ids and those of their collections."""
    names, called = {}, Counter()
    for organization in sorted(organizations, key=lambda o: o["created_at"]):
        called[organization["name"]] += 1
        names[organization["_id"]] = f"{organization['name']} {called[organization['name']]}"
        if uuid := organization["placement"].get("uuid"):
            names[uuid] = f"{organization['name']}'s"
    return names


def _outline(organization):
    times = {"created_at", "audit_head", *OF_TRASH, "warn_at", "warned_of", "purged_at"}
    # Another id with each change, until it is listed.
    apart = {*times, "operation", "turned_back", "version", "version_at", "unlisted"}
    shown = {field: value for field, value in organization.items() if field not in apart}
    running = organization.get("operation") or {}
    what = ("kind", "collection", "name", "slug", "failure")
    operation = {field: running[field] for field in what if field in running}
    return shown, sorted(times & organization.keys()), operation


def _content(collection):
    return list(collection.find().sort("_id", 1)), sorted(collection.index_information())
