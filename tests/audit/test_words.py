"""Actions in words: each is told, and can be told apart where one is chosen."""

import re
from pathlib import Path

from portal.audit.words import WORDS, actions_by_group, describe_event, title_of
from portal.permissions import ALL
from portal.permissions import WORDS as PERMISSION_WORDS

TOP = Path(__file__).parents[2]
RECORDED = re.compile(r'record\(\s*[\w.()=\[\]]+,\s*"([a-z_.]+)"')


def test_every_action_that_is_recorded_has_words():
    recorded = {
        action
        for module in (TOP / "portal").rglob("*.py")
        for action in RECORDED.findall(module.read_text())
    }
    assert "organization.renamed" in recorded
    assert recorded <= set(WORDS)


def test_those_to_choose_from_have_titles_of_their_own():
    choices = [choice for _, choices in actions_by_group() for choice in choices]
    titles = [title for _, title in choices]
    assert len(set(titles)) == len(titles)
    assert not any("{" in title for title in titles)
    elsewhere = (
        "account.", "application.", "cluster.", "doctor.", "installation.", "mails.", "operator.",
        "operator_key.", "person.", "placement_policy.", "process.", "provisioning_key.",
    )  # fmt: skip
    assert {action for action, _ in choices} == {a for a in WORDS if not a.startswith(elsewhere)}
    assert [group for group, _ in actions_by_group()] == sorted({g for g, _ in actions_by_group()})


def test_what_only_a_newer_version_knows_is_told_by_its_action():
    assert describe_event("organization.painted", {}, None) == "organization.painted"
    assert title_of("organization.renamed") == "Renamed from … to …"


def test_permissions_are_told_in_words():
    assert set(PERMISSION_WORDS) == ALL
    details = {"name": "Sync", "may": "members.view, organization.painted"}
    told = describe_event("key.created", details, None)
    assert told == "API key “Sync” made: see its members, organization.painted"
