"""The sections of the configuration file on pools: how each is sized, its demands, what it costs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from autoscaler.settings_kinds import (
    Capacity,
    Duration,
    Knob,
    LearntCapacity,
    Model,
    Price,
    Reading,
    Scaler,
    Section,
    Share,
    ShortTime,
    SomeTime,
    SomeUnits,
    Target,
    Units,
    Violation,
    enumerated,
)
from policies.model import CapacityType, PoolKind
from policies.policy import Mode


class StepSection(Section):
    """The largest change at once: the larger of units and share of the present size."""

    units: SomeUnits = Field(description="Units that may always change at once.")
    share: Share = Field(default=0.0, description="Share of the present size that may change at once.")


class SizingSection(Section):
    """How a pool is sized and how fast it may change."""

    scaler: Scaler = Field(
        default="seasonal_quantile", description="The rule that turns demand and forecast into capacity."
    )
    settings: dict[str, Knob] = Field(
        default_factory=dict, description="The scaler's own knobs, such as level or target."
    )
    violation: Violation = Field(
        default=0.01, description="Share of time in which demand may exceed ready capacity."
    )
    model: Model = Field(
        default="ridge", description="The forecast model asked first; it falls back by itself."
    )
    mode: Annotated[Mode, *enumerated(Mode, "mode")] = Field(
        default=Mode.OBSERVE,
        description="observe: plans only. rehearse: asks the provider whether it would. approve: "
        "applies what a person approved. auto: applies. By hand, apply needs no mode.",
    )
    mode_out: Annotated[Mode, *enumerated(Mode, "mode")] | None = Field(
        default=None, description="The mode for growing; mode if left out."
    )
    mode_in: Annotated[Mode, *enumerated(Mode, "mode")] | None = Field(
        default=None, description="The mode for shrinking; mode if left out."
    )
    observe_first: Duration = Field(
        default=14 * 86400, description="How long a pool that is new is only observed, whatever its mode."
    )
    cool_down_out: Duration = Field(default=0, description="Time after a change before growing again.")
    cool_down_in: Duration = Field(default=300, description="Time after a change before shrinking.")
    step_out: StepSection = Field(
        default=StepSection(units=4, share=1.0), description="The most that is added at once."
    )
    step_in: StepSection = Field(
        default=StepSection(units=1, share=0.5), description="The most that is removed at once."
    )
    survive_zone_loss: bool = Field(
        default=False, description="Keep enough that the loss of the fullest zone is no violation."
    )


class UtilizationSection(Section):
    """How full a unit is, from which its capacity is learnt."""

    series: str = Field(min_length=1, description="The series id: a share from 0 to 1, or percent.")
    target: Target = Field(description="How full a unit may be on average, such as 70%.")
    top: Reading | None = Field(
        default=None, description="Its reading in full use; left out: 1, or 100 if it ever exceeds 1.5."
    )


class LatencySection(Section):
    """A latency objective, from which the capacity of a unit is learnt."""

    series: str = Field(min_length=1, description="The series id of p95 latency.")
    objective: ShortTime = Field(description="The latency to keep, such as 250ms.")
    unit: Literal["s", "ms", "us"] = Field(default="s", description="The unit of the series.")


class ObservedSection(Section):
    """What the pool really did."""

    ready: str = Field(min_length=1, description="The series id of the units that serve.")
    desired: str | None = Field(
        default=None,
        min_length=1,
        description="The series id of the units that were asked for: with it lead times are learnt.",
    )


class BacklogSection(Section):
    """The series counts work that waits, not work that arrives."""

    drain: SomeTime = Field(description="The time within which what waits is to be done.")
    arrivals: str | None = Field(
        default=None, min_length=1, description="The series id of what arrives per second, if there is one."
    )


class DemandSection(Section):
    """A metric that sizes the pool: give unit_capacity or units_at_p99."""

    series: str = Field(min_length=1, description="The series id (unique_id) in the metrics.")
    unit_capacity: LearntCapacity | None = Field(
        default=None,
        description="Demand that one unit serves at its utilization target, in the metric's unit; learn: "
        "from utilization or latency. With these a figure holds until it is learnt.",
    )
    units_at_p99: Capacity | None = Field(
        default=None, description="Instead: how many units the 99th percentile of the history fills."
    )
    utilization: UtilizationSection | None = Field(
        default=None, description="Learn the unit capacity from how full the units were."
    )
    latency: LatencySection | None = Field(
        default=None, description="Learn the unit capacity from a latency objective."
    )
    saturates_at: Capacity | None = Field(
        default=None,
        description="The value at which the metric shows no more: from there on demand may be larger.",
    )
    backlog: BacklogSection | None = Field(
        default=None,
        description="Set where the series is a backlog: demand is what arrives and what waits over drain, in "
        "items per second, and so is unit_capacity.",
    )
    formerly: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        description="Ids that this series had before, newest first; their history comes before its own.",
    )


class OfferingSection(Section):
    """One way to buy a unit of the pool."""

    instance_type: str = Field(min_length=1, description="Machine type, as the provider names it.")
    zone: str = Field(min_length=1, description="Zone in which it can be had.")
    capacity_type: Annotated[CapacityType, *enumerated(CapacityType, "capacity type")] = Field(
        default=CapacityType.ON_DEMAND, description="How it is bought."
    )
    hourly_usd: Price = Field(description="USD per unit and hour.")
    interruption_rate: Share | None = Field(
        default=None, description="Probability of an interruption per hour."
    )


class PoolSection(SizingSection):
    """A pool. The sizing keys fall back to `defaults`."""

    provider: str = Field(description="Which of `providers` holds it: fake, kubernetes/NAME, aws/NAME, ...")
    target: str = Field(
        default="",
        description="Its id at the provider, such as deployment/shop/web; left out: the pool's name.",
    )
    kind: Annotated[PoolKind, *enumerated(PoolKind, "kind of pool")] = Field(
        default=PoolKind.INSTANCE_GROUP, description="What a unit is."
    )
    minimum: Units = Field(description="Never fewer units than this.")
    maximum: SomeUnits = Field(description="Never more units than this.")
    desired: Units | None = Field(
        default=None,
        description="Size with which the fake provider creates it; the minimum if it is left out.",
    )
    demands: list[DemandSection] = Field(
        min_length=1, description="The metrics that size it; the need is the largest of them, in units."
    )
    observed: ObservedSection | None = Field(
        default=None, description="Series of its own size, from which lead time and unit capacity are learnt."
    )
    offerings: list[OfferingSection] = Field(
        default_factory=list, description="What its units cost; without any, money is unknown."
    )
    lead_time: Duration | None = Field(
        default=None,
        description="From asking for a unit until it serves, until it is learnt; the provider's if left out.",
    )
    drain_time: Duration = Field(default=0, description="From removing a unit until it is gone.")
    maximum_step_in: SomeUnits | None = Field(
        default=None, description="The owner's limit on one shrink, in units."
    )
    labels: dict[str, str] = Field(default_factory=dict, description="Names and values of your own.")
    protected: bool = Field(default=False, description="true: never shrunk by us; growth still goes on.")
