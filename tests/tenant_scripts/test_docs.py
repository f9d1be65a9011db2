"""The script in docs/tenant-scripts.md, and the commands there, do what the page says."""

import re
from pathlib import Path

import pytest
from pymongo.errors import WriteError

from portal.organizations.storage import tenant_of
from tests.factories import an_organization

PAGE = (Path(__file__).parents[2] / "docs" / "tenant-scripts.md").read_text()


def test_the_example_of_the_page_works(apply, tmp_path):
    organizations = [an_organization("Acme Corp"), an_organization("Globex")]
    for organization in organizations:
        tenant_of(organization).insert_many([{"kind": "order"}, {"kind": "note"}])
    [text] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    commands = re.findall(r"^flask tenants apply (\S+) *(--\S+)?", PAGE, re.M)
    statuses = []
    for name, option in commands:
        path = tmp_path / name
        path.write_text(text)
        statuses.append(apply(path, *filter(None, [option])).returncode)
    assert statuses == [0, 0, 0]
    for organization in organizations:
        tenant = tenant_of(organization)
        assert tenant.find_one({"kind": "order"})["status"] == "open"
        assert "status" not in tenant.find_one({"kind": "note"})
        assert "kind_1_status_1" in tenant.index_information()
        with pytest.raises(WriteError):
            tenant.insert_one({"kind": "order"})
