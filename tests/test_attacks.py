"""Each attack that the portal must stand has a test that bears its id."""

import ast
import re
from pathlib import Path

# What concerns what exists by now.
ROWS = set(
    re.findall(
        r"\w+",
        "T1 T2 T3 T4 N1 N2 N3 N4 Q1 S1 S2 S3 C1 C2 C3 A1 A2 A3 A4 A5 A6 A7 D1 D2 D3 L1 L2 X1 P1 F1",
    )
)


def test_each_attack_has_tests_and_no_test_names_another():
    assert marked() == ROWS


def marked():
    """The ids that tests bear as ``@pytest.mark.attack(…)``."""
    return {
        argument.value
        for path in Path(__file__).parent.rglob("test_*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.attack"
        for argument in call.args
    }
