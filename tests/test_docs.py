"""The pages in docs/ and beside it lead where they say, and tell of what there is."""

import re
import shlex
from fnmatch import fnmatchcase
from math import prod
from pathlib import Path

import pytest
from bson import ObjectId

from portal import doctor
from portal.cli import COMMANDS
from portal.database.portal_role import rights
from portal.operators.listing.classes import MOST_RUNS, VALUES
from portal.organizations.lifecycle.naming import database_name

TOP = Path(__file__).parent.parent
PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").glob("*.md")])
LINK = re.compile(r'\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"')
FENCED = re.compile(r"^```.*?^```$", re.M | re.S)
OPERATING = (TOP / "docs" / "operating.md").read_text()
CODE = "\n".join(path.read_text() for path in (TOP / "portal").rglob("*.py"))


def anchors(path):
    """What a link may name of a page: its headings, as GitHub writes them, and ids."""
    text = path.read_text()
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.M)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("source", PAGES, ids=lambda source: source.name)
def test_every_link_leads_somewhere(source):
    links = ["".join(found) for found in LINK.findall(FENCED.sub("", source.read_text()))]
    for link in links:
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (source.parent / path) if path else source
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_names_what_its_commands_need():
    """``.ci/fresh`` follows it on a machine made from nothing."""
    readme = (TOP / "README.md").read_text()
    [packages] = re.findall(r"`apt-get install ([^`]+)`", readme)
    blocks = FENCED.findall(readme)
    lines = [line.strip() for block in blocks for line in block.splitlines()[1:-1]]
    called = [re.match(r"(?:[A-Z]+=\$\()?([a-z]\w+) ", line) for line in lines]
    assert {found[1] for found in called if found} == {"git", "make", "curl", "python3"}
    assert {found[1] for found in called if found} <= set(packages.split())
    assert lines[1] == "make run"
    targets = re.findall(r"^([a-z-]+):.*##", (TOP / "Makefile").read_text(), re.M)
    assert set(re.findall(r"`make ([a-z-]+)", readme)) <= set(targets)


def test_every_picture_is_shown():
    shown = (TOP / "README.md").read_text()
    for picture in (TOP / "docs" / "pictures").iterdir():
        assert f"docs/pictures/{picture.name}" in shown


def test_operators_read_of_every_kind_of_damage():
    folder = Path(doctor.__file__).parent
    code = "\n".join(path.read_text() for path in folder.glob("*.py"))
    kinds = set(re.findall(r'\bKind\(\s*"(\w+)"', code))
    section = OPERATING.split("\n## The doctor\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \|", section, re.M)
    assert len(kinds) > 10
    assert {kind for row in rows for kind in re.findall(r"`(\w+)`", row)} == kinds


def test_operators_read_of_every_command():
    for command in COMMANDS:
        for name in getattr(command, "commands", {"": None}):
            assert f"`flask {command.name} {name}".strip() in OPERATING


def test_a_backup_and_a_move_take_every_database_of_the_portal():
    backups = OPERATING.split("\n## Backups\n")[1].split("\n#")[0]
    rows = set(re.findall(r"^\| `(.+?)`", backups, re.M))
    named = {each.database for each in rights("MASTER_DB", "<TENANT_DB>")} - {"", "local", None}
    assert rows == {"t_<id>", *(re.sub(r"^<(\w+)>$", r"\1", name) for name in named)}

    (restoring,) = re.findall(r"^ +(mongorestore --uri .+)$", OPERATING, re.M)
    words = shlex.split(restoring)
    included = [words[n + 1] for n, word in enumerate(words) if word == "--nsInclude"]
    ours = {each.database for each in rights("master_db", "tenant_db")} - {"", "local", None}
    for database in (*ours, database_name(ObjectId())):
        assert any(fnmatchcase(f"{database}.some", pattern) for pattern in included), database
    for other in ("admin.system.users", "config.system.sessions"):
        assert not any(fnmatchcase(other, pattern) for pattern in included)


def test_operators_read_of_events_that_are_logged():
    section = OPERATING.split("\n## ")[1]
    events = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", section))
    assert len(events) > 10
    for event in events:
        assert f'"{event}"' in CODE, event


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md", "docs/operating.md"])
def test_modules_that_a_page_names_are_there(name):
    files = [*TOP.glob("*.py"), *(TOP / "portal").rglob("*.py"), *(TOP / "tests").rglob("*.py")]
    there = [f"/{path.relative_to(TOP)}" for path in files]
    named = set(re.findall(r"`([\w/]+\.py)`", FENCED.sub("", (TOP / name).read_text())))
    made = {"tests/organizations/test_about.py", "renaming.py"}  # by the walkthrough; an example
    missing = {path for path in named - made if not any(one.endswith(f"/{path}") for one in there)}
    assert missing == set()


def test_names_that_the_architecture_speaks_of_are_in_the_code():
    text = FENCED.sub("", (TOP / "docs" / "architecture.md").read_text())
    prose = text.split("\n## The path of a request\n")[1]
    named = set(re.findall(r"`@?([A-Za-z]+_[A-Za-z_]+|[A-Z][a-z]+[A-Z]\w+|[A-Z_]{5,})[`(]", prose))
    assert len(named) > 15
    assert {name for name in named if not re.search(rf"\b{name}\b", CODE)} <= {"org_acme_corp"}


def test_the_architecture_tells_how_many_runs_the_listing_merges():
    runs = prod(len(values) for values in VALUES.values())
    text = (TOP / "docs" / "architecture.md").read_text()
    assert f"a run for each combination, {runs} of them; above {MOST_RUNS} it" in text
