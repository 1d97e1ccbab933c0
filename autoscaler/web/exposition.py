"""The board as Prometheus text, format 0.0.4: absent is never zero, and what expired is absent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from autoscaler.web.board import Board, Standing

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

HELP = {
    "loadline_build_info": "The version that serves, as a label; always 1.",
    "loadline_recommended_replicas": "Units that the newest plan wants the pool to have.",
    "loadline_capacity": "Units of the pool when the plan was made: actual are ready, desired are asked for.",
    "loadline_held": "1 for each guard that holds a change of the pool.",
    "loadline_last_successful_decision_timestamp_seconds": "When the last plan was made, Unix time.",
    "loadline_plan_age_seconds": "How long ago the last plan was made.",
}
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
Sample = tuple[str, float]  # labels as they are written, and the value


def build_info(version: str) -> str:
    """Which program answers; there also where no plan is."""
    return family("loadline_build_info", [(f'{{version="{_escaped(version)}"}}', 1)])


def of_pools(board: Board) -> str:
    """What may be served only while the plan is fresh."""
    named = [(f'pool="{_escaped(one.pool)}"', one) for one in board.standings.values()]
    return (
        family(
            "loadline_recommended_replicas",
            ((f"{{{pool}}}", one.recommended) for pool, one in named if one.recommended is not None),
        )
        + family("loadline_capacity", _capacity(named))
        + family("loadline_held", _held(named))
    )


def of_age(board: Board, elapsed_s: float) -> str:
    """How old the last plan is, also after it expired: it is what one alerts on."""
    return family(
        "loadline_last_successful_decision_timestamp_seconds", [("", board.made_at.timestamp())]
    ) + family("loadline_plan_age_seconds", [("", round(board.age_s(elapsed_s), 3))])


def family(name: str, samples: Iterable[Sample]) -> str:
    """A gauge's HELP, TYPE and samples; "" where it has no sample."""
    lines = "".join([f"{name}{labels} {value!r}\n" for labels, value in samples])
    return f"# HELP {name} {HELP[name]}\n# TYPE {name} gauge\n{lines}" if lines else ""


def _escaped(value: str) -> str:
    return value.translate(_ESCAPES)


def _capacity(named: Iterable[tuple[str, Standing]]) -> Iterator[Sample]:
    for pool, one in named:
        yield f'{{{pool},kind="actual"}}', one.ready
        yield f'{{{pool},kind="desired"}}', one.desired


def _held(named: Iterable[tuple[str, Standing]]) -> Iterator[Sample]:
    for pool, one in named:
        for guard in dict.fromkeys(entry.guard for entry in one.held):
            yield f'{{{pool},guard="{_escaped(guard)}"}}', 1
