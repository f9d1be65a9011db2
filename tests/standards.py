"""Runs the tests that MongoDB publishes for drivers: ``make standards``.

They come in PyMongo's source distribution. The BSON corpus goes through the data API of a portal,
the unified CRUD tests through the library, in both forms and with the rights of an application.
"""

import json
import re
import sys
import tarfile
from collections import Counter
from pathlib import Path

import bson
import pymongo
import requests
from bson.raw_bson import RawBSONDocument

from portal.data import extended_json
from portal.data.errors import InvalidExtendedJson
from portal.tenants.arguments import raw_without_id
from portal.tenants.elements import field_of, with_id_in_front
from portal.web.static_files import TOP
from tests.factories import a_key, an_organization
from tests.standalone import standalone_portal
from tests.unified_crud import check_crud

RAW = bson.CodecOptions(document_class=RawBSONDocument)
DECIMAL = "0x13"
LOG = TOP / "build" / "standards.log"  # the portal's


def main(archive):
    with tarfile.open(archive) as packed:
        files = {
            "/".join(Path(each.name).parts[2:]): json_of(packed, each)
            for each in packed
            if re.search(r"/test/(bson_corpus|crud/unified)/[^/]+\.json$", each.name)
        }
    corpus = [json.loads(text) for name, text in files.items() if name.startswith("bson_corpus")]
    crud = {Path(name).stem: text for name, text in files.items() if name.startswith("crud")}
    if not (corpus and crud):
        sys.exit(f"{archive} has no such tests")
    differences = [*check_corpus(corpus), *check_crud(crud)]
    print(*differences, sep="\n")
    sys.exit(bool(differences))


def json_of(packed, member):
    return packed.extractfile(member).read().decode()


# The BSON corpus


def check_corpus(corpus):
    """The differences of what the data API stores and answers."""
    counts, differences = Counter(), []
    with (
        LOG.open("w") as log,
        standalone_portal(workers=1, stderr=log) as running,
        pymongo.MongoClient(running.admin_uri) as client,
    ):
        organization = an_organization("Acme Corp")
        key = a_key(organization, None, ["documents.read", "documents.write"])
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {key}"
        url = f"{running.url}/org/acme-corp/documents"
        stored = client.tenant_alone.get_collection(organization.placement.collection, RAW)
        for file in corpus:
            for case in file.get("valid", ()):
                told = compare(case, session, url, stored)
                counts["lossy" if case.get("lossy") else "valid"] += 1
                differences += told if not case.get("lossy") else ()
                counts["other spellings"] += "degenerate_extjson" in case
            for case in file.get("parseErrors", ()):
                counts["parse errors"] += 1
                text = case["string"]
                if file["bson_type"] == DECIMAL:
                    text = json.dumps({"d": {"$numberDecimal": text}})
                if send(session, url, text).status_code != 422:
                    differences.append(f"taken: {file['description']}: {case['description']}")
    print(f"BSON corpus: {dict(counts)}, {len(differences)} differences", flush=True)
    return differences


def compare(case, session, url, stored):
    """What of a vector isn't stored and answered to the byte."""
    expected = with_id_in_front(bytes.fromhex(case["canonical_bson"]))
    has_id = field_of(expected, "_id") is not None
    stored.delete_many({})
    sent = send(session, url, case["canonical_extjson"])
    if sent.status_code != 201:
        return [f"{case['description']}: refused {sent.text}"]
    there = stored.find_one()
    answer = session.get(f"{url}/{sent.json()['addresses'][0]}")
    back = RawBSONDocument(extended_json.parse(json.dumps(answer.json()["document"])))
    found = {"stored": there, "answered": back}
    told = {what: (each if has_id else raw_without_id(each)).raw for what, each in found.items()}
    if "degenerate_extjson" in case:
        told["other spelling"] = read(case["degenerate_extjson"])
    return [f"{case['description']}: {what}" for what, raw in told.items() if raw != expected]


def send(session, url, text):
    return session.post(url, data=text.encode(), headers={"Content-Type": "application/json"})


def read(text):
    try:
        return with_id_in_front(extended_json.parse(text))
    except InvalidExtendedJson:
        return b""


if __name__ == "__main__":
    main(sys.argv[1])
