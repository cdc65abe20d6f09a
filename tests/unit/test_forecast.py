"""The forecast: right on a line, robust against one lie, honest about too little, no date in the past."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from factories import metric
from hypothesis import given, settings
from hypothesis import strategies as st

from maintenance.forecast import (
    HORIZON_DAYS,
    MAXIMUM_POINTS,
    MINIMUM_POINTS,
    MINIMUM_SPAN_DAYS,
    History,
    forecasts,
    is_capacity,
)
from maintenance.record import Forecast

unhurried = settings(deadline=None)  # other work on the machine is no failure
START = datetime(2026, 1, 1, 2, 0, tzinfo=UTC)


def at(days: float) -> str:
    return (START + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def history(*readings: tuple[float, float], limit: float | None = 100.0) -> History:
    return [(at(days), {"db1": [metric(value, limit=limit)]}) for days, value in readings]


def one(*readings: tuple[float, float], limit: float | None = 100.0) -> Forecast:
    (made,) = forecasts(history(*readings, limit=limit))
    return made


def test_a_straight_line_is_followed_to_the_day():
    made = one((0, 40.0), (90, 49.0), (180, 58.0), (270, 67.0))
    assert made.state == "ok"
    assert made.slope_per_day == pytest.approx(0.1)
    assert made.slope_low == pytest.approx(0.1)
    assert made.slope_high == pytest.approx(0.1)
    assert made.reaches == {"80": at(270 + 130)[:10], "90": at(270 + 230)[:10], "100": at(270 + 330)[:10]}
    assert made.add == pytest.approx((67 + 36.5) / 0.8 - 100)
    assert made.add_by == made.reaches["80"]
    assert made.method == "theil-sen/1; points=4; days=270"


def test_without_a_limit_there_is_growth_but_no_date():
    made = one((0, 40.0), (90, 49.0), (180, 58.0), limit=None)
    assert made.slope_per_day == pytest.approx(0.1)
    assert (made.reaches, made.add, made.add_by) == ({}, None, None)


@pytest.mark.parametrize(
    "readings",
    [
        [(0, 10.0)],
        [(0, 10.0), (90, 20.0)],
        [(0, 10.0), (0.1, 11.0), (0.2, 12.0), (0.3, 13.0)],
        [(0, 10.0), (1, 11.0), (MINIMUM_SPAN_DAYS - 1, 12.0)],
        [(0, 10.0), (90, 20.0), (90, 20.0), (90, 21.0)],
    ],
)
def test_too_little_gives_no_slope_and_no_date(readings):
    made = one(*readings)
    assert made.state == "too_few_points"
    assert made.slope_per_day is made.slope_low is made.slope_high is made.add is made.add_by is None
    assert set(made.reaches.values()) == {None}


def test_what_is_already_reached_is_a_fact_even_without_a_trend():
    made = one((0, 93.0))
    assert made.reaches == {"80": at(0)[:10], "90": at(0)[:10], "100": None}


def test_shrinking_capacity_has_no_date_and_needs_nothing():
    made = one((0, 50.0), (90, 45.0), (180, 45.0), (270, 40.0))
    assert made.state == "shrinking_or_flat"
    assert set(made.reaches.values()) == {None}
    assert (made.add, made.add_by) == (0.0, None)


def test_a_full_file_system_that_does_not_grow_still_needs_space_today():
    made = one((0, 90.0), (90, 90.0), (180, 90.0))
    assert made.state == "shrinking_or_flat"
    assert made.add == pytest.approx(90 / 0.8 - 100)
    assert made.add_by == at(180)[:10]


def test_a_reading_of_a_later_day_is_a_wrong_clock_and_is_left_out_and_counted():
    made = one((0, 40.0), (2000, 99.0), (90, 49.0), (180, 58.0))
    assert made.slope_per_day == pytest.approx(0.1)
    assert made.method.endswith("; left_out=1")


def test_a_reading_of_1970_is_left_out():
    assert one((-20000, 57.0), (0, 40.0), (90, 49.0), (180, 58.0)).slope_per_day == pytest.approx(0.1)


def test_a_present_clock_that_fell_back_leaves_nothing_to_say():
    assert one((0, 40.0), (90, 49.0), (180, 58.0), (-20000, 60.0)).state == "too_few_points"


def test_many_readings_of_one_day_count_once():
    noisy = [(180 + minute / 1440, 58.0 + (minute % 7)) for minute in range(60)]
    made = one((0, 40.0), (90, 49.0), *noisy, (180.5, 58.05))
    assert len(made.points) == 3
    assert made.slope_per_day == pytest.approx(0.1, rel=0.01)


def test_the_newest_points_are_kept_when_there_are_very_many():
    made = one(*((day, 10 + day / 100) for day in range(MAXIMUM_POINTS + 50)))
    assert len(made.points) == MAXIMUM_POINTS
    assert made.points[-1][0] == at(MAXIMUM_POINTS + 49)


def test_every_host_metric_and_subject_has_its_own_forecast():
    readings = [
        metric(1.0),
        metric(2.0, subject="/data"),
        metric(3.0, name="database_size_bytes", limit=None),
    ]
    made = forecasts([(at(0), {"db1": readings, "app1": readings[:1]})])
    assert [(f.host, f.metric, f.subject) for f in made] == [
        ("app1", "filesystem_used_bytes", "/"),
        ("db1", "database_size_bytes", "/"),
        ("db1", "filesystem_used_bytes", "/"),
        ("db1", "filesystem_used_bytes", "/data"),
    ]


def test_what_is_not_there_any_more_and_what_is_no_capacity_have_none():
    earlier = (at(0), {"db1": [metric(5.0, subject="/old")]})
    now = (at(90), {"db1": [metric(5.0, name="memory_used_bytes"), metric(0.4, name="load_average")]})
    assert forecasts([earlier, now]) == []
    assert forecasts([]) == []


@pytest.mark.parametrize(
    "name",
    [
        "filesystem_used_bytes",
        "filesystem_inodes_used",
        "database_size_bytes",
        "table_size_bytes",
        "sequence_value",
    ],
)
def test_the_capacities_are_known_by_name(name):
    assert is_capacity(metric(1.0, name=name))


values = st.floats(min_value=0, max_value=1e15, allow_subnormal=False)
series = st.lists(
    st.tuples(st.integers(0, 1000), values), min_size=1, max_size=12, unique_by=lambda pair: pair[0]
).map(sorted)


@unhurried
@given(series, st.integers(-20000, 20000))
def test_moving_all_clocks_moves_the_dates_and_nothing_else(readings, shift):
    here = one(*readings)
    there = one(*((day + shift, value) for day, value in readings))
    assert (here.state, here.slope_per_day, here.add) == (there.state, there.slope_per_day, there.add)
    for share, day in here.reaches.items():
        moved = there.reaches[share]
        assert (day is None) == (moved is None)
        if day is not None and moved is not None:
            assert date.fromisoformat(moved) - date.fromisoformat(day) == timedelta(days=shift)


@unhurried
@given(series)
def test_dates_are_never_past_and_come_in_order(readings):
    made = one(*readings)
    today = at(readings[-1][0])[:10]
    dates = [made.reaches[share] for share in ("80", "90", "100")]
    known = [day for day in dates if day is not None]
    assert known == sorted(known)
    assert dates == known + [None] * (3 - len(known)), "a higher share is never reached before a lower one"
    for share, day in made.reaches.items():
        if day is not None:
            assert day >= today
            assert day > today or made.value * 100 >= int(share) * 100.0 or made.slope_per_day
            assert date.fromisoformat(day) - date.fromisoformat(today) <= timedelta(days=HORIZON_DAYS + 1)
    assert (made.slope_per_day is None) == (made.state == "too_few_points")


@unhurried
@given(series)
def test_the_interval_holds_the_slope(readings):
    made = one(*readings)
    if made.slope_per_day is not None:
        assert made.slope_low is not None
        assert made.slope_high is not None
        assert made.slope_low <= made.slope_per_day <= made.slope_high


@unhurried
@given(st.integers(0, 6), values)
def test_one_lie_among_eight_quarters_moves_the_slope_little(place, lie):
    readings = [(quarter * 91.0, 20.0 + quarter * 5) for quarter in range(8)]
    readings[place] = (readings[place][0], lie)
    made = one(*readings)
    assert made.slope_per_day == pytest.approx(5 / 91, rel=0.05)


@unhurried
@given(st.lists(st.integers(1, 100), min_size=MINIMUM_POINTS, max_size=8), st.floats(1.1, 5))
def test_faster_growth_reaches_the_limit_no_later(steps, factor):
    def grown(by: float) -> list[tuple[float, float]]:
        total, readings = 0.0, []
        for number, step in enumerate(steps):
            readings.append((number * 30.0, total))
            total += step / 1000 * by
        return [(day, value - readings[-1][1] + 50) for day, value in readings]

    slow, fast = one(*grown(1)), one(*grown(factor))
    for share in slow.reaches:
        slower, faster = slow.reaches[share], fast.reaches[share]
        assert slower is None or (faster is not None and faster <= slower)


@unhurried
@given(series)
def test_the_same_readings_give_the_same_forecast(readings):
    assert one(*readings) == one(*readings)
