"""Everything the shell raises.

LoadlineError
├── ConfigError            file, line and the nearest valid key        exit 64
├── UsageError             a flag or an argument                       exit 64
├── DataError              a history that cannot be used               exit 5
├── ProviderError
│   ├── Temporary          try again after `retry_after` seconds
│   │   ├── Throttled
│   │   ├── Unreachable
│   │   └── InsufficientCapacity
│   ├── Permanent
│   │   ├── Denied         names the missing permission                exit 77
│   │   ├── NotFound
│   │   ├── Owned          another controller sets that field; names it
│   │   └── Invalid
│   └── Stale              the target moved since it was read          exit 4
├── Fenced                 this process does not lead (any more)       exit 3
├── MetricsError           a source of metrics did not answer soundly
├── PlanRefused            a plan that expired or was changed          exit 4
└── StoreError             the store cannot be read or written
"""

from __future__ import annotations


class LoadlineError(Exception):
    """Whatever an operator should read as one line. `exit_code` is what the command ends with."""

    exit_code = 1


class ConfigError(LoadlineError):
    """Configuration that cannot be used."""

    exit_code = 64

    def __init__(self, message: str, *, file: str = "", line: int | None = None) -> None:
        """Put the place before the message: `loadline.yaml:12: ...`."""
        place = file if line is None else f"{file}:{line}"
        super().__init__(f"{place}: {message}" if place else message)


class UsageError(LoadlineError):
    """A flag or an argument that cannot be used."""

    exit_code = 64


class DataError(LoadlineError):
    """A history that cannot be used; the message names file, line or series, and the mend."""

    exit_code = 5


class ProviderError(LoadlineError):
    """A provider did not do what was asked."""


class Temporary(ProviderError):
    """May succeed later."""

    def __init__(self, message: str, *, retry_after: float = 30.0) -> None:
        """`retry_after` is in seconds."""
        super().__init__(message)
        self.retry_after = retry_after


class Throttled(Temporary):
    """Too many calls."""


class Unreachable(Temporary):
    """No answer within the deadline."""


class InsufficientCapacity(Temporary):
    """The provider has no such units now."""


class Permanent(ProviderError):
    """Will not succeed by trying again."""


class Denied(Permanent):
    """The message names the missing permission."""

    exit_code = 77


class NotFound(Permanent):
    """The target is not there."""


class Owned(Permanent):
    """Another controller sets that field; the message names it."""


class Invalid(Permanent):
    """The provider refuses the value."""


class Stale(ProviderError):
    """The target moved since it was read."""

    exit_code = 4


class Fenced(LoadlineError):
    """This process does not lead, or not any more: nothing is done to the world."""

    exit_code = 3


class MetricsError(LoadlineError):
    """A source of metrics did not answer soundly."""

    exit_code = 5


class PlanRefused(LoadlineError):
    """A plan that expired, was changed, or belongs to another world."""

    exit_code = 4


class StoreError(LoadlineError):
    """The store cannot be read or written; nothing is applied without it."""
