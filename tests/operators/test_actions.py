"""Everything that operators do, they do on a page, by the API, or by a command."""

import re
from pathlib import Path

import pytest

from portal.cli import COMMANDS
from tests.operators.actions import ACTIONS

# The groups of commands that act on what the console shows.
GROUPS = {
    *("overview", "lifecycle", "mail", "operators", "people", "organizations", "bulk", "listing"),
    *("placements", "moves", "support", "usage", "limits", "restrictions", "holds", "jobs"),
    "doctor",
}
# The last words of commands that change nothing.
READING = {
    *("list", "show", "search", "notes", "results", "explain", "plan", "plans", "check", "loud"),
    *("list-keys", "operations", "outbox", "processes", "activity", "capacity", "proposals"),
}
# What is for a shell on the machine alone, and why.
BY_COMMAND_ALONE = {
    "lifecycle run": "the portals' own work, done now",
    "listing rebuild": "the portals' own work, done again",
    "placements measure": "the portals' own work, done now",
    "usage roll-up": "the portals' own work, done now",
    "mail test": "tries the settings of the machine that it runs on",
    "moves run": "many moves, paced by the terminal that shows them; in the console a bulk action",
}
# What is read as a file, or is JSON anyway.
WITHOUT_JSON = {"bulk results", "placements policy show", "placements show"}

each_action = pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)


@pytest.fixture(scope="module")
def calls(app):
    """Each call of the API by its ``operationId``."""
    spec = app.test_client().get("/docs/openapi.json").json
    return {
        call["operationId"]: (path, call)
        for path, methods in spec["paths"].items()
        for method, call in methods.items()
        if method != "parameters"
    }


def options_of(words):
    found = {command.name: command for command in COMMANDS}
    for name in words.split():
        command = found[name]
        found = getattr(command, "commands", {})
    return {option for parameter in command.params for option in parameter.opts}


@each_action
def test_it_is_on_a_page_of_the_console(app, action):
    [*rules] = app.url_map.iter_rules(action.page)
    assert all(rule.rule.startswith("/operator") for rule in rules)
    assert any("POST" in rule.methods for rule in rules)
    if action.destroys:
        assert any("GET" in rule.methods for rule in rules)


@each_action
def test_it_is_in_the_api_of_operators(calls, action):
    path, call = calls[action.api]
    assert path.startswith("/admin/")
    if action.destroys:
        assert "dry_run" in {parameter.get("name") for parameter in call["parameters"]}


@each_action
def test_it_is_a_command_that_prints_json(action):
    options = options_of(action.command)
    assert "--json" in options
    if action.destroys:
        assert "--dry-run" in options


def commands_in(group, name):
    """The names of the commands in a group, in groups within it too."""
    for part in getattr(group, "commands", {}).values():
        yield from commands_in(part, f"{name} {part.name}")
    if not hasattr(group, "commands"):
        yield name


def names_of_commands():
    groups = [command for command in COMMANDS if command.name in GROUPS]
    assert len(groups) == len(GROUPS)
    return {name for group in groups for name in commands_in(group, group.name)}


def test_each_command_that_reads_prints_json():
    reading = {name for name in names_of_commands() if name.split()[-1] in READING}
    assert {name for name in reading if "--json" not in options_of(name)} == WITHOUT_JSON


def test_operators_read_of_each_command_that_is_no_page():
    text = (Path(__file__).parents[2] / "docs" / "operators.md").read_text()
    [named] = re.findall(r"By a\ncommand alone: (.+?)\n\n", text, re.S)
    assert set(re.findall(r"`flask (.+?)`", named)) == set(BY_COMMAND_ALONE)


def test_each_command_that_changes_something_is_an_action_or_named_with_its_reason():
    names = names_of_commands()
    changing = {name for name in names if name.split()[-1] not in READING}
    acting = {action.command for action in ACTIONS}
    assert changing - acting == set(BY_COMMAND_ALONE)
    assert acting - names == set()


def test_no_action_is_there_twice():
    for name in ("name", "page", "api", "command"):
        assert len({getattr(action, name) for action in ACTIONS}) == len(ACTIONS)
