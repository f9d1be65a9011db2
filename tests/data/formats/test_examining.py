"""A type is proposed only if every value prints back identically; the rest is asked."""

from dataclasses import replace

import pytest

from portal.data.formats.detection import detect
from portal.data.formats.examining import Examiner
from portal.data.formats.mapping import check_mapping
from portal.data.formats.options import Column, ColumnType
from portal.data.formats.reading import read

T = ColumnType


def examined(content, name="x.csv", **options):
    content = content.encode() if isinstance(content, str) else content
    examiner = Examiner(detect(content, name).options, **options)
    assert list(examiner.run([content]))[-1] == len(content)
    return examiner.result()


def proposal_of(*cells, **options):
    quoted = "\n".join('"' + cell.replace('"', '""') + '"' if cell else "," for cell in cells)
    [proposal, *_] = examined(f"x,\n{quoted}\n".replace(",,", ","), **options).proposals
    return proposal


TYPES = [
    (("5", "-7", "0"), T.INT32),
    (("5", "2147483648"), T.INT64),
    (("9007199254740993",), T.INT64),
    (("9999999999999999999",), T.DECIMAL),
    (("1" * 34,), T.DECIMAL),
    (("1" * 35,), T.STRING),
    (("1.5", "0.25"), T.DOUBLE),
    (("1.50", "2.25"), T.DECIMAL),
    (("1", "2.5"), T.DECIMAL),
    (("0.0000001",), T.STRING),
    (("1e5",), T.STRING),
    (("1e-15", "2.5"), T.DOUBLE),
    (("5.477284286264328586719275128128001E-4088",), T.DECIMAL),
    (("1E+9999",), T.STRING),
    (("01067", "10115"), T.STRING),
    (("+49", "5"), T.STRING),
    (("5", "x"), T.STRING),
    (("1e10",), T.STRING),
    (("0x1F",), T.STRING),
    (("-0",), T.DECIMAL),
    (("true", "false"), T.BOOLEAN),
    (("TRUE", "False"), T.BOOLEAN),
    (("yes", "no"), T.BOOLEAN),
    (("yes", "yes"), T.STRING),
    (("1", "0"), T.INT32),
    (("65f0c2d4e8b7a913c0f55e10",), T.OBJECT_ID),
    (("65F0C2D4E8B7A913C0F55E10",), T.STRING),
    (("2026-01-31", "2026-12-01"), T.DATE),
    (("2026-01-31T17:30:00Z",), T.DATE),
    (("2026-01-31T17:30:00+01:00",), T.STRING),
    (("2026-01-31", "2026-02-30"), T.STRING),
    (("31/01/2026", "01/02/2026"), T.DATE),
    (("31/01/2026", "01/31/2026"), T.STRING),
    (("31/1/2026", "1/12/2026"), T.DATE),
    (("NA", "DE"), T.STRING),
    (("1,5", "2,25"), T.DECIMAL),
    (("1.250,00", "12,50"), T.DECIMAL),
    (("1,250.00", "12.50"), T.DECIMAL),
    (("1 250,00",), T.DECIMAL),
    (("1.2.3",), T.STRING),
    (("192.168.1.1",), T.STRING),
    (("91",), T.INT32),
    (("", ""), T.STRING),
]


@pytest.mark.parametrize(("cells", "expected"), TYPES)
def test_a_type_is_proposed_only_if_every_value_prints_back(cells, expected):
    proposal = proposal_of(*cells)
    assert (proposal.column.type, proposal.questions) == (expected, ())


def test_a_proposal_says_what_a_number_would_change_and_in_which_line():
    assert proposal_of("10115", "01067").found == (
        "As a number line 3 would change: 01067 to 1067.",
    )
    assert proposal_of("5", "1e3").found == ("As a number line 3 would change: 1e3 to 1000.0.",)
    assert proposal_of("2026-01-31", "tomorrow").found == ("As a date line 3 is none: tomorrow.",)


@pytest.mark.parametrize(
    ("cells", "layout"),
    [
        (("2015-06-22 01:48:14+00", "2015-06-22 01:48:15+00:00"), "YYYY-MM-DD HH:mm:ssZ"),
        (("2015-06-22 01:48:14.928 +0000 +0000",), "YYYY-MM-DD HH:mm:ss.SSSZ"),
        (("2015-06-22 01:48:14 UTC",), "YYYY-MM-DD HH:mm:ssZ"),
        (("November 3, 2023", "May 12, 2024"), "MMMM D, YYYY"),
        (("3 November 2023",), "D MMMM YYYY"),
        (("May 3, 2023", "Jun 4, 2023"), "MMM D, YYYY"),
    ],
)
def test_dates_of_databases_and_reports_are_proposed(cells, layout):
    proposal = proposal_of(*cells, zone="Europe/Berlin")
    assert (proposal.column.type, proposal.column.layout, proposal.column.zone) == (
        T.DATE,
        layout,
        "",
    )


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("2015-06-22 01:48:14+02", "As a date line 2 is none, or loses its offset: "),
        ("22. Nov. 2015 at noon", "Looks like dates; no layout reads line 2: "),
        ("3rd Nov 2023", "Looks like dates; no layout reads line 2: "),
        ("2023-11-03 5 o'clock", "Looks like dates; no layout reads line 2: "),
    ],
)
def test_what_looks_like_dates_and_stays_text_is_told(cell, words):
    assert proposal_of(cell).found == (f"{words}{cell}.",)


@pytest.mark.parametrize("cell", ["Marketing 2024", "Room 2001", "12345 20201", "1.2.3", "2026"])
def test_what_has_some_digits_is_no_date(cell):
    assert not any("date" in words for words in proposal_of(cell).found)


QUESTIONS = [
    (("03/04/2026", "01/02/2026"), "day_order", ["3 April", "4 March"]),
    (("3/4/2026",), "day_order", ["3 April", "4 March"]),
    (("02/02/2026", "03/04/2026"), "day_order", ["3 April", "4 March"]),
    (("31.12.99",), "century", ["1970 to 2069", "text"]),
    (("1.250",), "number", ["1.250", "1250"]),
    (("1,250", "3,400"), "number", ["1.250", "1250"]),
    (("00112233-4455-6677-8899-aabbccddeeff",), "id", ["UUID", "text"]),
    (("123456789012345678901234",), "id", ["ObjectId", "text"]),
    (('{"a": 1}', "[]"), "json", ["values in Extended JSON", "text"]),
    (("yes", "no", "yes", "n/a"), "word", ["missing", "null", "an error"]),
]


@pytest.mark.parametrize(("cells", "kind", "labels"), QUESTIONS)
def test_what_fits_two_ways_is_asked(cells, kind, labels):
    proposal = proposal_of(*cells)
    [question] = proposal.questions
    assert (question.kind, [choice.label for choice in question.choices]) == (kind, labels)
    kinds = {choice.answered(proposal.column).type for choice in question.choices}
    assert kinds != {proposal.column.type} or kind == "word"


def test_answers_are_added_up():
    proposal = proposal_of("yes", "no", "yes", "no", "n/a", "?")
    column = proposal.column
    for question, place in zip(proposal.questions, (1, 2), strict=True):
        column = question.choices[place].answered(column)
    assert column.words == {"yes": "true", "no": "false", "n/a": "null", "?": "error"}


def test_the_order_of_day_and_month_is_not_asked_where_it_makes_no_difference():
    proposal = proposal_of("02/02/2026", "11/11/2026")
    assert (proposal.column.type, proposal.questions) == ("date", ())
    assert proposal.found == ("Day and month are the same number in every row.",)


def test_one_order_of_day_and_month_is_decided_over_all_rows():
    proposal = proposal_of("03/04/2026 10:00", "31/01/2026 17:30", zone="Europe/Berlin")
    assert proposal.column.layout == "DD/MM/YYYY HH:mm"
    assert proposal.column.zone == "Europe/Berlin"
    assert proposal.found == ("Day first: line 3 has 31/01/2026 17:30. One order for all rows.",)
    assert proposal_of("31/01/2026").column.zone == ""


def test_it_is_told_that_a_day_begins_in_utc():
    for cell in ("2026-01-31", "31/01/2026"):
        proposal = proposal_of(cell, zone="America/New_York")
        assert (proposal.column.type, proposal.column.zone) == ("date", "")
        assert proposal.found[-1] == (
            "Each is 00:00 UTC, and shown and found by the time of America/New_York."
        )
        assert "UTC" not in str(proposal_of(cell, zone="UTC").found)
    for cell in ("2026-01-31 17:30", "2026-01-31T17:30:00Z"):
        assert "UTC" not in str(proposal_of(cell, zone="America/New_York").found)


def test_a_number_of_more_digits_than_an_exponent_counts_is_a_text():
    proposal = proposal_of("5", "0" + "1" * 1_000_001)
    assert proposal.column.type == T.STRING
    assert proposal.found[0].startswith("As a number line 3 would change: 0111")
    assert proposal.found[0].endswith(" to none.")


def test_words_that_look_like_null_stay_and_are_counted():
    assert proposal_of("NA", "DE", "NA").found == ("NA, 2 times, stays the text NA.",)


def test_what_was_counted_is_told():
    text = 'a,b\n1,x\n\n,\n2\n3,y,z\n4,""\n"5"6,x\n'
    found = examined(text)
    assert found.records == 5
    assert (found.lines, found.blank, found.separators_only) == (8, 1, 1)
    assert (found.too_few, found.too_many, found.unreadable) == (1, 1, 1)
    [first, second] = found.proposals
    assert (first.first, first.filled, first.empty) == ("1", 3, 0)
    assert (second.filled, second.empty, second.quoted) == (1, 2, 1)


@pytest.mark.parametrize(
    "around",
    ["\u200b", "\u2060", "\ufeff", "\u00ad", "\u200e", "\u202b", "\u2069", " \u200b\t"],
    ids=ascii,
)
def test_what_is_not_seen_around_a_heading_is_taken_off_and_told(around):
    text = f"n,{around}name{around},name,{around}\n1,x,y,z\n"
    [_, named, twice, none] = examined(text).proposals
    assert named.column.path == ("name",)
    assert "Characters around the heading that can’t be seen are taken off." in named.found
    assert twice.questions[0].words.startswith("A second column is called name.")
    assert none.questions[0].words.startswith("The column has no heading.")


def test_joiners_of_a_heading_stay():
    [column, _] = examined("അവന്\u200d,b\n1,2\n").proposals
    assert column.column.path == ("അവന്\u200d",)


def test_headings_are_trimmed_and_doubles_blanks_and_dots_asked():
    text = "_id, name ,a.b,a.b,,note,$line,$record,$reason\n1,x,y,z,,1,2,3,4\n"
    found = examined(text).proposals
    assert [proposal.column.path for proposal in found[:2]] == [("_id",), ("name",)]
    assert "Blanks around the heading are taken off." in found[1].found
    [dots] = found[2].questions
    assert [choice.answered(found[2].column).path for choice in dots.choices] == [
        ("a", "b"), ("a.b",),
    ]  # fmt: skip
    assert found[3].questions[0].words.startswith("A second column is called a.b.")
    assert found[4].column.type == T.LEFT_OUT
    assert [proposal.column.type for proposal in found[6:]] == [T.LEFT_OUT] * 3
    [indexed, *_] = examined("n[0].a\n1\n").proposals
    assert indexed.questions[0].choices[0].change == {"path": ("n", 0, "a")}
    [nameless] = [each for each in examined("a,\n1,2\n").proposals if not each.column.path[0]]
    assert nameless.questions[0].kind == "heading"


def test_guards_of_a_spreadsheets_export_are_found_and_taken_off():
    proposal = proposal_of("'=1+1", "'@x", "x")
    assert proposal.column.guarded
    assert "' before a formula’s sign, 2 times" in proposal.found[0]
    assert proposal.first == "=1+1"


def test_what_looks_like_a_guard_beside_a_formula_without_one_is_text():
    proposal = proposal_of("'-42", "@y", "-7")
    assert not proposal.column.guarded
    assert (proposal.column.type, proposal.found[0]) == (
        T.STRING,
        "' before a formula’s sign, once, stays, since other cells begin with such a sign.",
    )
    assert proposal_of("'=x", "-7").column.guarded  # numbers have no guard


def test_a_wrong_encoding_far_below_the_head_is_found_and_asked_for():
    content = b"a,b\n" + b"x,y\n" * 100_000 + "Köln,Größe\n".encode("cp1252")
    examiner = Examiner(detect(content[: 256 * 1024], "x.csv").options)
    list(examiner.run([content]))
    found = examiner.result()
    assert (found.unreadable, found.records) == (1, 100_001)
    assert found.candidates[0].lines == ("Köln,Größe",)


def test_a_broken_file_is_told():
    assert examined('a,b\n1,"x\n').fault == "The quote opened in line 2 is never closed."


MAPPINGS = [
    ([("a",), ("a",)], [1], "Another column becomes a too."),
    ([("a",), ("a", "b")], [1], "Another column becomes a, which can’t hold a.b too."),
    ([("a", 0), ("a", 2)], [1], "The list a has an element 2 and none 1."),
    ([("a", 0), ("a", "b")], [0, 1], "a would be a list and a document."),
    ([()], [0], "Give it a field, or leave it out."),
    ([("",)], [0], "Give it a field, or leave it out."),
    ([("a\0",)], [0], "A field’s name has no U+0000."),
    ([("$bson",)], [0], "$bson is the name of whole documents."),
    ([("a.b",), ("a", "b")], [], ""),
    ([("a", 0), ("a", 1), ("$x",), ("__proto__",)], [], ""),
]


@pytest.mark.parametrize(("paths", "places", "reason"), MAPPINGS)
def test_a_mapping_is_checked_before_the_first_row(paths, places, reason):
    faults = check_mapping(tuple(Column("x", path) for path in paths))
    assert [fault.index for fault in faults] == places
    assert {fault.reason for fault in faults} <= {reason}


def test_a_layout_or_zone_that_is_none_is_told_and_so_is_a_mapping_of_nothing():
    dated = [
        Column("x", ("x",), T.DATE, layout=layout, zone=zone)
        for layout, zone in (("DD/MM", ""), ("DD/DD/YYYY MM", ""), ("", "Mars/Base"))
    ]
    reasons = [check_mapping((column,))[0].reason for column in dated]
    assert reasons == [
        "The layout DD/MM has no year, month and day.",
        "The layout DD/DD/YYYY MM names a part of a date twice.",
        "There is no time zone Mars/Base.",
    ]
    assert check_mapping((Column("x", ("x",), T.LEFT_OUT),))[0].reason == (
        "Every column is left out."
    )


@pytest.mark.parametrize(("cells", "expected"), TYPES)
def test_every_value_of_a_proposed_type_is_read(cells, expected):
    text = "x\n" + "\n".join(f'"{cell}"' for cell in cells) + "\n"
    options = detect(text.encode(), "x.csv").options
    proposal = proposal_of(*cells)
    for record in read([text.encode()], replace(options, columns=(proposal.column,))):
        assert record.fault is None
