"""What all tests of moves have in common."""


def pytest_itemcollected(item):
    """Documents are moved in every test here, which ``make test-fast`` leaves out."""
    item.add_marker("slow")
