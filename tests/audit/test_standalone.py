"""The script that verifies an export without the portal, tried on real exports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from portal.documents.organizations import Organization

pytestmark = pytest.mark.processes

SCRIPT = Path(__file__).parents[2] / "docs/verify_audit.py"


@pytest.fixture
def exported(lived, visitor, owner):
    """The lines of the trail of Acme Corp, some events by requests, a value of one erased."""
    visitor.post("/organizations/acme-corp/rename", {"organization_name": "Söhne ’& Töchter"})
    visitor.post("/organizations/sohne-tochter/rename", {"organization_name": "Acme Corp"})
    lived(20)
    return visitor.get("/organizations/acme-corp/activity.jsonl").response.text.splitlines()


def verify(tmp_path, lines, *options):
    file = tmp_path / "trail.jsonl"
    file.write_text("".join(f"{line}\n" for line in lines))
    command = [sys.executable, "-I", str(SCRIPT), str(file), *options]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert not ended.stderr
    return ended.returncode, ended.stdout


def changed(line, change):
    row = json.loads(line)
    change(row)
    return json.dumps(row)


def head_of(lines):
    return json.loads(lines[-1])["head"]["hash"]


def test_an_untouched_export_is_whole(tmp_path, exported):
    status, told = verify(tmp_path, exported)
    assert status == 0
    assert told.startswith("Whole: 23 events of ")
    assert Organization.objects.get().audit_head.hash in told
    assert verify(tmp_path, exported, "--head", head_of(exported))[0] == 0


def test_erased_values_leave_it_whole(tmp_path, exported, visitor, master_db):
    erased = {
        f"personal.{name}.{part}": 1 for name in ("email", "address") for part in ("value", "salt")
    }
    master_db.audit_events.update_many({"personal": {"$exists": True}}, {"$unset": erased})
    lines = visitor.get("/organizations/acme-corp/activity.jsonl").response.text.splitlines()
    assert lines != exported
    assert verify(tmp_path, lines)[0] == 0


CHANGES = {
    "action": lambda row: row.update(action="organization.viewed"),
    "time": lambda row: row.update(at="2026-01-01T00:00:00.000Z"),
    "actor": lambda row: row.update(actor="0" * 24),
    "kind of actor": lambda row: row.update(actor_kind="command"),
    "name of actor": lambda row: row.update(actor_name="Somebody"),
    "target": lambda row: row.update(target="0" * 24),
    "session": lambda row: row.update(session="0" * 24),
    "request": lambda row: row.update(request_id="f" * 16),
    "details": lambda row: row["details"].update(name="Else"),
    "e-mail": lambda row: row["personal"]["email"].update(value="else@acme.example"),
    "digest": lambda row: row["personal"]["email"].update(digest="0" * 64),
    "a value less": lambda row: row["personal"].pop("address"),
    "hash": lambda row: row.update(hash="0" * 64),
}


@pytest.mark.attack("L2")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_event_is_named(tmp_path, exported, change):
    lines = [*exported]
    lines[1] = changed(lines[1], change)
    assert verify(tmp_path, lines) == (1, "Broken: event 2 was changed\n")


@pytest.mark.attack("L2")
def test_a_dropped_event_is_named(tmp_path, exported):
    status, told = verify(tmp_path, exported[:4] + exported[5:])
    assert status == 1
    assert "event 5 is missing" in told
    assert "event 1 is missing" in verify(tmp_path, exported[1:])[1]


@pytest.mark.attack("L2")
def test_a_moved_or_repeated_event_is_named(tmp_path, exported):
    one, two, three, *rest = exported
    status, told = verify(tmp_path, [one, three, two, *rest])
    assert status == 1
    assert "event 2 is missing: dropped, moved" in told
    status, told = verify(tmp_path, [one, two, one, three, *rest])
    assert status == 1
    assert "event 1 stands after event 2" in told
    renumbered = [one, changed(three, lambda row: row.update(seq=2)), changed(two, lambda row: row.update(seq=3)), *rest]  # fmt: skip
    assert verify(tmp_path, renumbered) == (1, "Broken: event 2 was changed\n")


@pytest.mark.attack("L2")
def test_a_dropped_end_is_found(tmp_path, exported):
    *events, end = exported
    status, told = verify(tmp_path, [*events[:-1], end])
    assert (status, told) == (1, "Broken: event 23 of 23 is missing\n")
    status, told = verify(tmp_path, events[:-1])
    assert status == 1
    assert "the last line is missing, perhaps with events after event 22" in told


@pytest.mark.attack("L2")
def test_a_tail_dropped_with_care_is_found_by_the_head_that_was_kept(tmp_path, exported):
    head = head_of(exported)
    *events, _, end = exported
    last = json.loads(events[-1])
    forged = changed(end, lambda row: row.update(head={"seq": last["seq"], "hash": last["hash"]}))
    assert verify(tmp_path, [*events, forged])[0] == 0
    status, told = verify(tmp_path, [*events, forged], "--head", head)
    assert status == 1
    assert f"no event has the hash {head}" in told


@pytest.mark.attack("L2")
def test_a_trail_written_anew_is_found_by_the_head_that_was_kept(
    tmp_path, exported, visitor, owner
):
    assert verify(tmp_path, exported, "--head", "0" * 64)[0] == 1


def test_the_feed_is_verified_with_a_head(tmp_path, exported, owner):
    events, after = [], 0
    while page := owner.get(f"/org/acme-corp/audit?after={after}&limit=7").json:
        events += [json.dumps(event) for event in page["events"]]
        after = page["next"]
        if after == page["head"]["seq"]:
            break
    assert verify(tmp_path, events, "--head", page["head"]["hash"])[0] == 0
    assert verify(tmp_path, events)[0] == 1


@pytest.mark.parametrize(
    "lines",
    [["nothing"], ["[]"], ['"x"'], ["{}"], ['{"schema": 2}'], ['{"schema": 1, "kind": "event"}'], ["\udcff"]],
)  # fmt: skip
def test_what_is_no_export_is_told(tmp_path, lines):
    file = tmp_path / "trail.jsonl"
    file.write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    command = [sys.executable, "-I", str(SCRIPT), str(file)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    assert ended.stdout.startswith("Can't be verified: line 1 is no line of an export")


def test_a_filtered_export_is_not_taken_for_a_whole_one(tmp_path, exported, visitor):
    lines = visitor.get(
        "/organizations/acme-corp/activity.jsonl?to=2099-01-01"
    ).response.text.splitlines()
    status, told = verify(tmp_path, lines)
    assert status == 2
    assert "filtered" in told


def test_a_file_that_is_not_there_is_told(tmp_path):
    command = [sys.executable, "-I", str(SCRIPT), str(tmp_path / "nothing")]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
