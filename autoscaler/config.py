"""Configuration: a YAML file and `LOADLINE__a__b` overrides -> one frozen value. The only reader of both.

Every problem of a file is reported, one line each, in the order of its lines; nothing else is done then.
pydantic and yaml are imported only when a file is loaded, explained or its schema is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from autoscaler.connections import RealProvider, RemoteSource
from autoscaler.declared import Backlog, DeclaredDemand, DeclaredPool, Latency, Observed, Utilization
from autoscaler.errors import ConfigError
from policies.model import Offering
from policies.policy import (
    DEFAULT_BUDGETS,
    Budget,
    Event,
    Freeze,
    Freshness,
    Mask,
    Mode,
    Policy,
    PoolPolicy,
    Step,
)

if TYPE_CHECKING:
    from autoscaler import settings, settings_pools

DEFAULT_FILE = "loadline.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSource:
    """A file of history: kind csv or parquet; `timezone` is "UTC" where its stamps carry none, else None.

    `counter`: its values only grow but for resets, and their rate per second is the demand.
    """

    kind: str
    path: str
    timezone: str | None = None
    counter: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeProvider:
    """The fake cloud's state file and the lead time (s) of pools that name none."""

    path: str
    lead_time_s: int = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastSettings:
    """Quantile levels (ascending probabilities), horizon and time budget of a model, in seconds.

    `levels` are those of the file and the one that each pool is sized by.
    """

    levels: tuple[float, ...] = (0.5, 0.8, 0.9, 0.95, 0.99)
    horizon_s: int = 48 * 3600
    timeout_s: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarSettings:
    """Declared days of an IANA zone, the country whose holidays count too, and the weekday they are like."""

    timezone: str = "UTC"
    days: tuple[date, ...] = ()
    country: str | None = None
    subdivision: str | None = None
    like: str = "sunday"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """From one tick to the next, how long a tick may work and still act, how long its plan lives, in s."""

    interval_s: int = 60
    watchdog_s: int = 900
    plan_ttl_s: int = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Where recommendations are served: an IP address and a port; `public` where others may reach it."""

    host: str = "127.0.0.1"
    port: int = 8080
    public: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything an operator set. Paths are absolute; `now` is "clock", "last-sample" or an aware time.

    `providers` and `pools` are keyed by name; the policy follows `pools` in which pools it knows.
    """

    file: str
    now: str | datetime = "clock"
    state: str
    freeze_file: str = ""
    metrics: tuple[MetricsSource | RemoteSource, ...] = ()
    providers: Mapping[str, FakeProvider | RealProvider] = field(default_factory=lambda: MappingProxyType({}))
    pools: Mapping[str, DeclaredPool] = field(default_factory=lambda: MappingProxyType({}))
    forecast: ForecastSettings = ForecastSettings()
    calendar: CalendarSettings | None = None
    run: RunSettings = RunSettings()
    web: WebSettings | None = None
    policy: Policy = field(default_factory=Policy)

    def series(self) -> tuple[str, ...]:
        """The ids of every series a pool needs, in order, each once."""
        return tuple(dict.fromkeys(name for pool in self.pools.values() for name in pool.series))

    def counts(self) -> frozenset[str]:
        """The ids of the series of the pools' own sizes, which stand still for long."""
        return frozenset(name for pool in self.pools.values() for name in pool.counts)

    def signals(self) -> tuple[str, ...]:
        """The ids of the series that forbid shrinking, in order, each once."""
        return tuple(dict.fromkeys(signal.series for signal in self.policy.interlocks.signals))

    def formerly(self) -> dict[str, tuple[str, ...]]:
        """The former ids of each series that had any, newest first."""
        demands = (demand for pool in self.pools.values() for demand in pool.demands)
        return {demand.series: demand.formerly for demand in demands if demand.formerly}


def find(explicit: str | None) -> str:
    """The file to load: the one named, else LOADLINE_CONFIG, else ./loadline.yaml; ConfigError if none is."""
    if explicit:
        return explicit
    named = os.environ.get("LOADLINE_CONFIG")
    if named:
        return named
    if Path(DEFAULT_FILE).is_file():
        return DEFAULT_FILE
    raise ConfigError(
        f"no configuration: there is no ./{DEFAULT_FILE}; name one with --config or LOADLINE_CONFIG"
    )


def load(path: str) -> Configuration:
    """Read, check and freeze. Raises ConfigError: every problem on a line of its own, `file:line: ...`."""
    from autoscaler import settings_file  # noqa: PLC0415 - pydantic and yaml only where a file is loaded

    folder = Path(path).resolve().parent
    parsed, paths = settings_file.parse(path, folder, os.environ)
    return _frozen(parsed, path, paths)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the file, for editors: every key with description and default."""
    from autoscaler import settings_tree  # noqa: PLC0415 - pydantic and yaml only where they are needed

    return settings_tree.json_schema()


def explain(key_path: str) -> str:
    """A manual page for a key, `pools.*.scaler` or `budgets.0.share`; empty: the top. ConfigError names the
    nearest key.
    """
    from autoscaler import settings_tree  # noqa: PLC0415 - pydantic and yaml only where they are needed

    return settings_tree.explain(key_path)


def _frozen(parsed: settings.File, file: str, paths: Mapping[tuple[str | int, ...], str]) -> Configuration:
    providers = _providers(parsed.providers, paths)
    pools = {name: _pool(name, pool, providers[pool.provider]) for name, pool in parsed.pools.items()}
    ahead = parsed.forecast
    policy = _policy(parsed)
    return Configuration(
        file=file,
        now=parsed.now,
        state=paths[("state",)],
        freeze_file=paths.get(("freeze_file",), ""),
        metrics=tuple(_source(entry, ("metrics", n), paths) for n, entry in enumerate(parsed.metrics)),
        providers=MappingProxyType(providers),
        pools=MappingProxyType(pools),
        forecast=ForecastSettings(
            levels=_levels(ahead.levels, policy), horizon_s=ahead.horizon, timeout_s=ahead.timeout
        ),
        calendar=_calendar(parsed.calendar),
        run=_run(parsed),
        web=_web(parsed),
        policy=policy,
    )


def _providers(
    section: settings.ProvidersSection, paths: Mapping[tuple[str | int, ...], str]
) -> dict[str, FakeProvider | RealProvider]:
    """By name: `fake`, and KIND/NAME of the others."""
    from autoscaler.settings_world import settled  # noqa: PLC0415 - pydantic only where a file is loaded

    found: dict[str, FakeProvider | RealProvider] = {}
    if section.fake is not None:
        path = paths["providers", "fake", "path"]
        found["fake"] = FakeProvider(path=path, lead_time_s=section.fake.lead_time)
    for kind in ("kubernetes", "aws", "google"):
        for name, entry in getattr(section, kind).items():
            found[f"{kind}/{name}"] = settled(entry, ("providers", kind, name), paths)
    return found


def _source(
    entry: Any, place: tuple[str | int, ...], paths: Mapping[tuple[str | int, ...], str]
) -> MetricsSource | RemoteSource:
    from autoscaler.settings_world import settled  # noqa: PLC0415 - as above

    if entry.kind not in {"csv", "parquet"}:
        remote: RemoteSource = settled(entry, place, paths)
        return remote
    return MetricsSource(
        kind=entry.kind, path=paths[*place, "path"], timezone=entry.timezone, counter=entry.counter
    )


def _run(parsed: settings.File) -> RunSettings:
    run = parsed.run
    ttl = run.plan_ttl
    if ttl is None:  # what a tick planned can be approved until the next one has planned it again
        ttl = min(parsed.plan_ttl, max(RunSettings().plan_ttl_s, 2 * run.interval))
    return RunSettings(interval_s=run.interval, watchdog_s=run.watchdog, plan_ttl_s=ttl)


def _web(parsed: settings.File) -> WebSettings | None:
    from autoscaler.settings_web import address  # noqa: PLC0415 - as above

    if parsed.web is None:
        return None
    host, port = address(parsed.web.listen)
    return WebSettings(host=host, port=port, public=parsed.web.public)


def _calendar(section: settings.CalendarSection | None) -> CalendarSettings | None:
    if section is None:
        return None
    return CalendarSettings(
        timezone=section.timezone,
        days=tuple(section.holidays),
        country=section.country,
        subdivision=section.subdivision,
        like=section.like,
    )


def _event(section: settings.EventSection) -> Event:
    like = section.like
    return Event(
        name=section.name,
        start=section.start,
        end=section.end,
        pools=section.pools,
        multiplier=section.multiplier,
        like=None if like is None else (like.start, like.end),
    )


def _levels(listed: tuple[float, ...], policy: Policy) -> tuple[float, ...]:
    """The levels to forecast: those listed, and those that the pools are sized by."""
    from policies import scalers  # noqa: PLC0415 - numpy only where a file is loaded

    needed = (
        scalers.level(scalers.load(rule.scaler), rule.settings, violation=rule.violation)
        for rule in policy.pools.values()
    )
    return tuple(sorted({*listed, *(level for level in needed if level is not None)}))


def _pool(name: str, pool: settings_pools.PoolSection, provider: FakeProvider | RealProvider) -> DeclaredPool:
    return DeclaredPool(
        id=name,
        provider=pool.provider,
        target=pool.target or name,
        kind=pool.kind,
        minimum=pool.minimum,
        maximum=pool.maximum,
        desired=pool.minimum if pool.desired is None else pool.desired,
        demands=tuple(_demand(demand) for demand in pool.demands),
        observed=None if pool.observed is None else Observed(**dict(pool.observed)),
        offerings=tuple(Offering(**dict(offering)) for offering in pool.offerings),
        lead_time_s=provider.lead_time_s if pool.lead_time is None else pool.lead_time,
        drain_time_s=pool.drain_time,
        maximum_step_in=pool.maximum_step_in,
        labels=MappingProxyType(dict(pool.labels)),
        protected=pool.protected,
    )


def _demand(section: settings_pools.DemandSection) -> DeclaredDemand:
    from policies.units import LATENCIES  # noqa: PLC0415 - kept beside its use

    used, slow = section.utilization, section.latency
    return DeclaredDemand(
        series=section.series,
        unit_capacity=None if isinstance(section.unit_capacity, str) else section.unit_capacity,
        units_at_p99=section.units_at_p99,
        utilization=None if used is None else Utilization(**dict(used)),
        latency=None
        if slow is None
        else Latency(series=slow.series, objective=slow.objective / LATENCIES[slow.unit]),
        saturates_at=section.saturates_at,
        formerly=tuple(section.formerly),
        backlog=None
        if section.backlog is None
        else Backlog(drain_s=section.backlog.drain, arrivals=section.backlog.arrivals),
    )


def _policy(parsed: settings.File) -> Policy:
    from autoscaler import settings_acting as acting  # noqa: PLC0415 - pydantic only where a file is loaded

    budgets: tuple[Budget, ...] = DEFAULT_BUDGETS
    if parsed.budgets is not None:
        budgets = tuple(
            Budget(scope=b.scope, step=Step(units=b.units, share=b.share), window_s=b.window)
            for b in parsed.budgets
        )
    fresh = parsed.freshness
    return Policy(
        default=_sizing(parsed.defaults, parsed.defaults),
        pools=MappingProxyType({n: _sizing(p, parsed.defaults) for n, p in parsed.pools.items()}),
        budgets=budgets,
        freezes=tuple(Freeze(**dict(freeze)) for freeze in parsed.freeze),
        freshness=Freshness(
            periods=fresh.periods,
            completeness=fresh.completeness,
            longest_gap_s=fresh.longest_gap,
            window_s=fresh.window,
        ),
        events=tuple(_event(event) for event in parsed.events),
        masks=tuple(Mask(**dict(mask)) for mask in parsed.mask),
        freeze_windows=acting.freeze_windows(parsed.freeze_windows),
        interlocks=acting.interlocks(parsed.interlocks),
        flap=acting.flap(parsed.flap),
        money=acting.money(parsed.money),
        fleet_share=parsed.fleet_share,
        plan_ttl_s=parsed.plan_ttl,
        revalidate_s=parsed.revalidate,
    )


def _sizing(section: settings_pools.SizingSection, defaults: settings_pools.SizingSection) -> PoolPolicy:
    """A key the section sets wins over `defaults`; so do single settings, where the scaler is the same."""

    def of(key: str) -> Any:
        return getattr(section if key in section.model_fields_set else defaults, key)

    def mode(direction: str) -> Mode:
        """Of the section first: its `mode` wins over what the defaults say of the direction."""
        asked = (
            getattr(part, key)
            for part in (section, defaults)
            for key in (direction, "mode")
            if key in part.model_fields_set
        )
        return next((one for one in asked if one is not None), Mode.OBSERVE)

    scaler = of("scaler")
    inherited = defaults.settings if scaler == defaults.scaler else {}
    return PoolPolicy(
        scaler=scaler,
        settings=MappingProxyType({**inherited, **section.settings}),
        violation=of("violation"),
        model=of("model"),
        mode_out=mode("mode_out"),
        mode_in=mode("mode_in"),
        observe_first_s=of("observe_first"),
        cool_down_out_s=of("cool_down_out"),
        cool_down_in_s=of("cool_down_in"),
        step_out=Step(**dict(of("step_out"))),
        step_in=Step(**dict(of("step_in"))),
        survive_zone_loss=of("survive_zone_loss"),
    )
