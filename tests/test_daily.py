"""Which cases of a test ``make test`` runs."""

from itertools import product

from tests.daily import FORMS, STRATEGIES, fewest

NAMES = ["insert", "update", "delete", "find"]


def cases(**values):
    return {str(row): dict(zip(values, row, strict=True)) for row in product(*values.values())}


def test_each_row_of_each_table_is_in_a_case():
    there = cases(name=NAMES, ordered=[True, False])
    kept = fewest("a test", [["name"], ["ordered"]], there)
    assert len(kept) == len(NAMES)
    assert {there[case]["name"] for case in kept} == set(NAMES)
    assert {there[case]["ordered"] for case in kept} == {True, False}


def test_rows_that_share_values_are_all_tried():
    there = {f"{a} {b}": {"a": a, "b": b} for a, b in product("xy", "xy")}
    assert fewest("a test", [["a", "b"]], there) == there.keys()


def test_strategies_and_forms_take_turns_within_a_test():
    there = cases(name=NAMES, connect=FORMS)
    kept = fewest("a test", [["name"], ["connect"]], there)
    assert sorted(there[case]["name"] for case in kept) == sorted(NAMES)
    assert sorted(there[case]["connect"] for case in kept) == ["async", "async", "sync", "sync"]


def test_where_nothing_else_differs_one_is_tried_and_another_in_another_test():
    there = cases(strategy=STRATEGIES)
    tried = [fewest(f"test {n}", [["strategy"]], there) for n in range(30)]
    assert all(len(kept) == 1 for kept in tried)
    assert set().union(*tried) == there.keys()
