"""The unified CRUD tests that MongoDB publishes for drivers, over the library in both forms, with the
rights of an application: results, errors, what is stored then, and the options that are sent."""

import re
import tempfile
from collections import Counter
from pathlib import Path

import bson
import pymongo
from bson import json_util
from pymongo import monitoring, results
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from portal import tenants
from portal.serving import mongod
from portal.tenants.errors import NotOffered, TenantError
from tests.standalone import SECRET
from tests.tenants.library.conftest import APPLICATION, Blocking, Loop, fake_portal

CANONICAL = json_util.JSONOptions(tz_aware=True, json_mode=json_util.JSONMode.CANONICAL)
# What the library refuses or does otherwise, by file and description.
DEVIATIONS = {
    r".*-unacknowledged: ": "writes that nobody acknowledges",
    r"aggregate-(merge|out|write).*: |aggregate-let: .* to coll": "stages that write elsewhere",
    r"bypass\w+: .*\$out": "stages that write elsewhere",
    r"estimated\w+: .*--socket error": "a read is sent again although the client says not to",
    r"find: Find with batchSize equal to limit": "is sent as it is, and the cursor ends as well",
}
ELSEWHERE = "of a client or a database"
MODELS = {
    name: getattr(pymongo, name[0].upper() + name[1:])
    for name in ("insertOne", "updateOne", "updateMany", "replaceOne", "deleteOne", "deleteMany")
}
AS_THEY_ARE = {"maxTimeMS", "batchSize", "allowDiskUse", "rawData"}
SENT = {"comment", "let", "hint", "collation", "allowDiskUse", "arrayFilters", "sort", "skip",
        "limit", "batchSize", "upsert"}  # fmt: skip


class Started(monitoring.CommandListener):
    """The commands that are sent."""

    def __init__(self):
        self.commands = []

    def started(self, event):
        self.commands.append(bson.decode(bson.encode(event.command)))

    def succeeded(self, event): ...

    def failed(self, event): ...


def check_crud(files):
    """The differences of what the library does, in both forms."""
    differences = []
    with tempfile.TemporaryDirectory() as folder:
        tests = ("--setParameter", "enableTestCommands=1")
        server, loop = mongod.start(Path(folder), SECRET, *tests), Loop()
        try:
            with (
                pymongo.MongoClient(server.admin_uri) as bare,
                fake_portal(server.admin_uri, bare) as fake,
            ):
                for form in ("sync", "async"):
                    listener = Started()
                    options = {"appname": APPLICATION, "event_listeners": [listener]}
                    if form == "sync":
                        handles = tenants.Tenants(fake.uris, **options)
                    else:
                        handles = Blocking(tenants.AsyncTenants(fake.uris, **options), loop)
                    differences += Run(form, fake, bare, handles, listener).check(files)
                    handles.close()
        finally:
            server.stop()
            loop.close()
    return differences


class Run:
    """A run of the tests over one form of the library."""

    def __init__(self, form, fake, bare, handles, listener):
        self.form, self.fake, self.bare = form, fake, bare
        self.handles, self.listener = handles, listener
        self.version = tuple(bare.server_info()["versionArray"][:3])

    def check(self, files):
        counts, differences, unseen = Counter(), [], {*DEVIATIONS}
        for name, text in sorted(files.items()):
            file = json_util.loads(text, json_options=CANONICAL)
            for test in file["tests"]:
                title = f"{name}: {test['description']}"
                told = self.outcome(file, test)
                known = next((each for each in DEVIATIONS if re.match(each, title)), None)
                if told in ("passed", "not for this server", ELSEWHERE):
                    counts[told] += 1
                elif known:
                    counts[DEVIATIONS[known]] += 1
                    unseen.discard(known)
                else:
                    differences.append(f"{self.form}: {title}: {told}")
        differences += [f"{self.form}: nothing deviates any more: {each}" for each in unseen]
        print(f"CRUD, {self.form}: {dict(counts)}, {len(differences)} differences", flush=True)
        return differences

    def outcome(self, file, test):
        """What became of a test."""
        needs = (file.get("runOnRequirements"), test.get("runOnRequirements"))
        if test.get("skipReason") or not all(map(self._meets, needs)):
            return "not for this server"
        self.fake.clear()
        data = {each["collectionName"]: each["documents"] for each in file.get("initialData", ())}
        made = [each["collection"] for each in file["createEntities"] if "collection" in each]
        names = {each["collectionName"] for each in made} | data.keys()
        ids = {name: self.fake.create(name) for name in names}
        for name, documents in data.items():
            if documents:
                self.fake._found(ids[name]).insert_many(documents)
        entities = {each["id"]: each for each in made}
        self.listener.commands.clear()
        try:
            for operation in test["operations"]:
                self._run(operation, entities, ids)
        except _Elsewhere:
            return ELSEWHERE
        except (AssertionError, PyMongoError, TenantError, TypeError) as error:
            return f"{type(error).__name__}: {str(error)[:200]}"
        finally:
            self.bare.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        for each in test.get("outcome", ()):
            there = list(self.fake._found(ids[each["collectionName"]]).find(sort=[("_id", 1)]))
            if there != each["documents"]:
                return f"left {there}"
        missing = [
            each for each in options_of(test.get("expectEvents", [])) if not self._sent(each)
        ]
        return f"not sent: {missing}" if missing else "passed"

    def _run(self, operation, entities, ids):
        """Execute an operation. Raises AssertionError where it does otherwise than expected."""
        name, given = operation["name"], operation.get("arguments", {})
        if name == "failPoint":
            point = dict(given["failPoint"])
            point["data"] = {**point["data"], "appName": APPLICATION}
            self.bare.admin.command(point)
            return
        if operation["object"] not in entities:
            raise _Elsewhere
        entity = entities[operation["object"]]
        handle = self.handles.by_id(ids[entity["collectionName"]])
        chosen = entity.get("collectionOptions", {})
        kinds = {"writeConcern": WriteConcern, "readConcern": ReadConcern}
        if chosen:
            handle.with_options(
                **{snake(each): kinds.get(each, dict)(**value) for each, value in chosen.items()}
            )
        expected = operation.get("expectError")
        try:
            found = call(handle, name, dict(given))
        except (PyMongoError, TenantError, TypeError, ValueError) as error:
            if expected is None or isinstance(error, NotOffered):
                raise
            check_error(error, expected)
            return
        assert expected is None, f"no error, but {found}"
        if "expectResult" in operation:
            assert matches(operation["expectResult"], found), f"{name} gave {found}"

    def _meets(self, needs):
        return not needs or any(
            version_of(need.get("minServerVersion", "0")) <= self.version
            and self.version <= version_of(need.get("maxServerVersion", "99"))
            and "replicaset" in need.get("topologies", ["replicaset"])
            and need.get("serverless") != "require"
            for need in needs
        )

    def _sent(self, option):
        name, value = option
        sent = options_of(self.listener.commands)
        return any(name == each and matches(value, found) for each, found in sent)


class _Elsewhere(Exception):
    """An operation of a client or a database, which a tenant has not."""


def call(handle, name, given):
    """The result of an operation, as the tests tell it."""
    if name == "bulkWrite":
        requests_ = [(MODELS[kind], each) for each in given.pop("requests") for kind in each]
        made = [model(**as_options(*each.values())) for model, each in requests_]
        return told(handle.bulk_write(made, **as_options(given)))
    first = [pairs(given.pop(each)) for each in ("fieldName", "keys") if each in given]
    if name == "count":
        query = given.pop("filter", {})
        counted = query or given.keys() & {"skip", "limit", "collation"}
        name, first = ("countDocuments", [query]) if counted else ("estimatedDocumentCount", [])
    found = getattr(handle, snake(name))(*first, **as_options(given, name))
    return list(found) if name in ("find", "aggregate") else told(found)


def as_options(given, name=""):
    """Arguments as PyMongo calls them."""
    kept = AS_THEY_ARE if name in ("aggregate", "estimatedDocumentCount") else set()
    options = {each if each in kept else snake(each): value for each, value in given.items()}
    options |= {each: pairs(options[each]) for each in ("sort", "hint") if each in options}
    if "return_document" in options:
        options["return_document"] = options["return_document"] == "After"
    return options


def told(result):
    """A result of PyMongo as the tests tell it; a value as it is."""
    if isinstance(result, results.InsertOneResult):
        return {"insertedId": result.inserted_id}
    if isinstance(result, results.InsertManyResult):
        return {"insertedIds": {str(n): each for n, each in enumerate(result.inserted_ids)}}
    names = ("inserted_count", "matched_count", "modified_count", "deleted_count", "upserted_count")
    if not isinstance(result, results._WriteResult):
        return result
    counts = {camel(name): getattr(result, name) for name in names if hasattr(result, name)}
    if isinstance(result, results.BulkWriteResult):
        upserted = {str(n): each for n, each in (result.upserted_ids or {}).items()}
        return {**counts, "upsertedIds": upserted}
    if isinstance(result, results.UpdateResult):
        counts["upsertedCount"] = int(result.upserted_id is not None)
        counts |= {"upsertedId": result.upserted_id} if counts["upsertedCount"] else {}
    return counts


def check_error(error, expected):
    """Raise AssertionError for an error of another kind, or code, or with another result."""
    refused = isinstance(error, OperationFailure)
    if (is_client := expected.get("isClientError")) is not None:
        assert refused != is_client, error
    if "errorCode" in expected:
        errors = (error.details or {}).get("writeErrors") or [{}]
        assert expected["errorCode"] in (error.code, errors[0].get("code")), error
    if "expectResult" in expected and isinstance(error, BulkWriteError):
        found = results.BulkWriteResult(error.details, True)
        assert matches(expected["expectResult"], told(found)), error.details


def matches(expected, found, *, root=True, missing=False):
    """Tell whether it is what the test expects, by the format's rules."""
    if isinstance(expected, dict):
        special, value = next(iter(expected.items()), ("", None))
        if special.startswith("$$"):
            return {
                "$$exists": lambda: value != missing,
                "$$unsetOrMatches": lambda: missing or found is None or matches(value, found),
                "$$matchAsRoot": lambda: matches(value, found),
                "$$type": lambda: not missing,
            }[special]()
        return (
            isinstance(found, dict)
            and all(
                matches(each, found.get(name), root=False, missing=name not in found)
                for name, each in expected.items()
            )
            and (root or expected.keys() >= found.keys())
        )
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(expected) == len(found)
            and all(
                matches(each, other, root=root) for each, other in zip(expected, found, strict=True)
            )
        )
    return not missing and expected == found


def options_of(value):
    """The options in commands that were sent, or are expected, and their values."""
    if isinstance(value, list):
        for each in value:
            yield from options_of(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name in SENT and each is not False and "$$" not in str(each):
                yield name, each
            if name not in ("filter", "pipeline", "q", "u", "documents", "query"):
                yield from options_of(each)


def pairs(value):
    return list(value.items()) if isinstance(value, dict) else value


def snake(name):
    return re.sub("([A-Z])", lambda found: "_" + found[1].lower(), name)


def camel(name):
    return re.sub("_([a-z])", lambda found: found[1].upper(), name)


def version_of(text):
    return tuple(map(int, text.split(".")))
