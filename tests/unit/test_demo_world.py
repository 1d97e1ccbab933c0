"""The generated world: the same for the same seed, and sound but for what is meant to be broken."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta

import numpy as np
import pytest

from autoscaler import config, demo, demo_world
from autoscaler.errors import UsageError

STEPS = demo_world.DAYS * 1440


@pytest.fixture(scope="module")
def world():
    """The world of one seed, by series."""
    return {load.unique_id: load.y for load in demo_world.loads(7)}


@pytest.mark.slow
def test_the_same_seed_is_the_same_world(world):
    """A seed names one world, and another seed another."""
    again = {load.unique_id: load.y for load in demo_world.loads(7)}
    other = {load.unique_id: load.y for load in demo_world.loads(8)}
    assert list(again) == list(world) == list(other)
    for name, y in world.items():
        assert np.array_equal(again[name], y)
        assert not np.array_equal(other[name], y)


def test_it_has_eight_series_of_28_days(world):
    """One value a minute, finite and never negative, and none that never moves."""
    assert len(world) == 8
    for name, y in world.items():
        assert y.shape == (STEPS,), name
        assert np.isfinite(y).all(), name
        assert (y >= 0).all(), name
        assert y.std() > 0, name
    assert timedelta(days=28) == demo_world.END - demo_world.START
    assert demo_world.END.weekday() == 0


def test_the_shapes_are_what_their_names_say(world):
    """Weekends are quiet where people work, the batch runs at night, the development group idles."""
    minute = np.arange(STEPS)
    stamps = np.datetime64(demo_world.START.replace(tzinfo=None), "m") + minute
    weekday = (stamps.astype("datetime64[D]").astype(int) + 3) % 7
    hour = stamps.astype("datetime64[h]").astype(int) % 24
    weekend = weekday >= 5
    for name in ("web_requests", "llm_tokens", "ci_jobs", "dev_requests"):
        assert world[name][weekend].mean() < 0.75 * world[name][~weekend].mean(), name
    night = (hour >= 1) & (hour < 4)
    assert world["batch_tasks"][night].mean() > 20 * world["batch_tasks"][~night & (hour > 6)].mean()
    assert np.median(world["dev_requests"]) < 2
    assert world["api_requests"].max() > 2 * np.percentile(world["api_requests"], 95)


@pytest.mark.slow
def test_the_file_has_no_bad_rows_but_those_of_the_broken_series(tmp_path, world):
    """Rows and stamps are whole; `search` turns negative and NaN six hours before the end, then stops."""
    rows = demo_world.write_csv(tmp_path / "m.csv", demo_world.loads(7))
    with (tmp_path / "m.csv").open() as file:
        head, *found = list(csv.reader(file))
    assert head == ["unique_id", "ds", "y"]
    assert len(found) == rows
    bad = [(name, ds) for name, ds, y in found if not float(y) >= 0]
    assert {name for name, _ in bad} == {"search_queries"}
    first = datetime.fromisoformat(min(ds for _, ds in bad))
    assert first == demo_world.END - timedelta(seconds=demo_world.BROKEN_S)
    last = {name: datetime.fromisoformat(ds) for name, ds, _ in found}
    assert last.pop("search_queries") < demo_world.END - timedelta(hours=5)
    assert set(last.values()) == {demo_world.END - timedelta(minutes=1)}
    assert {name for name, _, _ in found} == set(world)


def test_its_configuration_is_sound(tmp_path, world):
    """The configuration of the demo validates, and its pools are sized by the world's series."""
    (tmp_path / "loadline.yaml").write_text(demo_world.CONFIGURATION)
    loaded = config.load(str(tmp_path / "loadline.yaml"))
    assert set(loaded.series()) == set(world)
    assert len(loaded.pools) == 8
    assert demo_world.MARK in demo_world.CONFIGURATION


def test_a_world_is_made_anew_where_a_demo_was(tmp_path):
    """A folder of an earlier demo is made anew, whatever state it was in."""
    folder = tmp_path / "demo"
    demo._clear(folder)
    (folder / "loadline.yaml").write_text(demo_world.CONFIGURATION)
    for name in (*demo.FILES[1:], *demo.STATE, "loadline.db-wal"):
        (folder / name).write_text("left over")
    demo._clear(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "files",
    [
        {"notes.txt": "mine"},
        {"loadline.yaml": demo_world.CONFIGURATION, "notes.txt": "mine"},
        {"loadline.yaml": "pools: {}"},
        {"loadline.db": "the state of a real installation"},
        {"loadline.yaml": "pools: {}", "loadline.db": "state", "cloud.db": "cloud"},
        {"metrics.csv": "unique_id,ds,y"},
    ],
)
def test_a_foreign_folder_is_not_touched(tmp_path, files):
    """Files that no demo wrote stay as they are, even if they are called like those of a demo."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match="--out"):
        demo.make(tmp_path, seed=1)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path):
    """A path that is a file ends in a usage error and stays."""
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(UsageError, match="demo"):
        demo.make(tmp_path / "demo", seed=1)
    assert (tmp_path / "demo").read_text() == "mine"
