"""What was looked at, and what it says of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from autoscaler.errors import ConfigError, DataError, Denied, LoadlineError
from autoscaler.ports import Check
from policies.model import iso

FORMAT_VERSION = 1


class Matter(StrEnum):
    """What a check is about, as far as the exit code goes. A closed list."""

    CONFIGURATION = "configuration"
    PERMISSION = "permission"
    DATA = "data"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One check and what it belongs to: `configuration`, `state`, `provider NAME`, `pools` and so on."""

    subject: str
    check: Check
    matter: Matter = Matter.OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that was looked at, `at` that moment (aware UTC), by subject."""

    at: datetime
    looks: tuple[Look, ...]

    @property
    def exit_code(self) -> int:
        """0 where nothing fails, 77 where a permission lacks, 5 where only data fails, else 1.

        64 where nothing could be looked at for want of a configuration.
        """
        failed = {look.matter for look in self.looks if look.check.ok is False}
        if not failed:
            return 0
        if Matter.CONFIGURATION in failed:
            return ConfigError.exit_code
        if Matter.PERMISSION in failed:
            return Denied.exit_code
        return DataError.exit_code if failed == {Matter.DATA} else LoadlineError.exit_code

    def subjects(self) -> Iterator[tuple[str, list[Look]]]:
        """Each subject with its checks, in the order in which they came first."""
        found: dict[str, list[Look]] = {}
        for look in self.looks:
            found.setdefault(look.subject, []).append(look)
        yield from found.items()

    def document(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return {
            "format_version": FORMAT_VERSION,
            "at": iso(self.at),
            "ok": self.exit_code == 0,
            "exit_code": self.exit_code,
            "subjects": [
                {"subject": subject, "checks": [_told(look) for look in looks]}
                for subject, looks in self.subjects()
            ],
        }


def _told(look: Look) -> dict[str, Any]:
    check = look.check
    return {
        "what": check.what,
        "ok": check.ok,
        "matter": look.matter.value,
        "why": check.why,
        "mend": check.mend,
    }
