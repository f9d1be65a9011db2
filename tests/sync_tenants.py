"""``make sync-tenants`` writes the library's synchronous form, ``make check`` compares it."""

import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import unasync

TOP = Path(__file__).parent.parent
SOURCE = TOP / "portal" / "tenants" / "_async"
TARGET = SOURCE.with_name("_sync")
REPLACED = {
    "async_sleep": "sleep",
    "async_close_behind": "close_behind",
    "async_in_any_case": "in_any_case",
    "async_in_thread": "in_thread",
    "async_to_the_end": "to_the_end",
    "asynchronous": "synchronous",
    "_async": "_sync",
    "asynccontextmanager": "contextmanager",
    "AsyncIterator": "Iterator",
}


def replacements():
    """``AsyncTenants`` is ``Tenants``, and so are all others."""
    sources = "".join(path.read_text() for path in SOURCE.glob("*.py"))
    classes = re.findall(r"\bAsync[A-Z]\w+", sources)
    return {name: name.removeprefix("Async") for name in classes} | REPLACED


def generate(folder):
    """Write the synchronous form of all modules into a folder."""
    rule = unasync.Rule(f"{SOURCE}/", f"{folder}/", replacements())
    for path in SOURCE.glob("*.py"):
        rule._unasync_file(str(path))
    for command in (("check", "--select", "I,UP", "--fix"), ("format",)):
        ruff = Path(sysconfig.get_path("scripts")) / "ruff"
        options = ("--quiet", "--config", TOP / "pyproject.toml")
        subprocess.run([ruff, *command, *options, folder], check=True)


def contents(folder):
    return {path.name: path.read_text() for path in Path(folder).glob("*.py")}


def main():
    if "--check" not in sys.argv:
        generate(TARGET)
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(folder)
        if contents(folder) != contents(TARGET):
            sys.exit("portal/tenants/_sync differs from _async: make sync-tenants")


if __name__ == "__main__":
    main()
