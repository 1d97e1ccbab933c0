"""`loadline replay` and `loadline forecast`: what they refuse, what they print, what they write."""

from __future__ import annotations

import csv
import gzip
import json
import math
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from tests.worlds import small

KEYS = [
    "unique_id",
    "steps",
    "unit_capacity",
    "cost",
    "clairvoyant",
    "violation",
    "unserved",
    "actions_per_day",
    "reversals_per_day",
]
HEADER = "unique_id,ds,y\n"
SOUND = "a,2026-03-01T00:00:00Z,1\na,2026-03-01T00:01:00Z,2\n"

BAD_FILES = {
    "missing_column": ("id,ds,y\n" + SOUND, "no column 'unique_id'"),
    "wrong_separator": (HEADER.replace(",", ";") + SOUND.replace(",", ";"), "commas"),
    "naive_stamps": (HEADER + SOUND.replace("Z", ""), "--timezone UTC"),
    "not_a_number": (HEADER + SOUND + "a,2026-03-01T00:02:00Z,NaN\n", "h.csv:4"),
    "infinite": (HEADER + SOUND + "a,2026-03-01T00:02:00Z,Inf\n", "h.csv:4"),
    "negative": (HEADER + SOUND + "a,2026-03-01T00:02:00Z,-3\n", "h.csv:4"),
    "duplicate": (
        HEADER + SOUND + "a,2026-03-01T00:01:00Z,3\n",
        "more than once; keep one of its rows (y = 2)",
    ),
    "future": (HEADER + SOUND + "a,2099-03-01T00:02:00Z,3\n", "h.csv:4"),
    "no_value": (HEADER + SOUND + "a,2026-03-01T00:02:00Z,many\n", "h.csv:4"),
    "no_stamp": (HEADER + SOUND + "a,yesterday,3\n", "h.csv:4"),
    "before_1990": (HEADER + SOUND + "a,1970-01-01T00:00:01Z,3\n", "h.csv:4"),
    "empty": ("", "h.csv"),
    "header_only": (HEADER, "h.csv"),
    "binary": ("\0\1\2", "h.csv"),
}


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """The command line in a folder with one history."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.csv").write_text(small.history(days=8))
    return small.Shell(tmp_path, capsys)


def refused(answer, code):
    """One clear line, nothing on stdout, the right code."""
    assert answer.code == code, answer
    assert answer.out == ""
    assert answer.err.startswith("loadline: ")
    assert answer.err.count("\n") == 1, answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("command", ["replay", "forecast"])
@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_history_is_one_line_and_nothing_written(shell, command, name):
    """A file that cannot be used ends in one line that names it, code 5, and no file is made."""
    text, place = BAD_FILES[name]
    (shell.folder / "h.csv").write_text(text)
    before = shell.files()
    if command == "replay":
        answer = shell("replay", "--history", "h.csv", "--scaler", "hpa", "--targets-out", "t.csv")
    else:
        answer = shell("forecast", "--history", "h.csv", "--model", "seasonal_naive")
    refused(answer, 5)
    assert place in answer.err
    assert shell.files() == before


@pytest.mark.parametrize("command", ["replay", "forecast"])
def test_a_missing_history_is_named(shell, command):
    """A file that is not there is data that is not there: code 5."""
    more = ["--scaler", "hpa"] if command == "replay" else []
    answer = shell(command, "--history", "none.csv", *more)
    refused(answer, 5)
    assert "none.csv" in answer.err


def test_f27_naive_stamps_are_taken_only_with_their_zone(shell):
    """Naive stamps are refused, unless the zone is said to be UTC; no other zone is taken."""
    naive = (shell.folder / "m.csv").read_text().replace("Z,", ",")
    (shell.folder / "n.csv").write_text(naive)
    call = ["replay", "--history", "n.csv", "--scaler", "static", "--output", "json"]
    refused(shell(*call), 5)
    told = shell(*call, "--timezone", "UTC")
    assert told.code == 0
    assert json.loads(told.out) == json.loads(
        shell("replay", "--history", "m.csv", "--scaler", "static", "--output", "json").out
    )
    refused(shell(*call, "--timezone", "Europe/Berlin"), 64)


@pytest.mark.parametrize("command", ["replay --scaler hpa", "forecast --model seasonal_naive"])
def test_f08_a_counter_is_used_as_its_rate(shell, command):
    """With --counter a history of readings, one reset among them, gives what its rates per second give."""
    head, *rows = (shell.folder / "m.csv").read_text().splitlines()
    name = rows[0].split(",")[0]
    steps = [(ds, float(y)) for series, ds, y in (row.split(",") for row in rows) if series == name and y]
    rates, readings, total, seconds = [head], [head], 1000.0, small.STEP.total_seconds()
    for index, (ds, y) in enumerate(steps):
        if index == len(steps) // 2:
            total = steps[index - 1][1] * seconds  # the process began again, right after the last reading
        readings.append(f"{name},{ds},{total!r}")
        total += y * seconds
        rates.append(f"{name},{ds},{y!r}")
    (shell.folder / "rates.csv").write_text("\n".join(rates[:-1]))
    (shell.folder / "readings.csv").write_text("\n".join(readings))
    found = [
        json.loads(shell(*command.split(), "-o", "json", "--history", *history).out)
        for history in (["rates.csv"], ["readings.csv", "--counter"])
    ]
    assert _same(found[0], found[1])


def _same(one, other):
    """Two documents of one shape whose figures agree but for what a sum of readings loses."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return math.isclose(one, other, rel_tol=1e-9) if isinstance(one, float) else one == other


def test_a_lead_time_of_nothing_needs_no_unit(shell):
    """`--lead-time 0` is what `0s` is."""
    call = ["replay", "--history", "m.csv", "--scaler", "hpa", "-o", "json", "--lead-time"]
    assert json.loads(shell(*call, "0").out) == json.loads(shell(*call, "0s").out)


def test_a_unit_that_would_be_needed_beyond_all_number_is_told(shell):
    """A capacity so small that the history needs more units than there can be is bad data, in one line."""
    (shell.folder / "h.csv").write_text(HEADER + SOUND.replace(",2\n", ",1e9\n"))
    answer = shell("replay", "--history", "h.csv", "--scaler", "hpa", "--unit-capacity", "1e-9")
    refused(answer, 5)
    assert "a peak of 1e+09 at 1e-09 a unit is more than 1e+12 units" in answer.err


FLAGS = {
    "no such scaler": ("--scaler hpaa", "hpa"),
    "no such setting": ("--scaler hpa --set targt=1", "target"),
    "setting without value": ("--scaler hpa --set target", "KEY=VALUE"),
    "setting twice": ("--scaler hpa --set target=1 --set target=2", "twice"),
    "target of nothing": ("--scaler hpa --set target=0", "target is '0'; write a number from 0.01 to 100"),
    "target next to nothing": ("--scaler static --set target=1e-300", "target is '1e-300'"),
    "level above one": ("--scaler seasonal_quantile --set level=5", "from 0.01 to 0.999999"),
    "no points": ("--scaler target_tracking --set points_in=0", "points_in is '0'; write a whole number"),
    "no headroom": ("--scaler seasonal_quantile --set headroom=0", "headroom is '0'"),
    "violation of everything": ("--scaler seasonal_quantile --violation 100%", "from 0.0001 % to 50 %"),
    "violation of nothing": ("--scaler seasonal_quantile --violation 0", "from 0.0001 % to 50 %"),
    "capacity next to nothing": ("--scaler hpa --unit-capacity 1e-300", "outside 1e-09 to 1e+15"),
    "capacity beyond all": ("--scaler hpa --unit-capacity 1e16", "outside 1e-09 to 1e+15"),
    "setting that is no number": ("--scaler hpa --set target=high", "target"),
    "duration without unit": ("--scaler hpa --lead-time 5x", "5m"),
    "negative duration": ("--scaler hpa --lead-time=-5m", "--lead-time"),
    "zero capacity": ("--scaler hpa --unit-capacity 0", "above"),
    "negative capacity": ("--scaler hpa --unit-capacity=-1", "--unit-capacity"),
    "capacity that is no number": ("--scaler hpa --unit-capacity nan", "--unit-capacity"),
    "zero units at p99": ("--scaler hpa --units-at-p99 0", "above"),
    "both capacities": ("--scaler hpa --unit-capacity 1 --units-at-p99 4", "not both"),
    "share over one": ("--scaler seasonal_quantile --violation 150%", "--violation"),
    "negative share": ("--scaler seasonal_quantile --violation=-1%", "--violation"),
    "warm-up of everything": ("--scaler hpa --warmup 1", "--warmup"),
    "warm-up of nothing said": ("--scaler hpa --warmup=", "--warmup"),
    "no such output": ("--scaler hpa --output xml", "json"),
    "no such tuning": ("--scaler hpa --tune foresight", "hindsight"),
    "unknown flag": ("--scaler hpa --lead-tim 5m", "--lead-time"),
    "unknown plant": ("--scaler hpa --plant wings=2", "scale_in_delay"),
    "plant that does not parse": ("--scaler hpa --plant step-in=-1", "step"),
    "no scaler": ("", "--scaler"),
    "folder that is not there": ("--scaler static --targets-out no/t.csv", "no/t.csv"),
}


@pytest.mark.parametrize("name", FLAGS)
def test_a_bad_flag_of_replay_is_one_line_and_nothing_written(shell, name):
    """A flag that cannot be used ends in one line that names it or the mend, code 64, and no file is made."""
    arguments, place = FLAGS[name]
    out = [] if "--targets-out" in arguments else ["--targets-out", "t.csv"]
    answer = shell("replay", "--history", "m.csv", *out, *arguments.split())
    refused(answer, 64)
    assert place in answer.err
    assert shell.files() == {"m.csv"}


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ("--levels 0,0.5", "--levels"),
        ("--levels 90", "--levels"),
        ("--levels half", "--levels"),
        ("--levels nan", "--levels"),
        ("--freq 7m", "--freq"),
        ("--freq 0s", "--freq"),
        ("--horizon 30m", "--horizon"),
        ("--horizon many", "--horizon"),
        ("--model arima", "seasonal_naive"),
        ("--aggregate sum", "mean"),
    ],
)
def test_a_bad_flag_of_forecast_is_one_line(shell, arguments, place):
    """A flag of forecast that cannot be used ends in one line that names it or the mend, code 64."""
    answer = shell("forecast", "--history", "m.csv", "--model", "seasonal_naive", *arguments.split())
    refused(answer, 64)
    assert place in answer.err


def test_the_nearest_series_is_named(shell):
    """A series that is not in the history is bad data, and the nearest one is named."""
    answer = shell("replay", "--history", "m.csv", "--scaler", "hpa", "--series", "wbe")
    refused(answer, 5)
    assert "web" in answer.err


def test_a_warm_up_longer_than_the_history_is_too_little_data(shell):
    """Where nothing is left to score the data do not suffice: code 5."""
    refused(shell("replay", "--history", "m.csv", "--scaler", "hpa", "--warmup", "90d"), 5)


def test_the_json_of_replay_has_exactly_its_keys(shell):
    """Scripts rely on the keys, on fractions and on finite numbers."""
    answer = shell("replay", "--history", "m.csv", "--scaler", "hpa", "--output", "json")
    assert answer.code == 0
    assert answer.err == ""
    document = json.loads(answer.out)
    assert sorted(document) == ["format_version", "lead_time_s", "scaler", "series"]
    assert (document["format_version"], document["scaler"], document["lead_time_s"]) == (1, "hpa", 300)
    assert [one["unique_id"] for one in document["series"]] == ["api", "web"]
    for one in document["series"]:
        assert sorted(one) == sorted(KEYS)
        figures = [one[key] for key in KEYS[1:]]
        assert all(isinstance(figure, int | float) and math.isfinite(figure) for figure in figures)
        assert one["steps"] == 4 * 96
        assert 0 <= one["violation"] <= 1
        assert 0 <= one["unserved"] <= 1
        assert one["cost"] > 0
        assert one["clairvoyant"] > 0


def test_only_tuning_adds_the_knobs(shell):
    """With `--tune hindsight` each series says which scaler and knob it was scored with."""
    answer = shell("replay --history m.csv --scaler hpa --tune hindsight --violation 1% --output json")
    assert answer.code == 0
    assert answer.err == ""
    tuned = json.loads(answer.out)["tuned"]
    assert [sorted(one) for one in tuned] == [["knob", "scaler", "unique_id"]] * 2
    assert all(one["violation"] <= 0.01 for one in json.loads(answer.out)["series"])


def test_a_budget_that_is_not_used_is_told(shell):
    """`--violation` warns with a scaler that has no budget, and not with one that has."""
    idle = shell("replay", "--history", "m.csv", "--scaler", "hpa", "--violation", "1%")
    assert idle.code == 0
    assert idle.err.startswith("loadline: warning: hpa has no budget")
    used = shell("replay", "--history", "m.csv", "--scaler", "seasonal_quantile", "--violation", "1%")
    assert used.code == 0
    assert used.err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--history", "a.csv", "b.csv", "--series", "api", "web"],
        ["--history", "a.csv", "--history", "b.csv", "--series", "api", "--series", "web"],
        ["--series", "api", "web", "--history=a.csv", "--history=b.csv"],
    ],
)
def test_flags_take_several_values_and_may_be_repeated(shell, arguments):
    """`--history A B` is `--history A --history B`, wherever it stands, and so is `--series`."""
    (shell.folder / "a.csv").write_text("\n".join(["unique_id,ds,y", *small.rows("api", 50, seed=2, days=8)]))
    (shell.folder / "b.csv").write_text(
        "\n".join(["unique_id,ds,y", *small.rows("web", 100, seed=1, days=8)])
    )
    answer = shell("replay", *arguments, "--scaler", "static", "--output", "json")
    assert answer.code == 0
    whole = shell("replay", "--history", "m.csv", "--scaler", "static", "--output", "json")
    assert json.loads(answer.out) == json.loads(whole.out)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_the_targets_file_holds_every_step_from_a_lead_time_before_the_scored_part(shell, name):
    """Stamps end in Z, missing demand is empty, `scored` is 0 or 1, and the cost can be had from the file."""
    lines = (shell.folder / "m.csv").read_text().splitlines()
    gone = [line for line in lines if line.startswith("api") and ("T03:" in line)]
    (shell.folder / "m.csv").write_text("\n".join(line for line in lines if line not in gone) + "\n")
    call = "replay --history m.csv --series api --scaler hpa --lead-time 40m --warmup 0.5 --output json"
    answer = shell(call, "--targets-out", name)
    assert answer.code == 0
    opener = gzip.open if name.endswith(".gz") else open
    with opener(shell.folder / name, "rt") as file:
        head, *found = list(csv.reader(file))
    assert head == ["unique_id", "ds", "target", "demand_units", "scored"]
    stamps = [datetime.fromisoformat(row[1]) for row in found]
    assert all(row[1].endswith("Z") for row in found)
    assert all(b - a == timedelta(minutes=15) for a, b in pairwise(stamps))
    assert [row[4] for row in found] == ["0"] * 3 + ["1"] * (4 * 96)
    assert {row[0] for row in found} == {"api"}
    absent = [row for row in found if row[3] == ""]
    assert len(absent) == 4 * 4
    assert all("T03:" in row[1] for row in absent)
    (score,) = json.loads(answer.out)["series"]
    targets = [int(row[2]) for row in found]
    present = [i for i, row in enumerate(found) if row[4] == "1" and row[3]]
    assert score["steps"] == len(present)
    assert score["cost"] == pytest.approx(sum(targets[i] for i in present) / 4)
    ready = [min(targets[max(0, i - 3) : i + 1]) for i in range(len(found))]
    late = [i for i in present if float(found[i][3]) > ready[i]]
    assert score["violation"] == pytest.approx(len(late) / len(present))


def test_the_table_is_for_people(shell):
    """Without `--output` there is a table, without escape codes where nobody looks."""
    answer = shell("replay", "--history", "m.csv", "--scaler", "static")
    assert answer.code == 0
    assert "static" in answer.out
    assert "web" in answer.out
    assert "\x1b" not in answer.out


def test_the_csv_of_forecast_is_a_row_a_step(shell):
    """`--output csv`: one column a level, ascending, one row a step, beginning where the history ended."""
    answer = shell(
        "forecast --history m.csv --freq 1h --horizon 48h --levels 0.95,0.5,0.9",
        "--model",
        "seasonal_naive",
        "--output",
        "csv",
    )
    assert answer.code == 0
    head, *found = list(csv.reader(answer.out.splitlines()))
    assert head == ["unique_id", "ds", "0.5", "0.9", "0.95"]
    assert [row[0] for row in found] == ["api"] * 48 + ["web"] * 48
    assert found[0][1] == "2026-03-02T08:00:00Z"
    assert found[47][1] == "2026-03-04T07:00:00Z"
    for row in found:
        low, mid, high = map(float, row[2:])
        assert 0 <= low <= mid <= high
        assert math.isfinite(high)


def test_levels_that_lie_close_have_columns_of_their_own(shell):
    """The head of the CSV names each level to its last digit."""
    answer = shell(
        "forecast --history m.csv --horizon 1h --levels 0.9999999,0.99999991 --model seasonal_naive -o csv"
    )
    assert answer.out.splitlines()[0] == "unique_id,ds,0.9999999,0.99999991"


def test_the_json_of_forecast_is_the_same_forecast(shell):
    """The JSON holds what the CSV holds, and names the model."""
    call = "forecast --history m.csv --series web --model seasonal_naive --horizon 6h --output"
    (one,) = json.loads(shell(call, "json").out)["series"]
    found = list(csv.reader(shell(call, "csv").out.splitlines()))[1:]
    assert one["model"] == "seasonal_naive"
    assert one["ds"] == [row[1] for row in found]
    assert one["values"] == [[float(value) for value in row[2:]] for row in found]


def test_the_largest_of_each_hour_is_no_less_than_its_mean(shell):
    """`--aggregate max` forecasts the hour's peak, which is no lower than its mean."""
    call = "forecast --history m.csv --series web --model seasonal_naive --levels 0.5 --output json"
    means = json.loads(shell(call).out)["series"][0]["values"]
    peaks = json.loads(shell(call, "--aggregate", "max").out)["series"][0]["values"]
    assert all(peak >= mean for (peak,), (mean,) in zip(peaks, means, strict=True))
    assert peaks != means


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mstl", "ets", "theta"])
def test_each_model_forecasts_on_the_command_line(tmp_path, monkeypatch, capsys, model):
    """The statsforecast models answer in the same form, ascending and finite, under their own name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.csv").write_text(small.history(days=15))
    shell = small.Shell(tmp_path, capsys)
    answer = shell("forecast", "--history", "m.csv", "--model", model, "--output", "json")
    assert answer.code == 0
    for one in json.loads(answer.out)["series"]:
        assert one["model"] == model, (one["notes"], answer.err)
        assert len(one["values"]) == 48
        for low, mid, high in one["values"]:
            assert 0 <= low <= mid <= high
            assert math.isfinite(high)
