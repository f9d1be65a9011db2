"""The shape of documents: what a random sample has, and links that match exactly what they say."""

import datetime

import pytest
from bson import Binary, DatetimeMS, Decimal128, Int64, ObjectId, Timestamp, decode, encode
from bson.codec_options import CodecOptions, DatetimeConversion
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portal.data.access import operator_access
from portal.data.shape import sampling
from portal.data.shape.fields import MOST_FIELDS, Survey
from portal.data.shape.sampling import shape_of
from portal.organizations.storage import tenant_of


def rows(shape):
    return {row.name: row for row in shape.fields}


@pytest.fixture
def shape(acme, stored):
    def shape(documents):
        stored.delete_many({})
        stored.insert_many(documents)
        return shape_of(operator_access(acme))

    return shape


def matches_what_it_says(acme, shape):
    """Each link's filter finds as many documents as it says."""
    handle = tenant_of(acme)
    for row in shape.fields:
        for found in row.outliers:
            assert handle.count_documents(found.filter) == found.documents, (row.name, found)


def test_fields_types_and_values_are_told(shape, acme):
    read = shape(
        [
            {
                "_id": ObjectId() if n else "20402",
                "number": f"WO-{n + 10}" if n > 1 else "",
                "status": "Done" if n == 3 else ("done", "waiting")[n % 2],
                "hours": "0.5" if n == 4 else 900.0 if n == 5 else n % 8 / 2,
                "parts": [{"count": n}] * (n % 3),
                "due": DatetimeMS(10**15)
                if n == 6
                else datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC),
                "photo": Binary(b"\xff\xd8\xff\xe0" * n),
            }
            for n in range(40)
        ]
    )
    told = rows(read)
    assert (read.read, read.total, read.complete) == (40, 40, True)
    assert told["_id"].types == "ObjectId 97.5 %, text 2.5 %"
    assert [found.words for found in told["_id"].outliers] == ["1: text ids"]
    assert told["number"].values == "5 characters"
    assert [found.words for found in told["number"].outliers] == ["2: empty text"]
    assert [found.words for found in told["status"].outliers] == ["1: “Done”"]
    assert set(told["status"].examples) == {"done 50 %", "waiting 48 %", "Done 2.5 %"}
    assert [found.words for found in told["hours"].outliers] == ["1: text", "1: over 10"]
    assert told["hours"].values == "0 to 900"
    assert told["due"].values == "1 Nov 2026 to year 33658"
    assert [found.words for found in told["due"].outliers] == ["1: after 9999"]
    assert told["parts"].types == "list of objects"
    assert told["parts"].values == "0 to 2, mostly 0"
    assert told["parts.count"].values == "1 to 38"
    assert told["photo"].values == "0 B to 156 B"
    matches_what_it_says(acme, read)


def test_a_text_from_right_to_left_leaves_its_share_behind_it(shape):
    read = shape([{"customer": "ایران" if n % 2 else "Acme"} for n in range(8)])
    assert set(rows(read)["customer"].examples) == {"\u2068ایران\u2069 50 %", "Acme 50 %"}


def test_keys_that_are_ids_fold_into_one(shape):
    read = shape([{"readings": {str(ObjectId()): {"at": n, "value": 2.5}}} for n in range(50)])
    told = rows(read)
    folded = told["readings.‹24 hex digits›"]
    assert folded.different_keys == 50
    assert len(folded.keys) == 50
    assert folded.outliers == ()
    assert told["readings.‹24 hex digits›.value"].values == "2.5"
    assert len(read.fields) == 5


def test_as_many_fields_as_can_be_read_are_told(shape):
    read = shape([{f"field {n}": n for n in range(10_000)}])
    assert len(read.fields) == MOST_FIELDS
    assert read.more_fields


def test_a_list_of_very_many_is_not_read_to_its_end(shape):
    read = shape([{"vector": [0.5] * 100_000}])
    assert read.more_fields
    assert rows(read)["vector"].values == "100000"


def test_large_documents_make_a_smaller_sample(shape, monkeypatch):
    monkeypatch.setattr(sampling, "MOST_BYTES", 100_000)
    read = shape([{"text": "x" * 20_000} for _ in range(20)])
    assert read.read < 20
    assert not read.complete


def test_a_slow_server_makes_a_smaller_sample(shape, monkeypatch):
    monkeypatch.setattr(sampling, "SAMPLING_SECONDS", 0)
    read = shape([{"n": n} for n in range(20)])
    assert (read.read, read.total, read.complete) == (1, 20, False)


def test_more_documents_than_a_sample_are_counted_apart(shape, acme, monkeypatch):
    monkeypatch.setattr(sampling, "SAMPLED", 100)
    read = shape([{"n": n if n % 10 else str(n)} for n in range(300)])
    assert (read.read, read.total, read.complete) == (100, 300, False)
    [found] = rows(read)["n"].outliers
    assert found.words == "30: text"
    matches_what_it_says(acme, read)
    monkeypatch.setattr(sampling, "MOST_COUNTED_IN", 200)
    [found] = rows(shape_of(operator_access(acme)))["n"].outliers
    assert found.documents is None
    assert found.words.endswith(" %: text")


def test_an_empty_collection_has_no_shape(acme):
    read = shape_of(operator_access(acme))
    assert (read.fields, read.read, read.complete) == ((), 0, True)


NAMES = st.sampled_from(["a", "b", "a.b", "$x", "", "0", "__proto__", "65f0c2d4a1b2c3d4e5f60718"])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.integers(2**40, 2**41).map(Int64),
    st.sampled_from([0.5, -0.0, float("nan"), float("inf")]), st.sampled_from(["", "x", "X", "done"]),
    st.just(ObjectId()), st.just("65f0c2d4a1b2c3d4e5f60718"), st.just(DatetimeMS(10**15)),
    st.just(DatetimeMS(-(10**15))), st.just(Decimal128("sNaN")), st.just(Binary(b"")),
    st.just(Timestamp(1, 1)), st.just([]), st.just({}),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(NAMES, v, max_size=3), max_leaves=6
)
DOCUMENTS = st.lists(st.dictionaries(NAMES, VALUES, max_size=5), min_size=1, max_size=12)
EXACT = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(documents=DOCUMENTS)
@example(documents=[{"a": [[{"a": None}, {"a": ObjectId()}]]}])
@example(documents=[{"a": [[[{"a": None}, {"a": ObjectId()}]]]}, {"a": [{"a": ObjectId()}]}])
def test_each_link_matches_exactly_what_it_says(acme, stored, documents):
    stored.delete_many({})
    stored.insert_many([{"_id": n, "data": each} for n, each in enumerate(documents)])
    matches_what_it_says(acme, shape_of(operator_access(acme)))


@settings(max_examples=100, deadline=None)
@given(documents=DOCUMENTS)
def test_any_document_can_be_surveyed(documents):
    survey = Survey()
    for document in documents:
        encoded = encode(document)
        survey.add(encoded)
        assert decode(encoded, EXACT) is not None
    assert survey.documents == len(documents)
    assert len(list(survey.walk())) >= survey.fields
