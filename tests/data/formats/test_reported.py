"""What people reported about other readers of files."""

from dataclasses import replace

import bson
import pytest
from bson import Binary, DBRef, Decimal128, ObjectId

from portal.data.formats.detection import detect
from portal.data.formats.examining import Examiner
from portal.data.formats.options import Format
from portal.data.formats.reading import read

READ = {
    "quotes beside delimiters": (
        "a.csv",
        'a,b,c\n"1","cnonce="""",nc=""""","2"\n',
        [{"a": 1, "b": 'cnonce="",nc=""', "c": 2}],
    ),
    "a cell of two quotes": ("a.csv", 'id\n""""""\n"test"\n', [{"id": '""'}, {"id": "test"}]),
    "quotes behind backslashes": (
        "a.csv",
        '"F1","F2","F3"\n"UN","DEUX","TROIS"\n"ONE","T\\"WO","THREE"\n"ABC","DEF","GHI"\n',
        [
            {"F1": "UN", "F2": "DEUX", "F3": "TROIS"},
            {"F1": "ONE", "F2": 'T"WO', "F3": "THREE"},
            {"F1": "ABC", "F2": "DEF", "F3": "GHI"},
        ],
    ),
    "a backslash before a quote that is doubled": (
        "a.csv",
        '"A";"B";"C"\n"A """;"B \\""";"C"\n',
        [{"A": 'A "', "B": 'B \\"', "C": "C"}],
    ),
    "quotes inside of cells": (
        "a.csv",
        'a,b\njo"e,sam\n"jo"e",sam\nx,y\n',
        [{"a": 'jo"e', "b": "sam"}, "Something follows the closing quote", {"a": "x", "b": "y"}],
    ),
    "a quoted name in an address": (
        "a.csv",
        'a,b\n"HC 73 BOX 95, "D"","data"\nx,y\n',
        ["Something follows the closing quote", {"a": "x", "b": "y"}],
    ),
    "quotes behind spaces": (
        "a.csv",
        'Year,Score,Title\n1970,  73, "Hi, Mom!"\n',
        ["More cells than columns: a quote behind a space encloses nothing"],
    ),
    "a comma at each end": (
        "a.csv",
        '"Year","Dest",\n2016,"Dallas, TX",\n2017,"Austin, TX",\n',
        [{"Year": 2016, "Dest": "Dallas, TX"}, {"Year": 2017, "Dest": "Austin, TX"}],
    ),
    "an empty last cell": (
        "a.csv",
        "ID,KeyStr,ValueStr\n1,Format,1\n7,TaxID,\n8,TaxName,\n",
        [{"ID": 1, "KeyStr": "Format", "ValueStr": 1}, {"ID": 7, "KeyStr": "TaxID"},
         {"ID": 8, "KeyStr": "TaxName"}],
    ),
    "cells of several lines, some in quotes": (
        "a.csv",
        'part;n;text;other\nres;6;"Cannot load\nPossibly";"불러올\n형식"\n',
        [{"part": "res", "n": 6, "text": "Cannot load\nPossibly", "other": "불러올\n형식"}],
    ),
    "an empty row above the heading, an empty column before it": (
        "a.csv",
        ",,\n\n,email,name\n,a@x.example,Ann\n",
        [{"email": "a@x.example", "name": "Ann"}],
    ),
    "byte order marks": (
        "a.json",
        '\ufeff[{"id": 1},\n{"id": 2}]',
        [{"id": 1}, {"id": 2}],
    ),
    "names of methods as headings": (
        "a.csv",
        "items,keys,价格,constructor,__proto__\n1,2,3,4,5\n",
        [{"items": 1, "keys": 2, "价格": 3, "constructor": 4, "__proto__": 5}],
    ),
    "prices": (
        "a.csv",
        'name,price\na,$1200.50\nb,"1,000"\n',
        [{"name": "a", "price": "$1200.50"}, {"name": "b", "price": "1,000"}],
    ),
    "a field of the name of what it is in": (
        "a.json",
        '[{"_id": "1", "c": {"w": {"w": "123", "n": "m"}, "x": null}}]',
        [{"_id": "1", "c": {"w": {"w": "123", "n": "m"}, "x": None}}],
    ),
    "a Decimal128 in Extended JSON": (
        "a.json",
        '{"_id": {"$oid": "5936a4fe9f8ca2000134087e"}, "q": {"$numberDecimal": "-4"}}',
        [{"_id": ObjectId("5936a4fe9f8ca2000134087e"), "q": Decimal128("-4")}],
    ),
    "an old binary, with a type in hexadecimal digits and without one": (
        "a.json",
        '{"b": {"$binary": "AQI=", "$type": "80"}}\n{"b": {"$binary": "AQI="}}\n',
        [{"b": Binary(b"\x01\x02", 0x80)}, "$binary"],
    ),
    "a reference with a field of its own": (
        "a.json",
        '{"u": {"$ref": "B", "$id": {"$oid": "5588016528c806bf040041a7"}, "$db": "d", "t": "x"}}',
        [{"u": DBRef("B", ObjectId("5588016528c806bf040041a7"), "d", t="x")}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", READ)
def test_what_others_read_wrong_is_read_right_or_told(kind):
    name, text, expected = READ[kind]
    content = text.encode()
    options = detect(content, name).options
    if options.format == Format.CSV:
        examiner = Examiner(options)
        list(examiner.run([content]))
        proposals = examiner.result().proposals
        assert not any(each.questions for each in proposals)
        options = replace(options, columns=tuple(each.column for each in proposals))
    found = [
        bson.decode(record.document) if record.document else record.fault.reason
        for record in read([content], options)
    ]
    told = [each if isinstance(each, dict) else True for each in expected]
    assert [each if isinstance(each, dict) else True for each in found] == told
    for reason, words in zip(found, expected, strict=True):
        assert isinstance(words, dict) or words in reason
