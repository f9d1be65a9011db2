"""``python -m bench.seed``: fills the master database as if a million organizations had signed up.

Documents go straight into the collections, without collections of their own for the organizations:
lists, search and the console need none. What is common is common and what is rare is rare: plans,
states, sizes, clusters, mail providers, letters that names begin with. The same number gives the
same organizations.
"""

import argparse
import itertools
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
from bson import Binary, ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from portal import clock
from portal.database.paging import in_batches
from portal.documents.accounts import Account
from portal.documents.figures import OrganizationFigures
from portal.documents.listing import ListedOrganization, ListedWord
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization, Slug, SlugState
from portal.documents.usage import ClusterUsage, UsageHour
from portal.operators.listing.feeding import true_rows

_AT_ONCE = 5000
_INDEXING_SECONDS = 3600
_BUSY = 250
_SETTLED = 150
_HOURS = 24
_YEARS = 3
_FIRST = ("ver", "con", "sal", "mar", "nor", "bel", "pri", "tan", "flo", "gra", "alp", "cy", "zen")
_MIDDLE = ("", "da", "ni", "to", "ra", "li", "mo", "ves", "can", "du")
_LAST = ("nt", "x", "ra", "lis", "via", "ton", "na", "mark", "dell", "que", "zo", "th")
_TRADES = (
    "Bakery", "Logistics", "Dental", "Studio", "Foods", "Architects", "Living", "Cycles", "Press",
    "Nurseries", "Roofing", "Lifts", "Consulting", "Software", "Partners", "Gym", "Books", "Media",
)  # fmt: skip
_FORMS = ("", "", "", "GmbH", "Ltd", "& Sons", "SA", "KG")
_DOMAINS = ("gmail.example", "outlook.example", "web.example")
_PLANS = ("free",) * 80 + ("team",) * 15 + ("business",) * 4 + ("enterprise",)
_CLUSTERS = ("main",) * 60 + ("fra-1",) * 25 + ("fra-2",) * 10 + ("iad-1",) * 5
_REGIONS = (None,) * 80 + ("eu",) * 15 + ("us",) * 5
_STATES = ("active",) * 95 + ("trashed",) * 3 + ("purged",) * 2
_STRATEGIES = ("shared",) * 85 + ("collection",) * 14 + ("database",)


@dataclass(frozen=True, slots=True)
class Seeded:
    """One organization with all that stands around it."""

    organization: dict[str, Any]
    slug: dict[str, Any]
    owner: dict[str, Any]
    membership: dict[str, Any]
    figures: dict[str, Any]


def organizations(number: int, now: datetime, *, seed: int = 1) -> Iterator[Seeded]:
    """The organizations, in the order of their ids, the last of a moment ago."""
    chance = random.Random(seed)
    begin, step = now - timedelta(days=365 * _YEARS), timedelta(days=365 * _YEARS) / number
    for n in range(number):
        yield _organization(n, begin + (n + 1) * step, chance, now)


def fill(master: Database, number: int, accounts: int) -> None:
    """Insert ``number`` organizations and ``accounts`` accounts."""
    now = datetime.now(UTC).replace(microsecond=0)
    made = organizations(number, now)
    collections = {
        "organization": Organization, "slug": Slug, "owner": Account,
        "membership": Membership, "figures": OrganizationFigures,
    }  # fmt: skip
    others = accounts - number
    while batch := list(itertools.islice(made, _AT_ONCE)):
        for part, document in collections.items():
            master[document._get_collection_name()].insert_many(
                [getattr(one, part) for one in batch], ordered=False
            )
    for first in range(0, others, _AT_ONCE):
        rest = [
            _account(f"guest{n}@gmail.example", now)
            for n in range(first, min(first + _AT_ONCE, others))
        ]
        master[Account._get_collection_name()].insert_many(rest, ordered=False)


def fill_listing(master: Database) -> None:
    """List them all as the feeder would, but in bulk, and with the indexes made at the end. A
    portal is connected to the database in this process."""
    rows, words = (master[one._get_collection_name()] for one in (ListedOrganization, ListedWord))
    rows.drop_indexes()
    now = clock.now()
    for page in in_batches(Organization, {}):
        listed = true_rows([row["_id"] for row in page], now)
        rows.insert_many([{**row, "fed": row["_id"]} for row in listed], ordered=False)
        found = [{"_id": {"w": w, "o": row["_id"]}} for row in listed for w in row["words"]]
        words.insert_many(found, ordered=False)
    with pymongo.timeout(_INDEXING_SECONDS):
        ListedOrganization.ensure_indexes()


def fill_work(master: Database) -> None:
    """Have some of them work: use of the last 24 hours, minute by minute, and figures that have
    been over the placement policy's thresholds for weeks."""
    now = datetime.now(UTC)
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=_HOURS - 1)
    hours = [first + timedelta(hours=n) for n in range(_HOURS)]
    organizations = master[Organization._get_collection_name()]
    active = organizations.find({"state": "active"}, {"placement": 1}).sort("_id", 1)
    found = list(active.limit(_BUSY))
    own = [
        {"organization": one["_id"], "cluster": one["placement"]["cluster"], **_use(hour, n)}
        for n, one in enumerate(found)
        for hour in hours
    ]
    clusters = [{"cluster": name, **_use(hour, 999)} for name in set(_CLUSTERS) for hour in hours]
    master[UsageHour._get_collection_name()].insert_many(own)
    master[ClusterUsage._get_collection_name()].insert_many(clusters)
    shared = organizations.find(
        {"state": "active", "placement.strategy": "shared", "region": None,
         "created_at": {"$lt": now - timedelta(days=60)}}, {"_id": 1}
    )  # fmt: skip
    for n, one in enumerate(shared.sort("_id", 1).limit(_SETTLED)):
        master[OrganizationFigures._get_collection_name()].update_one(
            one, {"$set": {"over_since": now - timedelta(days=30 + n)}}
        )


def _use(hour: datetime, n: int) -> dict[str, Any]:
    """The counts of an hour in which something was done each minute."""
    counts = {"operations": n + 1, "commands": 1, "bytes_in": 200, "milliseconds": 2}
    minutes = {str(minute): counts for minute in range(60)}
    return {
        "hour": hour,
        "total": {name: 60 * number for name, number in counts.items()},
        "minutes": minutes,
    }


def _organization(n: int, at: datetime, chance: random.Random, now: datetime) -> Seeded:
    own_id = _id_at(at, n)
    word = (
        chance.choice(_FIRST)
        + chance.choice(_MIDDLE)
        + chance.choice(_MIDDLE)
        + chance.choice(_LAST)
    )
    trade, form = chance.choice(_TRADES), chance.choice(_FORMS)
    name = " ".join(filter(None, (word.capitalize(), trade, form)))
    slug = f"{word}-{trade.lower()}-{n}"
    provider = chance.random() < 0.4
    domain = chance.choice(_DOMAINS) if provider else f"{word}-{n}.example"
    owner = _account(f"{chance.choice(_FIRST)}.{word}{n}@{domain}", at)
    state, strategy = chance.choice(_STATES), chance.choice(_STRATEGIES)
    placement: dict[str, Any] = {"strategy": strategy, "cluster": chance.choice(_CLUSTERS)}
    if strategy == "shared":
        placement["pool"] = n % 120
    elif strategy == "collection":
        placement |= {
            "collection": f"org_{slug.replace('-', '_')}",
            "uuid": Binary(own_id.binary + b"seed", 4),
        }
    else:
        placement |= {"database": f"t_{own_id}", "collection": "portal_tenant_documents"}
    organization = {
        "_id": own_id, "name": name, "slug": slug, "state": state, "placement": placement,
        "version": 2, "plan": chance.choice(_PLANS), "created_at": at, "created_by": owner["_id"],
        "audit_head": {"seq": 1, "hash": "0" * 64, "at": at},
    }  # fmt: skip
    if region := chance.choice(_REGIONS):
        organization["region"] = region
    if state == "trashed":
        organization |= {
            "trashed_at": now,
            "purge_at": now + timedelta(days=chance.randrange(1, 30)),
        }
    documents = int(chance.paretovariate(0.5)) % 40_000_000
    idle = timedelta(days=chance.expovariate(1 / 20))
    figures = {
        "_id": own_id, "documents": documents, "bytes": documents * chance.randrange(200, 2000),
        "indexes": 1, "measured_at": now, "used_at": max(at, now - idle),
    }  # fmt: skip
    held = {"_id": slug, "organization": own_id, "state": SlugState.CURRENT}
    membership = {"organization": own_id, "account": owner["_id"], "role": Role.OWNER, "since": at}
    return Seeded(organization, held, owner, membership, figures)


def _account(address: str, at: datetime) -> dict[str, Any]:
    local, _, domain = address.rpartition("@")
    return {
        "_id": ObjectId(), "email": address, "email_key": address,
        "email_by_domain": f"{domain}@{local}", "password_hash": "-",
        "created_at": at, "verified_at": at, "address_generation": 0, "has_second_factor": False,
        "membership_changes": 0, "audit_head": {"seq": 0, "hash": ""},
    }  # fmt: skip


def _id_at(at: datetime, n: int) -> ObjectId:
    """An id as that moment would have given."""
    return ObjectId(int(at.timestamp()).to_bytes(4, "big") + n.to_bytes(8, "big"))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.seed", description=__doc__)
    parser.add_argument("uri", help="of a MongoDB whose master database is empty and prepared")
    parser.add_argument("database")
    parser.add_argument("--organizations", type=int, default=1_000_000)
    parser.add_argument("--accounts", type=int, default=1_200_000)
    asked = parser.parse_args(arguments)
    begin = time.monotonic()
    with MongoClient(asked.uri, tz_aware=True, w=1) as client:
        fill(client[asked.database], asked.organizations, asked.accounts)
    print(f"{asked.organizations:,} organizations in {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
