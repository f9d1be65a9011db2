"""Time zones, by the names that browsers have for them."""

import zoneinfo

import pytest

from portal import clock

# Chrome's names, of which newer systems have none unless told to: tzdata-legacy.
NAMES = ["Asia/Calcutta", "Asia/Saigon", "Asia/Katmandu", "Europe/Kiev", "US/Pacific", "UTC"]


@pytest.fixture
def system_without_any():
    """As slim images are."""
    zoneinfo.reset_tzpath(to=())
    forget()
    yield
    zoneinfo.reset_tzpath()
    forget()


def forget():
    zoneinfo.ZoneInfo.clear_cache()
    clock._zone_names.cache_clear()


@pytest.mark.usefixtures("system_without_any")
def test_they_are_known_on_a_system_that_has_none():
    assert [str(clock.zone_of(name)) for name in NAMES] == NAMES
