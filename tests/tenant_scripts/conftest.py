"""Scripts as files, and organizations to apply them to."""

import subprocess
import textwrap

import pytest

from portal.tenant_scripts import applying


@pytest.fixture
def script(tmp_path):
    """Writes a script; its path."""

    def write(text, name="add_status"):
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(text))
        return str(path)

    return write


@pytest.fixture
def apply(app, monkeypatch):
    """Calls ``flask tenants apply`` in this process; its exit status and what it said."""
    monkeypatch.setattr(applying, "GATE_PAUSE_SECONDS", 0)

    def call(*arguments):
        runner = app.test_cli_runner()
        ended = runner.invoke(args=["tenants", "apply", *map(str, arguments)])
        return subprocess.CompletedProcess(arguments, ended.exit_code, ended.stdout, ended.stderr)

    return call
