"""The commands in docs/data-api.md do what the page says."""

import re
import subprocess
from pathlib import Path

import pytest
import requests
from bson import ObjectId

from tests.processes import portal
from tests.visitor import PASSWORD

PAGE = Path(__file__).parents[2] / "docs" / "data-api.md"


@pytest.mark.processes
def test_the_commands_of_the_page_work(server, tmp_path):
    commands = "\n".join(re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.M | re.S))
    with portal(server, f"page_{ObjectId()}", workers=1) as running:
        credentials = {"email": "mara@acme.example", "password": PASSWORD}
        named = {"organization_name": "Acme Corp", **credentials}
        assert requests.post(f"{running.url}/org/create", json=named).status_code == 201
        token = requests.post(f"{running.url}/admin/login", json=credentials).json()["token"]
        done = subprocess.run(
            ["bash", "-euxc", commands], check=False, capture_output=True, text=True,
            cwd=tmp_path, env={"PORTAL": running.url, "KEY": token, "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert '{"status": "success", "inserted": 4, "repeated": 0}' in done.stdout
    lines = (tmp_path / "documents.ndjson").read_text().splitlines()
    assert lines[-1] == '{"$end": {"documents": 4, "inexact": 0}}'
    assert '"title" : "Second, again"' in lines[1]
    assert "title_1__id_1" in done.stdout
