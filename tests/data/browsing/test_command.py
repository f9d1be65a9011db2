"""``flask data list`` and ``count``."""

from bson import Int64

from portal.cli.running import COMMAND_FAILED


def run(app, *arguments):
    return app.test_cli_runner().invoke(args=["data", *arguments])


def test_documents_are_listed_as_they_are_stored(app, stored):
    stored.insert_many([{"_id": n, "n": Int64(n)} for n in range(5)])
    listed = run(app, "list", "acme-corp", "--filter", '{"n": {"$gt": 1}}', "--limit", "2")
    assert listed.stdout.splitlines()[0] == (
        '{ "_id" : { "$numberInt" : "4" }, "n" : { "$numberLong" : "4" } }'
    )
    assert "There are more than these 2." in listed.stderr
    assert run(app, "list", "acme-corp", "--sort", "n", "--relaxed").stdout.startswith(
        '{ "_id" : 0'
    )


def test_documents_are_counted(app, stored):
    stored.insert_many([{"_id": n} for n in range(5)])
    assert run(app, "count", "acme-corp").stdout == "5\n"
    assert run(app, "count", "acme-corp", "--filter", '{"_id": {"$lt": 2}}').stdout == "2\n"


def test_what_can_not_be_read_is_said(app, acme):
    for arguments in (("nobody",), ("acme-corp", "--filter", "{"), ("acme-corp", "--sort", "$x")):
        refused = run(app, "list", *arguments)
        assert refused.exit_code == COMMAND_FAILED
        assert refused.stderr.startswith("Error: ")
