"""The policy is text that is checked, versioned, and changed by one operator at a time."""

import threading
from datetime import time

import pytest

from portal.documents.audit import AuditEvent
from portal.documents.organizations import Strategy
from portal.documents.placement_policy import PlacementPolicy
from portal.placement import policies
from portal.placement.errors import InvalidPolicy, PolicyChanged
from portal.placement.policies import DEFAULT, Moves, current_policy
from tests.factories import a_context

ALL = '[[place]]\nstrategy = "collection"\n'
TIERS = """
[[place]]
plans = ["large"]
strategy = "database"

[[place]]
first = 3
strategy = "collection"

[[place]]
strategy = "shared"
"""


def faults_of(text):
    with pytest.raises(InvalidPolicy) as refused:
        policies.set_policy(text, 0, {"main"}, a_context())
    assert PlacementPolicy.objects.count() == 0
    return refused.value.faults


def test_until_one_is_set_the_default_is_in_force(app):
    assert current_policy().version == 0
    assert current_policy().rule_for(None, lambda: 0).strategy == Strategy.COLLECTION


def test_the_first_rule_that_matches_decides(in_force):
    policy = in_force(TIERS)
    for plan, organizations, strategy in (
        ("large", 9, "database"),
        ("small", 2, "collection"),
        (None, 2, "collection"),
        ("small", 3, "shared"),
    ):
        assert policy.rule_for(plan, lambda: organizations).strategy == strategy  # noqa: B023


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("place = \n", "line 1, column 9", "Invalid value."),
        (ALL + "[guard\n", "line 3, column 7", "Expected"),
        ("", "place", "Missing data"),
        ("place = []\n", "place", "Write one or more rules."),
        ('[[place]]\nstrategy = "sharded"\n', "place, rule 1, strategy", "Must be one of"),
        ("[[place]]\nfirst = 1\n", "place, rule 1, strategy", "Missing data"),
        (ALL + 'plan = "large"\n', "place, rule 1, plan", "Unknown field."),
        (ALL + "first = 0\n", "place, rule 1, first", "greater than or equal to 1"),
        (ALL + "first = true\n", "place, rule 1, first", "Not a valid integer."),
        (ALL + "first = 1.5\n", "place, rule 1, first", "Not a valid integer."),
        (ALL + "plans = []\n" + ALL, "place, rule 1, plans", "Name one or more."),
        (ALL + 'plans = ["Large"]\n' + ALL, "place, rule 1, plans, 0", "lowercase"),
        (ALL + 'plans = ["large\\n"]\n' + ALL, "place, rule 1, plans, 0", "lowercase"),
        (ALL + ALL, "place, rule 2", "No organization gets this far"),
        (ALL + "first = 5\n", "place, rule 1", "for the rest"),
        (ALL + "[guard]\nfull_at_percent = 101\n", "guard, full_at_percent", "100"),
        (ALL + "[limits.main]\nfiles = 9\n", "limits, main, value, files", "Unknown field."),
        (ALL + 'clusters = ["fra-1"]\n', "fra-1", "There is no cluster of this name."),
        (ALL + "[limits.fra-1]\ncollections = 9\n", "fra-1", "There is no cluster of this name."),
        (ALL + "[moves]\nhours = 3\n", "moves, hours", "Not a valid string."),
        (ALL + '[moves]\nhours = "22-5"\n', "moves, hours", "22:00-05:00"),
        (ALL + '[moves]\nhours = "22:00Z-05:00Z"\n', "moves, hours", "22:00-05:00"),
        (ALL + '[moves]\nhours = "24:00-05:00"\n', "moves, hours", "22:00-05:00"),
        (ALL + '[moves]\nhours = "00:00-00:00"\n', "moves, hours", "leave them out for all day"),
        (ALL + "[promote]\nidle_days = 9\n", "promote, idle_days", "Unknown field."),
        (
            ALL + "[promote]\nbytes = 1000\n[demote]\nbytes = 501\n",
            "demote, bytes",
            "Half of what promote has, at most",
        ),
    ],
)
def test_a_fault_is_told_by_its_line_or_field(app, text, place, reason):
    [(found, words)] = faults_of(text).items()
    assert (found, reason in words) == (place, True), words


def test_a_text_without_end_is_refused(app):
    assert "10,000 characters" in faults_of("#" * 10_001)["the text"]


@pytest.mark.parametrize(
    ("hours", "now", "allowed"),
    [
        (None, time(12), True),
        ((time(22), time(5)), time(23, 59), True),
        ((time(22), time(5)), time(4, 59), True),
        ((time(22), time(5)), time(5), False),
        ((time(9), time(17)), time(9), True),
        ((time(9), time(17)), time(17), False),
    ],
)
def test_hours_may_go_past_midnight(hours, now, allowed):
    assert Moves(hours=hours).allowed_at(now) == allowed


def test_a_change_is_one_of_the_version_that_was_read(in_force):
    in_force(ALL)
    with pytest.raises(PolicyChanged) as refused:
        policies.set_policy(TIERS, 0, {"main"}, a_context())
    assert refused.value.version == 1
    assert current_policy().version == 1


def test_of_two_changes_at_once_one_is_made(app):
    outcomes = []

    def change():
        try:
            outcomes.append(policies.set_policy(ALL, 0, {"main"}, a_context()).version)
        except PolicyChanged:
            outcomes.append(None)

    threads = [threading.Thread(target=change) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes, key=str) == [1, None, None, None, None, None]
    assert AuditEvent.objects(action="placement_policy.set").count() == 1


def test_one_of_a_newer_portal_is_passed_over_for_the_one_before(in_force, log):
    in_force(TIERS)
    newer = '[[place]]\nstrategy = "sharded"\n'
    PlacementPolicy(id=2, text=newer, set_at="2026-11-29").save(force_insert=True)
    assert current_policy().version == 1
    assert log.named("placement_policy.not_understood")[0]["version"] == 2


def test_what_show_tells_is_what_set_takes_back(command, tmp_path):
    shown = command("placements", "policy", "show").stdout
    assert shown == f"# Version 0\n{DEFAULT}"
    file = tmp_path / "policy.toml"
    file.write_text(shown.replace('"collection"', '"shared"'))
    assert command("placements", "policy", "set", str(file)).stdout == "Version 1 is in force.\n"
    assert current_policy().rule_for(None, lambda: 0).strategy == Strategy.SHARED
    assert command("placements", "policy", "show").stdout.startswith("# Version 1\n# Where")
    again = command("placements", "policy", "set", str(file))
    assert again.returncode == 2
    assert "at version 1 meanwhile" in again.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ALL, "The first line has to name the version"),
        ("# Version 0\n\nplace = \n", "line 3, column 9: Invalid value."),
    ],
)
def test_a_file_that_is_refused_changes_nothing(command, tmp_path, text, words):
    file = tmp_path / "policy.toml"
    file.write_text(text)
    refused = command("placements", "policy", "set", str(file))
    assert refused.returncode == 2
    assert words in refused.stderr
    assert current_policy().version == 0
