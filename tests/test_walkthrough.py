"""CONTRIBUTING's “A page in ten minutes” works as it stands, followed in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
HEADING = "A page in ten minutes"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
# What stands on the line before a snippet: where it goes.
PLACES = re.compile(
    r"(?P<how>New file|At the end of|In) `(?P<path>[^`]+)`"
    r"(?:, (?P<where>after|before|in place of) the line `(?P<line>[^`]+)`)?:"
)


@dataclass(frozen=True)
class Snippet:
    """Lines to write: into a new file, at the end of one, or by a ``line`` that it has."""

    how: str
    path: str
    where: str | None
    line: str | None
    text: str

    def apply(self, folder):
        path = folder / self.path
        if self.how == "New file":
            assert not path.exists(), f"{self.path} exists already"
            path.write_text(self.text)
            return
        had = path.read_text()
        path.write_text(had + f"\n\n{self.text}" if self.how == "At the end of" else self.into(had))

    def into(self, had):
        lines = had.splitlines(keepends=True)
        found = [at for at, line in enumerate(lines) if line.strip() == self.line]
        assert len(found) == 1, f"{self.path} has the line {self.line} {len(found)} times"
        first = found[0] + (self.where == "after")
        lines[first : found[0] + (self.where != "before")] = [self.text]
        return "".join(lines)


def walkthrough():
    """The snippets of the section, and the commands that it says to run."""
    [section] = re.findall(
        rf"^## {HEADING}$(.*?)^## ", (TOP / "CONTRIBUTING.md").read_text(), re.M | re.S
    )
    snippets, commands = [], []
    for fence in FENCE.finditer(section):
        language, text = fence.groups()
        if language == "sh":
            commands += text.splitlines()
            continue
        before = section[: fence.start()].rstrip().splitlines()[-1]
        place = PLACES.fullmatch(before)
        assert place, f"it is not said where this goes: {before}"
        snippets.append(Snippet(**place.groupdict(), text=text))
    return snippets, commands


def copy_repository(folder):
    """What git knows of, as it is here and now, with this virtual environment."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=TOP, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (TOP / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    shutil.copytree(TOP / "build" / "assets", folder / "build" / "assets")  # compressed already


def test_each_snippet_of_contributing_has_its_place(tmp_path):
    snippets, commands = walkthrough()
    assert len(snippets) > 5
    assert any("pytest" in command for command in commands)
    for path in {snippet.path for snippet in snippets}:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        if (TOP / path).is_file():
            shutil.copy2(TOP / path, tmp_path / path)
    for snippet in snippets:
        snippet.apply(tmp_path)


@pytest.mark.full
@pytest.mark.processes
@pytest.mark.timeout(300)
def test_the_walkthrough_of_contributing_ends_in_green(tmp_path):
    snippets, commands = walkthrough()
    copy_repository(tmp_path)
    for snippet in snippets:
        snippet.apply(tmp_path)
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    for command in commands:
        ran = subprocess.run(
            command, shell=True, cwd=tmp_path, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**own, "PYTEST_ADDOPTS": "-n 0"},
        )  # fmt: skip
        assert ran.returncode == 0, f"{command}\n{ran.stdout}"


def test_a_snippet_that_has_no_place_fails(tmp_path):
    (tmp_path / "tables.py").write_text("ONE = 1\nTWO = 2\nTWO = 2\n")
    for line in ("THREE = 3", "TWO = 2"):
        snippet = Snippet("In", "tables.py", "after", line, "FOUR = 4\n")
        with pytest.raises(AssertionError, match="has the line"):
            snippet.apply(tmp_path)
