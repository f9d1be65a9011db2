"""Charts: what they draw, and what they say."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from flask import g

from portal.web import charts

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def in_a_request(app):
    with app.test_request_context():
        yield


def days(values):
    return [(BEGIN + timedelta(days=index), value) for index, value in enumerate(values)]


def whole(value):
    return f"{value:,.0f}"


def test_a_gap_is_drawn_as_a_gap_and_told_as_one():
    chart = charts.line_chart(days([5, 6, None, None, 0, 7]), whole)
    assert len(chart.wide.lines) == len(chart.wide.areas) == 2
    told = [value for _, value in chart.figures]
    assert told == ["7", "0", "not measured", "not measured", "6", "5"]


def test_one_value_between_two_gaps_is_seen():
    (line,) = charts.line_chart(days([None, 4, None]), whole).wide.lines
    assert re.fullmatch(r"M[\d.]+ [\d.]+h2", line)


def test_a_limit_and_a_forecast_are_within_the_chart():
    forecast = charts.Forecast(BEGIN + timedelta(days=9), 9600, ("full 10 Nov",))
    plot = charts.line_chart(
        days([100, 200, 8571]), whole, limit=9600, limit_words="Guard", forecast=forecast
    ).wide
    assert 0 < plot.limit.at < plot.bottom
    assert plot.forecast_end.y == plot.limit.at
    assert plot.forecast_end.x <= plot.width
    assert plot.forecast_end.anchor == "end"


@pytest.mark.parametrize("values", [[], [None], [0], [0, 0], [0.001, 0.002], [10**15, 10**15]])
def test_any_values_make_a_chart(values):
    chart = charts.line_chart(days(values), whole, last_words="now")
    assert len(chart.wide.rows) <= 6
    assert charts.bar_chart(days(values), whole).wide.bottom
    assert charts.sparkline(values) is not None


@pytest.mark.parametrize("most", [1, 3, 9, 10, 11, 99, 9600, 123_456, 7.5e12])
def test_an_axis_has_few_round_numbers_and_reaches_the_most(most):
    rows = charts.line_chart(days([most]), repr).wide.rows
    tops = [float(row.words) for row in rows]
    assert tops[0] == 0
    assert tops[-1] >= most
    assert 2 <= len(tops) <= 6


@pytest.mark.parametrize(
    "span_minutes", [30, 60, 24 * 60, 7 * 24 * 60, 90 * 24 * 60, 999 * 24 * 60]
)
def test_times_on_the_axis_do_not_crowd(span_minutes):
    points = [(BEGIN + timedelta(minutes=span_minutes * part / 50), 1) for part in range(51)]
    for plot in (charts.line_chart(points, whole).wide, charts.line_chart(points, whole).narrow):
        places = [tick.at for tick in plot.columns]
        assert 1 <= len(places) <= 9
        assert all(after - before > 35 for before, after in pairwise(places))


@pytest.mark.parametrize(
    ("day", "ticks"),
    [
        (datetime(2026, 3, 29, tzinfo=UTC), ["01:00", "03:00", "04:00"]),
        (datetime(2026, 10, 25, tzinfo=UTC), ["02:00", "03:00"]),
    ],
)
def test_a_change_of_the_clock_moves_no_tick_and_invents_none(day, ticks):
    g.page_zone = "Europe/Berlin"
    begin = day - timedelta(minutes=30)
    points = [(begin + timedelta(minutes=10 * part), part) for part in range(20)]
    columns = charts.line_chart(points, whole).wide.columns
    named = {tick.words: tick.at for tick in columns if tick.words in ticks}
    assert list(named) == ticks
    wide = charts.line_chart(points, whole).wide
    hour = (wide.right - wide.left) * 60 / 190
    last, before = named[ticks[-1]], named[ticks[-2]]
    assert last - before == pytest.approx(hour if day.month == 3 else 2 * hour, abs=1)


def test_an_hour_that_comes_twice_is_told_apart_in_the_table():
    g.page_zone = "Europe/Berlin"
    begin = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)
    points = [(begin + timedelta(minutes=30 * part), part) for part in range(4)]
    told = [moment for moment, _ in charts.line_chart(points, whole).figures][::-1]
    assert told == ["02:00 CEST", "02:30 CEST", "02:00 CET", "02:30 CET"]
    on_another_day = charts.line_chart(days([1, 2]), whole).figures
    assert [moment for moment, _ in on_another_day] == ["01:00", "01:00"]


def test_more_than_all_is_a_full_meter_and_said_as_it_is():
    assert charts.meter(1.5, 60) == charts.Meter(60, 60, 150)
    assert charts.meter(0.0001, 60).filled == 1
    assert charts.meter(0, 60).filled == 0
