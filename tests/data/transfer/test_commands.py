"""``flask data export`` and ``import``: files in and out without the portal's pages."""

from datetime import UTC, datetime

import bson
import pytest

from portal.data.formats.options import Format
from portal.data.transfer.files import Purpose, files_of
from tests.data.transfer.conftest import lines
from tests.data.transfer.test_dump_indexes import dump
from tests.data.transfer.test_exports import DOCUMENTS, digests


@pytest.mark.parametrize("kind", list(Format))
def test_what_is_exported_is_imported_again(acme, stored, app, command, tmp_path, kind):
    stored.insert_many(DOCUMENTS)
    before = digests(stored)
    told = app.test_cli_runner().invoke(
        args=["data", "export", "acme-corp", "--format", kind.value]
    )
    assert told.exit_code == 0, told.output
    file = tmp_path / f"acme.{kind}"
    file.write_bytes(told.stdout_bytes)
    stored.delete_many({})
    told = command("data", "import", "acme-corp", str(file))
    assert (told.returncode, told.stdout) == (0, "53 inserted, 0 replaced, 0 errors\n")
    assert digests(stored) == before


def test_an_export_may_have_a_filter(acme, stored, app):
    stored.insert_many([{"_id": 1}, {"_id": 2}])
    arguments = ["data", "export", "acme-corp", "--format", "bson", "--filter", '{"_id": 2}']
    told = app.test_cli_runner().invoke(args=arguments)
    assert bson.decode_all(told.stdout_bytes) == [{"_id": 2}]


def test_csv_may_be_without_types_and_guard(acme, stored, command):
    stored.insert_one({"_id": 1, "text": "=1", "note": "x"})
    export = ("data", "export", "acme-corp", "--format", "csv", "--untyped")
    assert command(*export).stdout == "_id,text,note\n1,'=1,x\n"
    told = command(*export, "--unguarded", "--field", "text")
    assert told.stdout == "text\n=1\n"
    assert "Not in the file: _id of 1 document, note of 1 document." in told.stderr
    refused = command("data", "export", "acme-corp", "--format", "bson", "--field", "text")
    assert refused.returncode == 2


def test_a_dry_run_tells_and_writes_nothing(acme, stored, command, tmp_path):
    file = tmp_path / "orders.jsonl"
    file.write_bytes(lines({"_id": 1}) + b"[1]\n")
    told = command("data", "import", "acme-corp", str(file), "--dry-run")
    assert told.returncode == 0
    assert "2 records, 1 wrong" in told.stderr
    assert "line 2, record 2" in told.stderr
    assert stored.count_documents({}) == 0
    refused = command("data", "import", "acme-corp", str(file))
    assert (refused.returncode, stored.count_documents({})) == (2, 1)
    assert "1 records failed, 0 may" in refused.stderr


def test_what_has_to_be_answered_is_told_and_text_needs_no_answer(acme, stored, command, tmp_path):
    file = tmp_path / "orders.csv"
    file.write_text("due,postcode\n03/04/2026,01067\n")
    refused = command("data", "import", "acme-corp", str(file))
    assert refused.returncode == 2
    assert "--text" in refused.stderr
    assert command("data", "import", "acme-corp", str(file), "--text").returncode == 0
    assert stored.find_one({}, {"_id": 0}) == {"due": "03/04/2026", "postcode": "01067"}


def test_questions_are_told_with_their_answers_which_options_give(acme, stored, command, tmp_path):
    file = tmp_path / "orders.csv"
    file.write_text("due,a.b,n,n\n03/04/2026,1,2,3\n")
    arguments = ("data", "import", "acme-corp", str(file))
    refused = command(*arguments)
    assert refused.returncode == 2
    for told in (
        "due: Every row fits both orders.", "    1: 3 April", "    2: 4 March",
        "a.b: a.b reads as a path.", "#4: A second column is called n.",
    ):  # fmt: skip
        assert told in refused.stderr
    for wrong, words in (
        ("due=5 May", "due has no question with the answer 5 May"),
        ("due=3", "    2: 4 March"),
        ("paid=1", "paid=1 names no column. The file has due, a.b, #3, #4."),
        ("n=1", "Say #3, #4."),
    ):
        assert words in command(*arguments, "--answer", wrong).stderr
    assert files_of(acme, Purpose.IMPORT, 1) == []
    answers = ("--answer", "a.b=2", "--answer", "due=3 April", "--field", "#4=m")
    done = command(*arguments, *answers)
    assert done.returncode == 0, done.stderr
    due = datetime(2026, 4, 3, tzinfo=UTC)
    assert stored.find_one({}, {"_id": 0}) == {"due": due, "a.b": 1, "n": 2, "m": 3}


def test_several_questions_of_a_column_are_answered_in_their_order(acme, stored, command, tmp_path):
    file = tmp_path / "orders.csv"
    file.write_text("due\n03/04/26\n")
    arguments = ("data", "import", "acme-corp", str(file))
    assert command(*arguments, "--answer", "due=2", "--answer", "due=1").returncode == 0
    assert stored.find_one({}, {"_id": 0}) == {"due": datetime(2026, 3, 4, tzinfo=UTC)}


def test_columns_without_a_heading_are_named_or_left_out_also_as_text(
    acme, stored, command, tmp_path
):
    file = tmp_path / "orders.csv"
    file.write_text("n,,,m\n1,2,,4\n")
    arguments = ("data", "import", "acme-corp", str(file))
    for more in ((), ("--text",)):
        refused = command(*arguments, *more)
        assert refused.returncode == 2
        assert "  #2: " in refused.stderr
        assert "#3" not in refused.stderr  # it is empty
    for more in (("--field", "#2=x"), ("--answer", "#2=left out", "--text")):
        assert command(*arguments, *more).returncode == 0
    assert list(stored.find({}, {"_id": 0})) == [{"n": 1, "x": 2, "m": 4}, {"n": "1", "m": "4"}]


def test_how_a_file_is_read_is_asked_with_the_options_that_say_it(acme, stored, command, tmp_path):
    file = tmp_path / "orders.csv"
    file.write_bytes("café,n\nété,1\n".encode("windows-1252"))
    refused = command("data", "import", "acme-corp", str(file))
    assert refused.returncode == 2
    assert "  --encoding windows-1252 reads café,n" in refused.stderr
    assert files_of(acme, Purpose.IMPORT, 1) == []
    arguments = ("data", "import", "acme-corp", str(file), "--encoding", "windows-1252")
    assert command(*arguments).returncode == 0
    assert stored.find_one({}, {"_id": 0}) == {"café": "été", "n": 1}


@pytest.mark.parametrize("dry_run", [True, False])
def test_records_that_fail_are_written_to_a_file_which_is_imported_after_mending(
    acme, stored, command, tmp_path, dry_run
):
    file, errors = tmp_path / "orders.csv", tmp_path / "errors.csv"
    file.write_text("_id,n\n1,2\n1,3\n")
    arguments = ("data", "import", "acme-corp", str(file), "--errors", str(errors))
    told = command(*arguments, "--may-fail", "100", *(["--dry-run"] if dry_run else []))
    assert told.returncode == 0, told.stderr
    assert "$line,$record,$reason" in errors.read_text()
    errors.write_text(errors.read_text().replace("1,3,", "2,3,"))
    assert command("data", "import", "acme-corp", str(errors)).stdout.startswith("1 inserted")
    assert stored.find_one({"_id": 2}) == {"_id": 2, "n": 3}


def test_a_refused_import_has_its_error_file_too(acme, stored, command, tmp_path):
    file, errors = tmp_path / "orders.jsonl", tmp_path / "errors.jsonl"
    file.write_bytes(lines({"_id": 1}) + b"[1]\n")
    arguments = ("data", "import", "acme-corp", str(file), "--may-fail", "0")
    refused = command(*arguments, "--errors", str(errors))
    assert refused.returncode == 2
    assert errors.read_bytes().startswith(b'{"$error"')
    assert errors.read_bytes().endswith(b"\n[1]\n")
    assert command(*arguments, "--errors", str(tmp_path / "no" / "errors")).returncode != 0
    assert "another file" in command(*arguments, "--errors", str(file)).stderr
    assert file.read_bytes().endswith(b"[1]\n")


def test_a_dump_without_its_collection_is_told_what_there_is(acme, stored, command, tmp_path):
    file = tmp_path / "dump.tar"
    file.write_bytes(dump())
    for member in ((), ("--member", "dump/shop/customers.bson")):
        refused = command("data", "import", "acme-corp", str(file), *member)
        assert refused.returncode == 2
        assert "  --member dump/shop/orders.bson\n" in refused.stderr
    assert files_of(acme, Purpose.IMPORT, 1) == []
    file = tmp_path / "orders.jsonl"
    file.write_bytes(lines({"_id": 1}))
    refused = command("data", "import", "acme-corp", str(file), "--member", "orders")
    assert "leave --member out" in refused.stderr


def test_documents_are_replaced_by_a_field(acme, stored, command, tmp_path):
    stored.insert_one({"_id": "old", "n": 1})
    file = tmp_path / "orders.jsonl"
    file.write_bytes(lines({"n": 1, "new": True}))
    told = command("data", "import", "acme-corp", str(file), "--replace", "n")
    assert told.stdout == "0 inserted, 1 replaced, 0 errors\n"
    assert stored.find_one() == {"_id": "old", "n": 1, "new": True}


def test_indexes_of_a_dump_are_built_too(acme, stored, app, tmp_path):
    file = tmp_path / "dump.tar"
    file.write_bytes(dump())
    arguments = ["data", "import", "acme-corp", str(file), "--indexes"]
    told = app.test_cli_runner().invoke(args=[*arguments, "--member", "dump/shop/orders.bson"])
    assert told.exit_code == 0, told.output
    assert "number_1: ready\ndue_-1: ready\nat_1: not built, since" in told.stdout
    assert "name_1: Its option collation" in told.stdout
    built = {"_id_", "number_1", "due_-1", "texts", "gone_1"}
    assert set(stored.index_information()) == built


def test_columns_are_decided_as_before(acme, stored, app, tmp_path):
    file = tmp_path / "orders.csv"
    file.write_text("due,n\n03/04/2026,1\n")
    arguments = ["data", "import", "acme-corp", str(file)]
    refused = app.test_cli_runner().invoke(args=[*arguments, "--as-before"])
    assert "No file with these headings" in refused.output
    assert app.test_cli_runner().invoke(args=[*arguments, "--text"]).exit_code == 0
    told = app.test_cli_runner().invoke(args=[*arguments, "--as-before"])
    assert told.exit_code == 0, told.output
    assert [doc["n"] for doc in stored.find()] == ["1", "1"]
