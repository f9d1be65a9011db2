"""Writes the settings into ``.env.example`` and docs/settings.md: ``make settings``."""

import re
from dataclasses import MISSING, Field
from pathlib import Path

from portal.settings import every_setting

TOP = Path(__file__).parents[2]
_TABLE = re.compile(r"(?<=<!-- settings -->\n).*?(?=<!-- /settings -->)", re.S)
_EXAMPLE_HEAD = """\
# Settings, by environment or in a file .env beside this one; made by `make settings`. Those that
# are commented out show their default. With MONGO_URI unset `make run` starts a MongoDB of its own
# and makes the secrets.

"""


def main() -> None:
    """Bring both files up to date."""
    page = TOP / "docs" / "settings.md"
    page.write_text(_TABLE.sub(lambda _: table(), page.read_text()))
    (TOP / ".env.example").write_text(example())


def table() -> str:
    """The settings as a Markdown table."""
    rows = [
        f"| `{s.name.upper()}` | {_default(s)} | {s.metadata['use']} |" for s in every_setting()
    ]
    return "\n".join(["| setting | default | use |", "| --- | --- | --- |", *rows, ""])


def example() -> str:
    """What ``.env.example`` says."""
    lines = [f"# {s.name.upper()}={_written(s)}" for s in every_setting()]
    uses = [s.metadata["use"] for s in every_setting()]
    return _EXAMPLE_HEAD + "".join(
        f"{line:<44}  # {use}\n" for line, use in zip(lines, uses, strict=True)
    )


def _default(setting: Field) -> str:
    if setting.default is MISSING:
        return "required"
    written = _written(setting)
    return f"`{written}`" if written else ""


def _written(setting: Field) -> str:
    """The default as one would write it; of the number of workers the one for two cores."""
    if setting.default is MISSING or setting.default == ():
        return ""
    if setting.name == "web_concurrency":
        return "2"
    if setting.type is bool:
        return "on" if setting.default else "off"
    return str(setting.default)


if __name__ == "__main__":
    main()
