"""Each attack of docs/security.md has tests that bear its id."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
ROW = re.compile(r'^\| <a id="(\w+)"></a>([A-Z]\d) \|', re.M)
ROWS = ROW.findall((TESTS.parent / "docs" / "security.md").read_text())


def marked():
    """The ids that tests bear as ``@pytest.mark.attack(…)``."""
    return {
        argument.value
        for path in TESTS.rglob("test_*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.attack"
        for argument in call.args
    }


def test_each_attack_has_tests_and_no_test_names_another():
    assert marked() == {name for _, name in ROWS}


def test_each_attack_has_an_address_of_its_own():
    assert len(ROWS) > 25
    assert len({anchor for anchor, _ in ROWS}) == len(ROWS)
    assert all(anchor == name.lower() for anchor, name in ROWS)
