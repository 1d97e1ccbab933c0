"""What each kind of pool answers to, inside this provider."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from autoscaler.connections import AwsProvider
from autoscaler.errors import Invalid, ProviderError
from autoscaler.ports import Clock
from autoscaler.providers.aws.asking import Asking
from autoscaler.providers.aws.marks import Mark
from policies.model import Gap, Pool

LARGEST = 100_000  # units, where the owner lets his maximum be raised
ODD = (
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
)  # an answer that is not as AWS documents it


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A pool as it was read, and the answer it was read from."""

    pool: Pool
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What every kind works with."""

    settings: AwsProvider
    asking: Asking
    clock: Clock

    @property
    def source(self) -> str:
        """The name of a gap of this provider."""
        return f"provider {self.settings.name}"


class Kind(Protocol):
    """Pools of one kind, by their names without the kind. Raises the ProviderError tree."""

    def list(self) -> tuple[Sequence[Pool], Sequence[Gap]]:
        """All of them, and what is missing."""

    def read(self, name: str) -> Seen:
        """One as it is now; NotFound."""

    def change(self, seen: Seen, size: int, mark: Mark) -> None:
        """Write the marks on it, then ask for the size; the size is within its bounds."""

    def give_back(self, seen: Seen) -> None:
        """Put back what was there before our first change, and take the marks off."""


def rehearsed(kind: Kind, seen: Seen, size: int) -> bool:
    """Whether AWS itself was asked; False for a kind whose calls have no dry run."""
    ask = getattr(kind, "rehearse", None)
    return bool(ask(seen, size)) if ask is not None else False


def refuse_size(pool: Pool, size: int, *, raise_maximum: bool) -> None:
    """Invalid for what is no number of units within the pool's bounds."""
    if isinstance(size, bool) or not isinstance(size, int):
        raise Invalid(f"{pool.id}: {size!r} is no number of units")
    if size < pool.minimum:
        raise Invalid(f"{pool.id}: {size} is below its own minimum of {pool.minimum}")
    if size > pool.maximum and not raise_maximum:
        mend = "raise it there, or allow it by raise_maximum"
        raise Invalid(f"{pool.id}: {size} is above its own maximum of {pool.maximum}; {mend}")


def most(own: int, account: Account) -> int:
    """The largest size that may be set: the pool's own maximum, unless that may be raised."""
    return max(own, LARGEST) if account.settings.raise_maximum else own


def each(
    account: Account, items: Iterable[tuple[str, Any]], show: Callable[[Any], Pool]
) -> tuple[list[Pool], list[Gap]]:
    """The pool of each item (id, answer); one that is not as AWS documents it is a Gap and hides no other."""
    pools: list[Pool] = []
    gaps: list[Gap] = []
    for name, item in items:
        try:
            pools.append(show(item))
        except ODD as error:
            gaps.append(Gap(source=account.source, code="ODD", why=f"{name}: {odd(error)}"))
    return pools, gaps


def odd(error: Exception) -> str:
    """What is said of such an answer."""
    return f"its description cannot be read ({type(error).__name__}: {error})"


def partial(account: Account, what: str, error: ProviderError) -> Gap:
    """The gap of a listing that broke off."""
    return Gap(source=account.source, code="PARTIAL", why=f"not all {what} were seen: {error}")
