"""Encoded documents of every type of BSON, as hypothesis makes them, also what no driver decodes."""

import struct

from hypothesis import strategies as st

from portal.tenants.elements import framed

ODD_NAMES = ("", "a.b", "$x", "$oid", "$numberInt", "__proto__", "10", "2", "_id", "é", "\u202e")

# Keys and texts are bytes: nothing checks that what is stored is UTF-8.
names = st.one_of(
    st.sampled_from([name.encode() for name in ODD_NAMES]),
    st.binary(max_size=4).map(lambda name: name.replace(b"\0", b"\xff")),
)
_texts = st.one_of(st.text(max_size=6).map(lambda text: text.encode("utf-8", "replace")),
                   st.binary(max_size=6))  # fmt: skip
_eight = st.binary(min_size=8, max_size=8)
_object_ids = st.binary(min_size=12, max_size=12)


def _sized(text: bytes) -> bytes:
    return struct.pack("<i", len(text) + 1) + text + b"\0"


def _with_scope(parts: tuple[bytes, bytes]) -> bytes:
    code, scope = parts
    content = _sized(code) + scope
    return struct.pack("<i", len(content) + 4) + content


_cstrings = st.binary(max_size=4).map(lambda text: text.replace(b"\0", b""))
_plain = st.one_of(
    st.tuples(st.sampled_from([0x01, 0x09, 0x11, 0x12]), _eight),
    st.tuples(st.sampled_from([0x02, 0x0D, 0x0E]), _texts.map(_sized)),
    st.tuples(
        st.just(0x05),
        st.tuples(st.sampled_from([0, 2, 3, 4, 5, 0x80]), st.binary(max_size=6)).map(
            lambda parts: (
                (
                    struct.pack("<iB", len(parts[1]) + 4, 2) + struct.pack("<i", len(parts[1]))
                    if parts[0] == 2
                    else struct.pack("<iB", len(parts[1]), parts[0])
                )
                + parts[1]
            )
        ),
    ),
    st.tuples(st.sampled_from([0x06, 0x0A, 0x7F, 0xFF]), st.just(b"")),
    st.tuples(st.just(0x07), _object_ids),
    st.tuples(st.just(0x08), st.sampled_from([b"\0", b"\1"])),
    st.tuples(
        st.just(0x0B),
        st.tuples(_cstrings, st.sampled_from([b"", b"im", b"x"])).map(
            lambda parts: parts[0] + b"\0" + parts[1] + b"\0"
        ),
    ),
    st.tuples(st.just(0x0C), st.tuples(_texts.map(_sized), _object_ids).map(b"".join)),
    st.tuples(st.just(0x10), st.binary(min_size=4, max_size=4)),
    st.tuples(st.just(0x13), st.binary(min_size=16, max_size=16)),
)


def _document(fields: list[tuple[bytes, tuple[int, bytes]]]) -> bytes:
    return framed(b"".join(bytes((kind,)) + key + b"\0" + value for key, (kind, value) in fields))


def _inner(values: st.SearchStrategy) -> st.SearchStrategy:
    objects = st.lists(st.tuples(names, values), max_size=4).map(_document)
    lists = st.lists(values, max_size=4).map(
        lambda each: _document([(str(at).encode(), value) for at, value in enumerate(each)])
    )
    scoped = st.tuples(_texts, objects).map(_with_scope)
    return st.one_of(
        st.tuples(st.just(0x03), objects),
        st.tuples(st.just(0x04), lists),
        st.tuples(st.just(0x0F), scoped),
    )


_typed_values = st.recursive(_plain, _inner, max_leaves=8)

values = _typed_values.map(lambda value: _document([(b"", value)]))
"""The BSON of ``{"": value}``."""

documents = st.lists(st.tuples(names, _typed_values), max_size=6).map(_document)
