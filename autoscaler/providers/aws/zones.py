"""Which availability zones of the region are impaired."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from autoscaler.errors import ProviderError
from autoscaler.providers.aws.kinds import Account

FRESH_S = 30.0  # a listing and the reads after it ask once
_SOUND = frozenset({"available", "information"})


class Zones:
    """The zones of an account's region. Safe to call from several threads."""

    def __init__(self, account: Account) -> None:
        """Nothing is asked yet."""
        self._account = account
        self._known: tuple[float, Mapping[str, str] | str] | None = None
        self._turn = threading.Lock()

    def impaired(self) -> Mapping[str, str] | str:
        """The zones that are impaired, with their states; a text where that is not known, and why."""
        with self._turn:
            now = self._account.clock.monotonic()
            if self._known is None or now >= self._known[0] + FRESH_S:
                self._known = (now, self._ask())
            return self._known[1]

    def _ask(self) -> Mapping[str, str] | str:
        try:
            answer = self._account.asking.read("ec2:DescribeAvailabilityZones")
        except ProviderError as error:
            return str(error)
        return {
            str(zone["ZoneName"]): _told(zone)
            for zone in answer["AvailabilityZones"]
            if zone["State"] not in _SOUND
        }


def _told(zone: Mapping[str, object]) -> str:
    messages = zone.get("Messages")
    first = messages[0].get("Message", "") if isinstance(messages, list) and messages else ""
    return f"{zone['State']}: {first}" if first else str(zone["State"])
