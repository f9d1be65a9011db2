"""Every ``_id`` has an address, and an address is never guessed."""

import base64
from dataclasses import replace

import bson
import pytest
from bson import Decimal128, Int64, ObjectId
from bson.binary import Binary

from portal.data.document_ids import address_of, parse_document_id
from portal.data.errors import InvalidDocumentId
from portal.data.etags import etag_of, matches
from portal.settings import activate, current

ID = "6b0bfaa698c9c3e915f0b483"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (ID, ObjectId(ID)),
        (f'"{ID}"', ID),
        ("42", 42),
        ("-1", -1),
        ("0.5", 0.5),
        ("0042", "0042"),
        ("order-17", "order-17"),
        ("mara@acme.example", "mara@acme.example"),
        ("e5e781f9-2947-4198-adca-f4d452e98c1a", "e5e781f9-2947-4198-adca-f4d452e98c1a"),
        ("1e5781f9-2947-4198-adca-f4d452e98c1a", "1e5781f9-2947-4198-adca-f4d452e98c1a"),
        ("0060517123", "0060517123"),
        ("12e4", "12e4"),
        ("5E400", "5E400"),
        ("1.5e3", 1500.0),
        ("abc.DFG.123", "abc.DFG.123"),
        ("true", True),
        ("null", None),
        ('""', ""),
        ('{"b":1,"a":{"$numberLong":"2"}}', {"b": 1, "a": Int64(2)}),
        ('{"$numberDecimal":"1.50"}', Decimal128("1.50")),
    ],
)
def test_an_address_is_read_by_stated_rules(text, meant):
    assert parse_document_id(text) == bson.encode({"": meant})


@pytest.mark.parametrize(
    "value",
    ["", "a/b", "..", "%2F", "~x", ID, None, -5, Int64(5), 5.0, {"b": 1, "a": 2}, Binary(b"\0", 4)],
    ids=repr,
)
def test_the_exact_address_leads_to_any_id(value):
    encoded = bson.encode({"": value})
    address = address_of(encoded)
    assert parse_document_id(address) == encoded
    assert set(address) <= set("~-_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


def base64_of(document):
    return "~" + base64.urlsafe_b64encode(document).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "text",
    ["~", "~!", "~AAAA", "a b", "{", '{"a":1,"a":2}', "[", "\0", "~" + "A" * 1000,
     base64_of(bson.encode({"_id": 1})), base64_of(bson.encode({"": 1, "b": 2})),
     base64_of(bson.encode({"": 1})[:-1]), base64_of(b"\x08\0\0\0\x14\0\0\0")],
)  # fmt: skip
def test_what_stands_for_no_value_is_refused(text):
    with pytest.raises(InvalidDocumentId):
        parse_document_id(text)


@pytest.mark.attack("Q3")
def test_an_etag_is_of_the_bytes_the_organization_and_the_secret():
    acme, kestrel = ObjectId(), ObjectId()
    five, as_long = bson.encode({"a": 5}), bson.encode({"a": Int64(5)})
    tags = {etag_of(acme, five), etag_of(acme, as_long), etag_of(kestrel, five)}
    assert len(tags) == 3
    assert matches(etag_of(acme, five), acme, five)
    assert matches("*", acme, five)
    assert matches(f'"x", {etag_of(acme, five)}', acme, five)
    assert not matches(f"W/{etag_of(acme, as_long)}", acme, five)
    # As proxies hand on what they compressed: nginx, Apache, Jetty.
    tag = etag_of(acme, five)
    for handed_on in (f"W/{tag}", f'{tag[:-1]}-gzip"', f'W/{tag[:-1]}--gzip"'):
        assert matches(handed_on, acme, five)
    assert not matches(tag.strip('"'), acme, five)
    assert not matches(f'{tag[:-1]}x-gzip"', acme, five)
    before = current()
    tag = etag_of(acme, five)
    try:
        activate(replace(before, secret_key="n" * 40, secret_key_fallbacks=(before.secret_key,)))
        assert etag_of(acme, five) != tag
        assert matches(tag, acme, five)
    finally:
        activate(before)
