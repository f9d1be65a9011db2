"""``flask data export`` and ``import``: files in and out without the portal's pages."""

import bson
import pytest

from portal.data.formats.options import Format
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
    assert set(stored.index_information()) == {"_id_", "number_1", "due_-1"}


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
