"""The sections of the configuration file as pydantic models: which keys there are, and what each is for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from autoscaler.settings_acting import (
    Flap,
    FlapSection,
    FreezeWindowSection,
    InterlocksSection,
    MoneySection,
)
from autoscaler.settings_kinds import (
    Day,
    Duration,
    Levels,
    Moment,
    Multiplier,
    Name,
    Now,
    PathText,
    Section,
    Share,
    SomePools,
    SomeTime,
    SomeUnits,
    Units,
    Utc,
    Weekday,
    Zone,
    enumerated,
)
from autoscaler.settings_pools import PoolSection, SizingSection
from autoscaler.settings_web import WebSection
from autoscaler.settings_world import (
    AwsSection,
    CloudWatchSection,
    GoogleMonitoringSection,
    GoogleSection,
    KubernetesSection,
    PrometheusSection,
)
from policies.policy import Scope


class FileSection(Section):
    """A file of history."""

    kind: Literal["csv", "parquet"] = Field(
        description="The format: columns unique_id, ds, y; .gz is read too."
    )
    path: PathText = Field(
        description="The file, relative to this one; ${NAME} is taken from the environment."
    )
    timezone: Utc | None = Field(
        default=None, description="UTC where the stamps carry no zone; without it such stamps are refused."
    )
    counter: bool = Field(
        default=False,
        description="true: every series only grows but for resets; its rate per second is the demand.",
    )


MetricsSection = Annotated[
    FileSection | PrometheusSection | CloudWatchSection | GoogleMonitoringSection,
    Field(discriminator="kind"),
]


class FakeSection(Section):
    """The embedded fake cloud: strict, stateful, costs nothing."""

    path: PathText = Field(
        default="./cloud.db", description="The file that holds the state of the fake cloud."
    )
    lead_time: Duration = Field(default=300, description="Lead time of pools that name none.")


class ProvidersSection(Section):
    """The systems that hold pools, by their kind."""

    fake: FakeSection | None = Field(default=None, description="The embedded fake cloud.")
    kubernetes: dict[Name, KubernetesSection] = Field(
        default_factory=dict, description="Clusters by a name of your own; pools say kubernetes/NAME."
    )
    aws: dict[Name, AwsSection] = Field(
        default_factory=dict, description="Accounts and regions by a name of your own; pools say aws/NAME."
    )
    google: dict[Name, GoogleSection] = Field(
        default_factory=dict, description="Projects by a name of your own; pools say google/NAME."
    )


class BudgetSection(Section):
    """How much may shrink in any window of the given length."""

    scope: Annotated[Scope, *enumerated(Scope, "scope")] = Field(
        description="pool: for each pool. provider: over each provider's pools. all: over everything."
    )
    units: Units = Field(description="Units that may always go in a window.")
    share: Share = Field(default=0.0, description="Share of the size at the window's start that may go.")
    window: SomeTime = Field(description="Length of the window; it slides.")


class FreezeSection(Section):
    """No action within the scope."""

    scope: Annotated[Scope, *enumerated(Scope, "scope")] = Field(description="What is frozen.")
    name: str = Field(default="", description="The pool or the provider; left out for all.")
    until: Moment | None = Field(
        default=None, description="When it ends; left out: until it is taken out again."
    )
    why: str = Field(default="", description="The reason, shown wherever an action is held by it.")


class PastEventSection(Section):
    """When a past event was."""

    start: Moment = Field(description="When it began, with its zone.")
    end: Moment = Field(description="When it was over.")


class EventSection(Section):
    """Demand that no past week foretells: give multiplier or like."""

    name: Name = Field(description="What it is called wherever it is told.")
    pools: SomePools | None = Field(default=None, description="The pools it touches; left out: all.")
    start: Moment = Field(description="When demand begins to differ; growth begins one lead time before.")
    end: Moment = Field(description="When demand is as usual again.")
    multiplier: Multiplier | None = Field(default=None, description="What demand will be to the usual.")
    like: PastEventSection | None = Field(
        default=None, description="Instead: a past event whose demand is expected again."
    )


class MaskSection(Section):
    """A window of history from which nothing is learnt: a load test, an incident, a bot."""

    pools: SomePools | None = Field(default=None, description="The pools it touched; left out: all.")
    start: Moment = Field(description="When it began, with its zone.")
    end: Moment = Field(description="When it was over.")
    why: str = Field(default="", description="The reason, for whoever reads the file.")


class CalendarSection(Section):
    """Holidays: days on which demand is that of another weekday."""

    timezone: Zone = Field(default="UTC", description="The zone whose days they are, such as Europe/Rome.")
    holidays: list[Day] = Field(default_factory=list, description="Days, such as 2026-12-25.")
    country: Annotated[str, Field(min_length=2)] | None = Field(
        default=None, description="Also the holidays of a country, such as DE; needs loadline[holidays]."
    )
    subdivision: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="Those of a state or province too, such as BY."
    )
    like: Weekday = Field(default="sunday", description="The weekday as which a holiday behaves.")


class FreshnessSection(Section):
    """What a pool's metrics must be for it to shrink."""

    periods: SomeUnits = Field(default=3, description="The last point may be so many steps old.")
    completeness: Share = Field(default=0.9, description="Share of the window's points that must be there.")
    longest_gap: SomeTime = Field(default=7200, description="No hole in the window may be longer.")
    window: SomeTime = Field(
        default=14 * 86400, description="How far back completeness and holes are judged."
    )


class ForecastSection(Section):
    """What is forecast for every series."""

    levels: Levels = Field(
        default=(0.5, 0.8, 0.9, 0.95, 0.99),
        description="Probabilities of the quantiles, ascending. The one that a pool is sized by "
        "(1 - violation, or its setting level) is forecast too, listed or not.",
    )
    horizon: SomeTime = Field(
        default=48 * 3600,
        description="How far ahead, in whole hours; at least the longest lead time and an hour.",
    )
    timeout: SomeTime = Field(default=30, description="Time budget of a model for each hundred series.")


class RunSection(Section):
    """How `loadline run` goes on."""

    interval: SomeTime = Field(default=60, description="From one tick to the next.")
    watchdog: SomeTime = Field(
        default=900, description="A tick that works for longer may change nothing any more, and is told."
    )
    plan_ttl: SomeTime | None = Field(
        default=None,
        description="How long a plan of the daemon may be applied. By default 10m, or twice the interval "
        "where that is longer, and no longer than the plan_ttl of all plans.",
    )


class File(Section):
    """Configuration of Loadline."""

    now: Now = Field(
        default="clock", description="clock, last-sample (plan as of the last sample: old traces), or a time."
    )
    state: PathText = Field(
        default="./loadline.db", description="SQLite file: history, plans, intents, outcomes."
    )
    freeze_file: PathText | None = Field(
        default=None,
        description="While it is there nothing is changed; its text is the reason. By default STATE.freeze.",
    )
    metrics: list[MetricsSection] = Field(default_factory=list, description="Sources of history.")
    providers: ProvidersSection = Field(default=ProvidersSection(), description="Where pools live.")
    defaults: SizingSection = Field(
        default=SizingSection(), description="Sizing of pools that do not say otherwise."
    )
    pools: dict[Name, PoolSection] = Field(
        default_factory=dict, description="The pools by id. None named means none touched."
    )
    budgets: list[BudgetSection] | None = Field(
        default=None,
        description="Limits on shrinking. Left out: 10 % a pool in 10 min, 5 % a provider in 1 h.",
    )
    freeze: list[FreezeSection] = Field(default_factory=list, description="What nothing may act on.")
    freeze_windows: list[FreezeWindowSection] = Field(
        default_factory=list, description="Times of the week in which nothing shrinks."
    )
    interlocks: InterlocksSection = Field(
        default=InterlocksSection(), description="What holds every shrink while it lasts."
    )
    flap: Flap = Field(
        default=FlapSection(), description="Turns of direction after which a pool shrinks no further, or off."
    )
    money: list[MoneySection] = Field(
        default_factory=list, description="By how much growth may raise what is spent an hour."
    )
    fleet_share: Share = Field(
        default=0.3,
        description="More than this share of a provider's units goes in an hour only by approved actions.",
    )
    freshness: FreshnessSection = Field(
        default=FreshnessSection(), description="When metrics may be trusted."
    )
    events: list[EventSection] = Field(
        default_factory=list, description="Events that the past does not foretell, such as a sale."
    )
    mask: list[MaskSection] = Field(
        default_factory=list, description="Windows of history from which nothing is learnt."
    )
    calendar: CalendarSection | None = Field(default=None, description="Holidays.")
    forecast: ForecastSection = Field(default=ForecastSection(), description="What is forecast.")
    run: RunSection = Field(default=RunSection(), description="How the daemon goes on.")
    web: WebSection | None = Field(default=None, description="What is served; left out: nothing.")
    plan_ttl: SomeTime = Field(default=3600, description="How long a plan may be applied.")
    revalidate: Duration = Field(
        default=15, description="What removes waits so long, is planned again, and goes if that agrees."
    )
