"""Which model for which series: the mean of the best two by their losses on rolling origins, with hysteresis.

A challenger must win by a margin: its mean loss over the folds so far at most MARGIN of what it would
replace. A team that lost to the seasonal naive over the last seven days is demoted to it at once. All is
arithmetic on losses: the same history gives the same team, so that nothing needs to be kept between two
turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from forecasts.types import BadInput

MARGIN = 0.98
TEAM = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """The models whose quantiles are averaged, the best first, and in one line why it is these."""

    members: tuple[str, ...]
    why: str


def follow(folds: Sequence[Mapping[str, float]], *, first: Sequence[str], naive: str, recent: int) -> Team:
    """The team after these folds, from the team `first`.

    Each fold, oldest first, has a loss by model (less is better); a model that is missing in a fold failed
    there and is out. `naive` is the yardstick, and no challenger; `recent` is how many folds lie in the last
    seven days.
    """
    if not first or naive in first:
        raise BadInput(f"the first team {tuple(first)} needs models other than {naive}")
    members = tuple(first)
    for count in range(1, len(folds) + 1):
        members = promoted(members, _means(folds[:count], naive))
    if not folds:
        return Team(members=members, why="no fold to judge by")
    last = folds[-recent:] if recent else ()
    if last and demoted(members, last, naive):
        return Team(members=(naive,), why=f"{' + '.join(members)} lost to {naive} over the last 7 days")
    return Team(members=members, why=f"{' + '.join(members)} over {len(folds)} folds")


def promoted(members: Sequence[str], losses: Mapping[str, float]) -> tuple[str, ...]:
    """The team after each challenger tried, the best first, to replace the worst of it by the margin."""
    team = [name for name in members if name in losses]
    ranked = sorted((name for name in losses if name not in team), key=lambda name: (losses[name], name))
    for challenger in ranked:
        if len(team) < min(TEAM, max(1, len(members))):
            team.append(challenger)
            continue
        worst = max(team, key=lambda name: (losses[name], name))
        if losses[challenger] <= MARGIN * losses[worst]:
            team[team.index(worst)] = challenger
    # Where every model failed, who was there stays: the engine's chain decides.
    return tuple(sorted(team, key=lambda name: (losses[name], name))) or tuple(members)


def demoted(members: Sequence[str], folds: Sequence[Mapping[str, float]], naive: str) -> bool:
    """Whether the mean of the team's losses over these folds is above the naive's."""
    both = [fold for fold in folds if naive in fold and all(name in fold for name in members)]
    if not both:
        return False
    own = fmean(fmean(fold[name] for name in members) for fold in both)
    return own > fmean(fold[naive] for fold in both)


def _means(folds: Sequence[Mapping[str, float]], naive: str) -> dict[str, float]:
    """The mean loss of each model that spoke in every fold."""
    there = set.intersection(*(set(fold) for fold in folds)) - {naive}
    return {name: fmean(fold[name] for fold in folds) for name in sorted(there)}
