"""Reading pages: what came of them, and the gaps where something did not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from autoscaler.connections import GoogleProvider
from autoscaler.errors import ProviderError
from autoscaler.providers.google.places import tail
from policies.model import Gap


class Listing:
    """One look at all there is; `gaps` tells what it did not show."""

    def __init__(self, settings: GoogleProvider) -> None:
        """Without gaps at first."""
        self._settings = settings
        self.gaps: list[Gap] = []

    def gap(self, why: str) -> None:
        """Something was not told."""
        self.gaps.append(Gap(source=f"provider {self._settings.name}", code="PARTIAL", why=why))

    def scoped(self, pages: Iterable[Any], field: str, *, everywhere: bool = False) -> Iterator[Any]:
        """The entries of the locations, or of all zones; raises only where no page came at all."""
        for page in self._told(pages):
            for scope in page.unreachables:
                self._unseen(scope, "it does not answer", everywhere=everywhere)
            for scope, part in page.items.items():
                if part.warning.code not in {"", "NO_RESULTS_ON_PAGE"}:
                    self._unseen(scope, part.warning.message or part.warning.code, everywhere=everywhere)
                if everywhere or self.ours(tail(scope)):
                    yield from getattr(part, field)

    def zones(self, pages: Iterable[Any]) -> frozenset[str] | str:
        """The zones that are down; where they cannot be asked for a gap, and the text that says why."""
        try:
            return frozenset(zone.name for page in pages for zone in page.items if zone.status == "DOWN")
        except ProviderError as error:
            self.gap(f"the state of the zones: {error}")
            return str(error)

    def _told(self, pages: Iterable[Any]) -> Iterator[Any]:
        came = 0
        try:
            for page in pages:
                came += 1
                yield page
        except ProviderError as error:
            if not came:
                raise
            self.gap(f"page {came + 1} did not come: {error}")

    def _unseen(self, scope: str, why: str, *, everywhere: bool) -> None:
        if everywhere or self.ours(tail(scope)):
            self.gap(f"{tail(scope)}: {why}")

    def ours(self, location: str) -> bool:
        """Whether a zone or region is among the locations."""
        return not self._settings.locations or location in self._settings.locations
