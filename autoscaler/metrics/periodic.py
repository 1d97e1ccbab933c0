"""A source over a network that is asked for whole periods of a grid: what such sources do alike."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from autoscaler.connections import CloudWatchSource, GoogleMonitoringSource
from autoscaler.errors import Denied, MetricsError, ProviderError
from autoscaler.metrics.answers import Job, Result, asked, named, seconds_for, together, unanswered
from autoscaler.metrics.periods import Window, window
from autoscaler.ports import Clock, Samples
from policies.units import format_duration

Source = TypeVar("Source", CloudWatchSource, GoogleMonitoringSource)


class Periodic(ABC, Generic[Source]):
    """The ports `Metrics` and `Remote` over the queries of one source. Safe for several threads."""

    def __init__(self, source: Source, clock: Clock, client: Any, *, kind: str, reach_s: int) -> None:
        """`client` is made when first needed where it is None; the source forgets after `reach_s` seconds."""
        self._source: Source = source
        self._clock, self._made, self._reach_s = clock, client, reach_s
        self._told_name = f"{kind} {source.name}"
        self._turn = threading.Lock()

    @property
    def step_s(self) -> int:
        """See the port."""
        return self._source.step_s

    @property
    def delay_s(self) -> int:
        """See the port."""
        return self._source.delay_s

    def known(self) -> Sequence[str]:
        """See the port."""
        return tuple(self._source.queries)

    def samples(self, series: Sequence[str], since: datetime | None, until: datetime | None) -> Samples:
        """The points of the named series (all if none is named) with since <= ds < until; begins of periods.

        Only periods that were over `delay_s` ago. What is kept no longer at this step is told in the
        warnings. MetricsError where nothing was answered; where some was, the rest is absent and told.
        """
        names = named(series, self.known(), self._told_name)
        now, reach_s = self._clock.now(), self._reach_s
        span = window(since, until, now, step_s=self.step_s, delay_s=self.delay_s, reach_s=reach_s)
        told = [self._short(span)] if span.short else []
        if not names or not span.periods:
            return together({}, span, source=self._told_name, warnings=told)
        try:
            client = self._client()
        except ProviderError as error:
            raise unanswered(self._told_name, [error]) from error
        return self._samples(client, names, span, told)

    @abstractmethod
    def _samples(self, client: Any, names: Sequence[str], span: Window, told: list[str]) -> Samples:
        """The answers for at least one series and period; `told` are the warnings so far."""

    @abstractmethod
    def _connected(self) -> Any:
        """A new client. Raises the ProviderError tree."""

    @abstractmethod
    def _longer(self) -> str:
        """What a longer step would reach, after a semicolon; "" where none reaches further."""

    def _client(self) -> Any:
        with self._turn:
            if self._made is None:
                self._made = self._connected()
            return self._made

    def _seconds(self, span: Window, names: Sequence[str]) -> float:
        """How long the points of so many series may take."""
        return seconds_for(self._source.timeout_s, span.periods * len(names))

    def _asked(
        self, jobs: Sequence[Job], ask: Callable[[Job], Result], *, workers: int, seconds: float
    ) -> list[Result | ProviderError]:
        """As `answers.asked`; MetricsError where no job was answered."""
        outcomes = asked(jobs, ask, workers=workers, seconds=seconds)
        errors = [one for one in outcomes if isinstance(one, ProviderError)]
        if len(errors) == len(outcomes):
            raise unanswered(self._told_name, errors) from errors[0]
        return outcomes

    def _short(self, span: Window) -> str:
        kept = f"{self._told_name}: periods of {self.step_s} s are kept for {format_duration(self._reach_s)}"
        return f"{kept}; asked from {span.first:%Y-%m-%d %H:%M} UTC on{self._longer()}"


def lacking(source: str, permission: str, error: MetricsError) -> str:
    """What the check of a source that answered nothing is about: the permission, where that is what lacks."""
    return f"permission {permission} of {source}" if isinstance(error.__cause__, Denied) else source
