"""Each attack that the portal must stand has a test that bears its id."""

import re
from pathlib import Path

# What concerns what exists by now.
ROWS = set(
    re.findall(
        r"\w+",
        "T1 T2 T3 T4 N1 N2 N3 N4 Q1 S1 S2 S3 C1 C2 C3 A1 A2 A3 A4 A5 A6 A7 D1 D2 D3 L1 L2 X1 P1 F1",
    )
)


def test_no_attack_is_without_its_test():
    told = " ".join(path.read_text() for path in Path(__file__).parent.rglob("test_*.py"))
    named = re.findall(r"Rows? ([A-Z]\d(?:(?:, | and )[A-Z]\d)*) of the attacks", told)
    assert {row for rows in named for row in re.findall(r"[A-Z]\d", rows)} >= ROWS
