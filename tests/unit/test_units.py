"""Quantities as people write them: what parses, what does not, and what is printed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.units import (
    UnitError,
    duration_s,
    format_duration,
    format_share,
    format_usd,
    hourly_usd,
    latency_s,
    quantity,
    share,
    unit_capacity,
    violation,
)

HUGE = 10**400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (90, 90), (90.0, 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("14d", 1209600),
        ("2w", 1209600), ("0s", 0), (0, 0), ("1h 30m", 5400), (" 5 m ", 300), ("20160m", 1209600),
        ("0", 0), (" 0 ", 0),
    ],
)  # fmt: skip
def test_durations(text, seconds):
    """Seconds of every form that the docstring names."""
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "90", "m", "5x", "5 minutes", "-5m", "1h-30m", "5m,", "1e3s", True, -1, 0.5, "0.1s",
     math.nan, math.inf, pytest.param("9" * 400 + "s", id="nines"), pytest.param(HUGE, id="huge")],
)  # fmt: skip
def test_what_is_no_duration_is_refused(text):
    """No unit, a wrong one, a sign, a part of a second, a truth or an absurd size: one line."""
    with pytest.raises(UnitError, match=r"duration|whole number of seconds"):
        duration_s(text)


@pytest.mark.parametrize(
    ("text", "fraction"),
    [("1%", 0.01), ("1 %", 0.01), (0.01, 0.01), ("0.01", 0.01), (0, 0), ("100%", 1), (1, 1)],
)
def test_shares(text, fraction):
    """A fraction, or percent."""
    assert share(text) == fraction


@pytest.mark.parametrize(
    "text", ["", "%", "one", "101%", -0.01, 1.01, True, "nan", math.nan, "1%%", pytest.param(HUGE, id="huge")]
)
def test_what_is_no_share_is_refused(text):
    """Outside 0..100 %, or no number at all."""
    with pytest.raises(UnitError, match=r"share|outside"):
        share(text)


def test_a_violation_to_ask_for_is_above_none_and_at_most_a_half():
    """None at all would need endless units, more than a half no capacity worth planning."""
    assert [violation(text) for text in ("50%", 0.5, "1%", "0.0001%")] == [0.5, 0.5, 0.01, 1e-6]
    for text in (0, "0%", "1e-300", "0.00001%", "51%", "100%", 1):
        with pytest.raises(UnitError, match=r"no violation to ask for, which is from 0\.0001 % to 50 %"):
            violation(text)
    with pytest.raises(UnitError, match=r"outside 0\.\.100 %"):
        violation("150%")


def test_a_unit_serves_something_that_can_be_meant():
    """A unit capacity is a quantity from 1e-9 to 1e15."""
    assert [unit_capacity(text) for text in (1e-9, "1e15", "500m", "2k")] == [1e-9, 1e15, 0.5, 2000.0]
    for text in (0, "-1"):
        with pytest.raises(UnitError, match="is not above 0; one unit serves some demand"):
            unit_capacity(text)
    for text in ("1e-300", 9e-10, "1.1e15", 1e300):
        with pytest.raises(UnitError, match=r"outside 1e-09 to 1e\+15"):
            unit_capacity(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [(2, 2.0), ("500m", 0.5), ("2Gi", 2147483648.0), ("1.5k", 1500.0), ("1e3", 1000.0), ("3 M", 3e6),
     ("-2", -2.0), (".5", 0.5), ("1Ki", 1024.0), ("1T", 1e12), ("1Ti", 2.0**40)],
)  # fmt: skip
def test_quantities(text, value):
    """Numbers with the suffixes of Kubernetes."""
    assert quantity(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "Gi", "2gi", "2GB", "1,5", "1e400", "inf", math.nan, math.inf, False, pytest.param(HUGE, id="huge")],
)
def test_what_is_no_quantity_is_refused(text):
    """An unknown suffix, a comma, what is not finite."""
    with pytest.raises(UnitError, match=r"quantity|finite"):
        quantity(text)


@pytest.mark.parametrize(
    ("text", "usd"),
    [(0.096, 0.096), ("$0.096/h", 0.096), ("0.096", 0.096), ("USD 73 per month", 0.1), ("$73/mo", 0.1),
     ("73 USD per month", 0.1), ("0.5 USD/hour", 0.5), (0, 0.0)],
)  # fmt: skip
def test_prices(text, usd):
    """USD per hour, or per month of 730 hours."""
    assert hourly_usd(text) == pytest.approx(usd)


@pytest.mark.parametrize(
    "text",
    ["", "free", -1, "$-1", "EUR 5", "$5/year", math.nan, "1e999", True, pytest.param(HUGE, id="huge")],
)
def test_what_is_no_price_is_refused(text):
    """Another currency or period, a negative or endless price."""
    with pytest.raises(UnitError, match="price"):
        hourly_usd(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59, "59s"), (59.6, "1m"), (60, "1m"), (90, "1m30s"), (5400, "1h30m"), (3661, "1h1m"),
     (86400, "1d"), (604800, "1w"), (1209600, "2w"), (90061, "1d1h")],
)  # fmt: skip
def test_durations_are_printed_with_their_two_largest_units(seconds, text):
    """Short enough to read, exact where two units suffice."""
    assert format_duration(seconds) == text


@given(st.integers(0, 10**7))
def test_a_printed_duration_is_never_more_than_it_was(seconds):
    """It reads back, and what is cut off is less than the smallest unit shown."""
    back = duration_s(format_duration(seconds))
    assert back <= seconds < back + max(1, back / 2)


def test_shares_are_printed_with_what_matters():
    """One decimal; two significant figures below one percent."""
    assert [format_share(x) for x in (0, 0.00098, 0.005, 0.01, 0.012, 1)] == [
        "0.0 %", "0.098 %", "0.5 %", "1.0 %", "1.2 %", "100.0 %",
    ]  # fmt: skip


def test_money_is_rounded_only_here():
    """Cents from a dollar on, whole dollars from a thousand on, a sign where asked."""
    assert [format_usd(x) for x in (0, 0.096, 12.3, 1234.4, -5)] == [
        "$0.00",
        "$0.096",
        "$12.30",
        "$1,234",
        "-$5.00",
    ]
    assert [format_usd(x, signed=True) for x in (2, 0, -2)] == ["+$2.00", "$0.00", "-$2.00"]


@pytest.mark.parametrize(("text", "seconds"), [("250ms", 0.25), ("1.5s", 1.5), (" 80 us ", 8e-5)])
def test_a_latency_has_a_unit(text, seconds):
    """Milliseconds, seconds and microseconds; a number alone could be any of them."""
    assert latency_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", [250, 0.25, "250", "5m", "0ms", "-1s", "2h", "", True, "5000s"])
def test_what_is_no_latency_is_refused(text):
    """Without a unit, not above zero, or longer than any p95 is."""
    with pytest.raises(UnitError, match=r"write 250ms or 1\.5s"):
        latency_s(text)
