"""The main job on a generated world: ingest, forecast, plan, apply to the fake cloud, replay, report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from autoscaler import config, demo_world
from autoscaler.bootstrap import App, build
from autoscaler.clock import SetClock
from autoscaler.errors import LoadlineError, UsageError
from dashboards.views import ReplayChart, ReplayRow
from forecasts.types import DAY_S, Series
from policies import trial
from policies.money import unit_usd
from policies.plan import Status

if TYPE_CHECKING:
    from autoscaler.tick import Turn
    from policies.model import Pool

SCORED_S = 14 * DAY_S
OURS = "seasonal_quantile"
FILES = ("loadline.yaml", "metrics.csv", "report.html", "loadline.schema.json")
STATE = ("loadline.db", "cloud.db")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The demo's folder, its application, and the samples it was made with."""

    folder: Path
    app: App
    clock: SetClock
    samples: int


def make(folder: Path, *, seed: int) -> World:
    """Write the world into a folder (new, empty, or one of an earlier demo) and open it."""
    _clear(folder)
    (folder / "loadline.yaml").write_text(demo_world.CONFIGURATION, encoding="utf-8")  # first: it marks ours
    samples = demo_world.write_csv(folder / "metrics.csv", demo_world.loads(seed))
    clock = SetClock(demo_world.END)
    app = build(config.load(str(folder / "loadline.yaml")), clock)
    return World(folder=folder, app=app, clock=clock, samples=samples)


def _clear(folder: Path) -> None:
    """Remove what an earlier demo left; a folder with anything else in it is not touched."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}") from None
    ours = {*FILES, *(f"{name}{end}" for name in STATE for end in ("", "-wal", "-shm"))}
    there = sorted(entry.name for entry in folder.iterdir())
    others = [name for name in there if name not in ours]
    if there and not _made_here(folder):  # names alone prove nothing: an operator's files are called the same
        others = others or there
    if others:
        raise UsageError(f"{folder} holds {others[0]}, which no demo made; name another folder with --out")
    for name in ours:
        (folder / name).unlink(missing_ok=True)


def _made_here(folder: Path) -> bool:
    """Whether the folder's configuration is one that a demo wrote."""
    try:
        return demo_world.MARK in (folder / "loadline.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def arrived(world: World, turn: Turn) -> list[tuple[str, int, int]]:
    """Let the lead times pass, and read what serves: (pool, ready, wanted) of each applied action."""
    lead = {pool.id: pool.lead_time_s for pool in turn.seen.snapshot.pools}
    done = [action for action, outcome in turn.outcomes if outcome.status is Status.APPLIED]
    world.clock.advance(max((lead[action.target] for action in done), default=0))
    return [
        (action.target, turn.seen.owners[action.target].read(action.target).ready_units, action.after)
        for action in done
    ]


def replays(turn: Turn, on_progress: Callable[[int], None]) -> tuple[list[ReplayRow], list[ReplayChart]]:
    """The last 14 days of each pool that can be replayed, under ours, the static peak and the HPA.

    The HPA's target is tuned with hindsight to the violation that ours reached, pool by pool.
    """
    rows: list[ReplayRow] = []
    charts: list[ReplayChart] = []
    for count, pool in enumerate(turn.seen.snapshot.pools, 1):
        outlook = turn.outlooks.get(pool.id)
        if outlook is not None and not outlook.refusal:
            found = dict(_trials(pool, outlook.demand))
            rows += [_row(pool, name, one) for name, one in found.items()]
            charts.append(_chart(pool, found))
        on_progress(count)
    return rows, charts


def _trials(pool: Pool, demand: Series) -> Iterator[tuple[str, trial.Trial]]:
    rules = trial.Rules(
        scaler=OURS,
        lead_s=pool.lead_time_s,
        warmup=trial.Warmup(seconds=len(demand.y) * demand.step_s - SCORED_S),
        unit_capacity=1.0,  # the demand is in units already
        violation=0.01,
        chosen={},
        plant={"minimum": pool.minimum},
    )
    ours = trial.run(replace(demand, unique_id=pool.id), rules)
    yield OURS, ours
    yield "static", trial.run(demand, replace(rules, scaler="static"))
    tuned = replace(rules, scaler="hpa", tune=True, violation=ours.score.violation)
    yield "hpa", trial.run(demand, tuned)


def _row(pool: Pool, name: str, one: trial.Trial) -> ReplayRow:
    price = unit_usd(pool)
    return ReplayRow(
        pool=pool.id,
        scaler=name,
        cost_unit_hours=one.score.cost,
        clairvoyant_unit_hours=one.score.clairvoyant,
        cost_usd=None if price is None else one.score.cost * price.mid,
        violation=one.score.violation,
        unserved=one.score.unserved,
        actions_per_day=one.score.actions_per_day,
    )


def _chart(pool: Pool, found: Mapping[str, trial.Trial]) -> ReplayChart:
    one = found[OURS]
    part = slice(one.warmup_steps, None)
    return ReplayChart(
        pool=pool.id,
        stamps=one.grid.stamps()[part],
        demand=one.demand[part],
        ready={name: each.serving[part].astype(float) for name, each in found.items()},
    )


def save(world: World, document: str, schema: str) -> Path:
    """Write the report, and the schema that editors complete the configuration by; where the report is."""
    path = world.folder / "report.html"
    try:
        path.write_text(document, encoding="utf-8")
        (world.folder / "loadline.schema.json").write_text(schema, encoding="utf-8")
    except OSError as error:
        raise LoadlineError(f"{path}: {error.strerror}") from None
    return path
