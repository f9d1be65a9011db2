"""Operations of each kind, and what is there after them."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pymongo
import pytest


def in_a_loop(coroutine):
    """Its result, from an event loop in a thread: a browser's driver may occupy this one's."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


own_collection = pytest.mark.parametrize("strategy", ["collection"])
"""Of tests about a collection's name, its indexes, or what only an own one has."""


def at_once(actions):
    """Call all of them at the same moment; what each returned."""
    ready = threading.Barrier(len(actions))

    def act(action):
        ready.wait(60)
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(act, actions))


def ids(found):
    return [document["_id"] for document in found]


def told(changed):
    return changed.matched_count, changed.modified_count


WRITES = {
    "insert_one": lambda store: store.insert_one({"_id": "new"}),
    "insert_many": lambda store: store.insert_many([{"_id": "new"}, {"_id": "newer"}]),
    "update_one": lambda store: store.update_one({"_id": 1}, {"$inc": {"n": 1}}),
    "replace_one": lambda store: store.replace_one({"_id": 1, "n": 0}, {"n": 7}),
    "delete_one": lambda store: store.delete_one({"n": 0}),
    "update_many": lambda store: store.update_many({"n": 0}, {"$inc": {"n": 1}}),
    "delete_many": lambda store: store.delete_many({"_id": {"$gt": 1}}),
    "bulk_write": lambda store: store.bulk_write(
        [pymongo.InsertOne({"_id": "new"}), pymongo.UpdateMany({"n": 0}, {"$inc": {"n": 1}})]
    ),
    "find_one_and_update": lambda store: store.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}}),
}


def in_a_transaction(store):
    with store.transaction() as transaction:
        transaction.insert_one({"_id": "new"})
        transaction.update_many({"_id": 0}, {"$inc": {"n": 1}})


WRITES["transaction"] = in_a_transaction

READS = {
    "find_one": lambda store: store.find_one(1),
    "find": lambda store: store.find().to_list(),
    "count_documents": lambda store: store.count_documents({}),
    "aggregate": lambda store: store.aggregate([{"$group": {"_id": "$n"}}]).to_list(),
    "list_indexes": lambda store: store.list_indexes().to_list(),
}
TYPICAL = ("update_one", "transaction", "find")


def each_operation_with(what, first, second):
    """Each operation with the first, and a write, a transaction and a read with the second; ``make
    faults`` tries the others, too."""
    both = [
        pytest.param(name, given, id=f"{name}-{given}", marks=marks)
        for name in (*WRITES, *READS)
        for given, marks in ((first, ()), (second, () if name in TYPICAL else pytest.mark.full))
    ]
    return pytest.mark.parametrize(("name", what), both)


FEW = [{"_id": n, "n": 0} for n in range(4)]
AFTERWARDS = {
    "insert_one": [*FEW, {"_id": "new"}],
    "insert_many": [*FEW, {"_id": "new"}, {"_id": "newer"}],
    "update_one": [{"_id": n, "n": int(n == 1)} for n in range(4)],
    "replace_one": [{"_id": n, "n": 7 if n == 1 else 0} for n in range(4)],
    "delete_one": FEW[1:],
    "update_many": [{"_id": n, "n": 1} for n in range(4)],
    "delete_many": FEW[:2],
    "bulk_write": [*({"_id": n, "n": 1} for n in range(4)), {"_id": "new"}],
    "find_one_and_update": [{"_id": n, "n": int(n == 1)} for n in range(4)],
    "transaction": [*({"_id": n, "n": int(n == 0)} for n in range(4)), {"_id": "new"}],
}
VERBS = {
    "insert_one": "insert",
    "insert_many": "insert",
    "update_one": "update",
    "replace_one": "update",
    "delete_one": "delete",
}
