"""Which models forecast a series: its champion, joined by whoever beat it on rolling origins, by a margin.

A challenger joins when its mean loss over the folds is at most MARGIN of the champion's: the mean of the two
then forecasts. Who lost to the seasonal naive on every origin of the last seven days, and clearly, is
demoted to it at once. All is arithmetic on losses: the same history gives the same team, so that nothing
needs to be kept between two turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from forecasts.types import BadInput

MARGIN = 0.98
# A loss of the naive so much below the team's is no chance. Over 300 origins of real traces, demoting by a
# mean a little above the naive's cost 5 % of accuracy, by this margin nothing.
CLEARLY = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """The models whose quantiles are averaged, the champion last, and in one line why it is these."""

    members: tuple[str, ...]
    why: str


def follow(folds: Sequence[Mapping[str, float]], *, champion: str, naive: str, recent: int) -> Team:
    """The team after these folds.

    Each fold, oldest first, has a loss by model (less is better); a model that is missing in a fold failed
    there and is out. `naive` is the yardstick, and no challenger; `recent` is how many folds there are in the
    last seven days, all of which it takes to demote.
    """
    if champion == naive:
        raise BadInput(f"the champion must be another model than {naive}")
    if not folds:
        return Team(members=(champion,), why="no fold to judge by")
    members = joined(champion, _means(folds, naive))
    if len(folds) >= recent > 0 and demoted(members, folds[-recent:], naive):
        return Team(members=(naive,), why=f"{' + '.join(members)} lost to {naive} over the last 7 days")
    return Team(members=members, why=f"{' + '.join(members)} over {len(folds)} folds")


def joined(champion: str, losses: Mapping[str, float]) -> tuple[str, ...]:
    """The champion, with the best challenger before it where that one wins by the margin.

    A champion that failed gives way to the best challenger; where every model failed it stays, and the
    engine's chain of fallbacks decides.
    """
    best = min(
        (name for name in losses if name != champion), key=lambda name: (losses[name], name), default=None
    )
    if best is None:
        return (champion,)
    if champion not in losses:
        return (best,)
    return (best, champion) if losses[best] <= MARGIN * losses[champion] else (champion,)


def demoted(members: Sequence[str], folds: Sequence[Mapping[str, float]], naive: str) -> bool:
    """Whether the team lost to the naive in every one of these folds, and clearly in their mean.

    Where a member or the naive is missing in a fold, nothing is known of it: nobody is demoted.
    """
    if not all(naive in fold and all(name in fold for name in members) for fold in folds):
        return False
    own = [fmean(fold[name] for name in members) for fold in folds]
    its = [fold[naive] for fold in folds]
    return all(b < a for a, b in zip(own, its, strict=True)) and fmean(its) <= CLEARLY * fmean(own)


def _means(folds: Sequence[Mapping[str, float]], naive: str) -> dict[str, float]:
    """The mean loss of each model that spoke in every fold."""
    there = set.intersection(*(set(fold) for fold in folds)) - {naive}
    return {name: fmean(fold[name] for fold in folds) for name in sorted(there)}
