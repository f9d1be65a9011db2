import pytest

# Before anything imports it: its assertions tell what differs, too.
pytest.register_assert_rewrite("tests.faults.invariant")
