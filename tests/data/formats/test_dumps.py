"""A dump's first page says what was found, what is taken, and what isn't and why."""

import gzip
import io
import json
import tarfile

import bson
import pytest

from portal.data.formats.detection import detect
from portal.data.formats.dumps import list_members, parse_metadata
from portal.data.formats.errors import MetadataUnreadable, TarCut, TarDamaged, TarNameTooLong
from portal.data.formats.options import Format, ReadOptions
from portal.data.formats.reading import read

ORDERS = bson.encode({"_id": 1}) + bson.encode({"_id": 2, "at": bson.Timestamp(0, 0)})
METADATA = json.dumps(
    {
        "indexes": [
            {"v": 2, "key": {"_id": 1}, "name": "_id_"},
            {"v": {"$numberInt": "2"}, "key": {"a": 1, "b": -1}, "name": "a_1_b_-1", "unique": True},
        ],
        "uuid": "0011", "collectionName": "orders/eu", "type": "collection",
        "options": {"capped": True},
    }
).encode()  # fmt: skip


def tar_of(files, mode="w", links=()):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode, format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name, kind, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    return content.getvalue()


def members_of(content, name="dump.tar"):
    found = detect(content, name)
    assert found.is_dump
    return list_members([content], found.options)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_collections_of_a_dump_are_told_with_their_indexes_and_read(mode):
    long = "x" * 200
    files = {
        "dump/shop/orders%2Feu.bson": ORDERS,
        "dump/shop/orders%2Feu.metadata.json": METADATA,
        f"dump/shop/{long}.bson.gz": gzip.compress(ORDERS),
    }
    content = tar_of(files, mode)
    orders, other = members_of(content)
    assert (orders.database, orders.collection, orders.size_bytes) == ("shop", "orders/eu", 40)
    assert [index["name"] for index in orders.metadata.indexes] == ["a_1_b_-1"]
    assert list(orders.metadata.indexes[0]["key"].items()) == [("a", 1), ("b", -1)]
    assert orders.metadata.options == {"capped": True}
    assert (other.collection, other.metadata, other.refusal) == (long, None, None)
    for member in (orders, other):
        options = ReadOptions.of(member.options.stored())
        pieces = [content[start : start + 100] for start in range(0, len(content), 100)]
        records = list(read(pieces, options))
        assert b"".join(record.document for record in records) == ORDERS
        [after] = read(pieces, options, records[0].end)
        assert after.document == records[1].document


def test_what_is_not_taken_is_told_with_the_reason():
    files = {
        "../../etc/x.bson": ORDERS,
        "/etc/x.bson": ORDERS,
        "dump/oplog.bson": ORDERS,
        "dump/admin/system.version.bson": ORDERS,
        "dump/shop/system.buckets.w.bson": ORDERS,
        "dump/shop/system.js.bson": ORDERS,
        "dump/readme.txt": b"x",
    }
    links = [("dump/l.bson", tarfile.SYMTYPE, "/etc/passwd"), ("h.bson", tarfile.LNKTYPE, "x"),
             ("dump/fifo.bson", tarfile.FIFOTYPE, "")]  # fmt: skip
    found = members_of(tar_of(files, links=links))
    assert [member.refusal for member in found] == [
        "Its name leads out of the directory.",
        "Its name leads out of the directory.",
        "It is of the dump itself.",
        "It is of the dump itself.",
        "It has the inner documents of a time series collection.",
        "It belongs to the database server.",
        "It is neither documents nor their metadata.",
        *["It is a link or a device, no file."] * 3,
    ]
    assert all(member.options is None for member in found)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda content: content[:700], TarCut),
        (lambda content: content[:100] + b"\xff" * 60 + content[160:], TarDamaged),
    ],
)
def test_a_tar_that_is_cut_or_damaged_is_refused(change, refusal):
    content = change(tar_of({"a.bson": ORDERS}))
    with pytest.raises(refusal):
        list_members([content], ReadOptions(Format.BSON))


def test_a_header_that_promises_a_huge_name_is_refused_unread():
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 8 * 1024**3
    content = info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024
    with pytest.raises(TarNameTooLong):
        list_members([content], ReadOptions(Format.BSON))


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"indexes": 5}', b'{"indexes": [{}]}'])
def test_metadata_that_is_none_is_refused(content):
    with pytest.raises(MetadataUnreadable):
        parse_metadata(content)


def test_metadata_beside_a_file_is_read_packed_or_not():
    assert parse_metadata(gzip.compress(METADATA)) == parse_metadata(METADATA)
    assert parse_metadata(METADATA).collection == "orders/eu"


def test_metadata_that_can_not_be_read_leave_the_documents():
    [member] = members_of(tar_of({"d/a.bson": ORDERS, "d/a.metadata.json": b""}))
    assert (member.refusal, member.metadata) == (None, None)
    assert member.metadata_fault == "The metadata of a collection can’t be read."


def test_a_member_that_is_gone_is_told():
    [fault] = read([tar_of({"a.bson": ORDERS})], ReadOptions(Format.BSON, member="b.bson"))
    assert fault.fault.reason == "The tar has no file b.bson."
