"""Figures as plotly values: the forecast fan, capacity against demand, cost beside static and HPA.

Backgrounds are transparent and text takes its colour from the page, so that one figure serves light and
dark. Lines differ by dash and bars by pattern as well as by a palette that colour-blind people tell apart
(Okabe and Ito's, each at 3:1 or more against both backgrounds).
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboards.ink import inert
from dashboards.views import Chart, ReplayRow
from policies.units import format_duration

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_POINTS = 4000
SHOWN_S = 7 * 86400
_DAY_MS, _HOUR_MS = 86_400_000.0, 3_600_000.0
_LABEL_SHARE = 0.08  # of the height of a figure: what a label takes
DEMAND, FORECAST, NOW = "#7b818c", "#b5609a", "#7b818c"
_LINES = (("#1f7fc4", "solid"), ("#d55e00", "dash"), ("#009e73", "dot"), ("#b5609a", "dashdot"))
_PATTERNS = ("", "/", ".", "x")
_COST_HOVER = (
    "%{x}: %{y:.2f} x clairvoyant<br>%{customdata[0]:,.0f} unit-hours, clairvoyant %{customdata[1]:,.0f}"
)
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"


@dataclass(frozen=True, slots=True, eq=False)
class Thinned:
    """A line of at most about `MOST_POINTS` points: `x` float64 ms since 1970, `y` float64, one length.

    `bucket_s` is the time each pair of points stands for, 0 where nothing was left out.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    bucket_s: float


def thin(stamps: NDArray[np.datetime64], y: NDArray[np.float64], most: int = MOST_POINTS) -> Thinned:
    """The line with the least and the largest value of each bucket, in their order; gaps stay gaps.

    A line of at most `most` points comes back as it is.
    """
    x = stamps.astype("datetime64[ms]").astype(np.float64)
    size = -(-2 * len(y) // most) if len(y) > most else 0
    if not size:
        return Thinned(x, np.asarray(y, dtype=np.float64), 0.0)
    kept: list[int] = []
    for first in range(0, len(y), size):
        part = y[first : first + size]
        known = np.flatnonzero(np.isfinite(part))
        chosen = (
            {int(known[np.argmin(part[known])]), int(known[np.argmax(part[known])])} if len(known) else set()
        )
        holes = np.flatnonzero(~np.isfinite(part))
        kept += [first + offset for offset in sorted(chosen | set(holes[:1].tolist()))]
    step_s = float(x[1] - x[0]) / 1000
    return Thinned(x[kept], np.asarray(y, dtype=np.float64)[kept], size * step_s)


def _safe(text: str, limit: int = 48) -> str:
    # plotly reads a little HTML in every text: names are escaped for it too.
    return html.escape(inert(text, limit), quote=True)


def _ms(moment: datetime) -> float:
    return moment.astimezone(UTC).timestamp() * 1000


def _figure(height: int, **layout: Any) -> Any:
    figure = go.Figure()
    figure.update_layout(**_frame(height), **layout)
    return figure


def _frame(height: int) -> dict[str, Any]:
    return {
        "template": "none",
        "height": height,
        "margin": {"l": 56, "r": 12, "t": 12, "b": 58},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": _FONT, "size": 13},
        "hovermode": "x unified",
        "legend": {
            "orientation": "h",
            "yanchor": "bottom",
            "y": 1.0,
            "x": 0,
            "font": {"size": 12},
            "traceorder": "normal",
        },
    }


def _time_axis(figure: Any) -> None:
    figure.update_xaxes(
        type="date",
        title={"text": "UTC", "standoff": 10, "font": {"size": 12}},
        showgrid=False,
        hoverformat="%a %Y-%m-%d %H:%MZ",
        nticks=7,
        tickangle=0,
    )


def _units_axis(figure: Any, unit: str) -> None:
    figure.update_yaxes(
        title={"text": unit, "standoff": 6, "font": {"size": 12}},
        rangemode="tozero",
        zeroline=False,
        nticks=6,
    )


def fan(
    chart: Chart, *, after: int | None = None, until: datetime | None = None, what: str = "capacity"
) -> Any:
    """Demand seen and its forecast quantiles as a fan, with the capacity now and as planned.

    The first view is the last days, at most seven; all of the history is in the figure. `after` is the
    planned size in units, drawn as a step with a mark at `until` (aware), when the plan expires: a later
    plan sizes the pool anew. `what` that size is: capacity, or a floor. Capacity in the past is not known and
    not drawn. Returns a plotly Figure.
    """
    unit = _safe(chart.unit, 24)
    figure = _figure(320)
    figure.update_layout(margin_r=60)  # where the levels have their labels
    now = _ms(chart.start + timedelta(seconds=chart.step_s * len(chart.history)))
    seen = thin(chart.stamps(), chart.history)
    figure.add_scatter(
        x=np.append(seen.x, now),
        y=np.append(seen.y, seen.y[-1:]),
        name="demand",
        mode="lines",
        line={"color": DEMAND, "width": 0.8 if seen.bucket_s else 1.6, "shape": "hv"},
        hovertemplate="%{y:,.4g}",
    )
    last = _bands(figure, chart) if len(chart.values) and chart.levels else now
    back = min(max(3 * (last - now), 2 * _DAY_MS), SHOWN_S * 1000.0)
    first = max(_ms(chart.start), now - back)
    _capacity_line(figure, chart, after, (now, now + _HOUR_MS if until is None else _ms(until)), what)
    figure.add_vline(x=now, line={"color": NOW, "width": 1, "dash": "dot"})
    _time_axis(figure)
    _units_axis(figure, f"demand ({unit})")
    figure.update_xaxes(range=[first, max(last, now + _DAY_MS / 4)])
    return figure


def _bands(figure: Any, chart: Chart) -> float:
    """The median as a line, a band from each level to the next, fainter outwards, and labels at the end.

    Returns where the last step ends.
    """
    stamps = chart.forecast_stamps().astype("datetime64[ms]").astype(np.float64)
    x = np.append(stamps, stamps[-1] + chart.forecast_step_s * 1000)
    middle = int(np.argmin(np.abs(np.array(chart.levels) - 0.5)))
    for column, name in enumerate(_level_names(chart)):
        y = np.append(chart.values[:, column], chart.values[-1, column])
        away = max(1, column - middle if column > middle else middle - column + 1)
        figure.add_scatter(
            x=x,
            y=y,
            name=name,
            mode="lines",
            showlegend=False,
            line={"color": FORECAST, "width": 1.8 if column == middle else 0, "shape": "hv"},
            opacity=1.0,
            fill="tonexty" if column else None,
            fillcolor=f"rgba(181, 96, 154, {0.5 / away:.2f})",
            hovertemplate="%{y:,.4g}",
        )
    for height, text in _labels(chart):
        figure.add_annotation(
            x=1,
            xref="paper",
            xanchor="left",
            xshift=3,
            y=height,
            text=text,
            showarrow=False,
            font={"color": FORECAST, "size": 12},
        )
    return float(x[-1])


def _level_names(chart: Chart) -> list[str]:
    return [f"p{level * 100:.6g}" for level in chart.levels]


def _labels(chart: Chart) -> list[tuple[float, str]]:
    """Where the levels end, with their names; those that would overlap share one label, `p90-p99`."""
    drawn = [chart.values.ravel(), chart.history, np.array([chart.capacity or 0.0])]
    top = float(np.nanmax(np.concatenate(drawn)))
    apart = top * _LABEL_SHARE
    groups: list[list[tuple[float, str]]] = []
    for height, name in zip(chart.values[-1].tolist(), _level_names(chart), strict=True):
        if groups and height - groups[-1][0][0] < apart:
            groups[-1].append((height, name))
        else:
            groups.append([(height, name)])
    return [
        (
            sum(height for height, _ in group) / len(group),
            "–".join(dict.fromkeys((group[0][1], group[-1][1]))),
        )
        for group in groups
    ]


def _capacity_line(
    figure: Any, chart: Chart, after: int | None, times: tuple[float, float], what: str
) -> None:
    """What is ready now and what the plan wants, from now until it expires."""
    if chart.capacity is None:
        return
    now, until = times
    planned = chart.capacity if after is None else after
    name = f"{chart.capacity:,} → {planned:,}" if planned != chart.capacity else f"{planned:,}"
    if what != "capacity" and after is not None:
        name = f"{chart.capacity:,}, {what} {planned:,}"
    figure.add_scatter(
        x=[now, now, until],
        y=[chart.capacity, planned, planned],
        name=f"capacity {name}",
        mode="lines+markers",
        line={"color": _LINES[0][0], "width": 2.4},
        # An hour is a hair's breadth among days: marks show the ends of the step.
        marker={
            "symbol": "line-ew-open",
            "color": _LINES[0][0],
            "size": [14, 0, 14],
            "line": {"color": _LINES[0][0], "width": 2.4},
        },
        hovertemplate="%{y:,}",
    )


def capacity(
    stamps: NDArray[np.datetime64], demand: NDArray[np.float64], lines: Mapping[str, NDArray[np.float64]]
) -> Any:
    """Ready units of each named scaler as steps, against the demand they had to serve.

    `stamps` datetime64 [steps] UTC; `demand` and each line float64 [steps] in units, NaN absent. The first
    line is the one that is looked at, and comes out on top. Returns a plotly Figure.
    """
    figure = _figure(320)
    seen = thin(stamps, demand)
    figure.add_scatter(
        x=seen.x,
        y=seen.y,
        name="demand",
        legendrank=len(lines),
        mode="lines",
        line={"color": DEMAND, "width": 0.6 if seen.bucket_s else 1.2, "shape": "hv"},
        fill="tozeroy",
        fillcolor="rgba(123, 129, 140, 0.22)",
        hovertemplate="%{y:,.4g}",
    )
    for number, name in reversed(list(enumerate(lines))):
        color, dash = _LINES[number % len(_LINES)]
        line = thin(stamps, lines[name])
        figure.add_scatter(
            x=line.x,
            y=line.y,
            name=_safe(name),
            legendrank=number,
            mode="lines",
            line={"color": color, "width": 2 if number == 0 else 1.4, "dash": dash, "shape": "hv"},
            hovertemplate="%{y:,.4g}",
        )
    _time_axis(figure)
    _units_axis(figure, "ready units")
    if len(seen.x):
        figure.update_xaxes(range=[max(seen.x[0], seen.x[-1] - SHOWN_S * 1000), seen.x[-1]])
    return figure


def thinning(stamps: NDArray[np.datetime64], steps: int) -> str:
    """One line that says what a figure of so many steps leaves out; empty where it leaves out nothing."""
    bucket_s = thin(stamps, np.zeros(steps)).bucket_s
    return f"Drawn: least and largest value of each {format_duration(bucket_s)}." if bucket_s else ""


def cost_bars(rows: Sequence[ReplayRow], *, target: float | None = None) -> Any:
    """Cost (as a multiple of the clairvoyant's) above, violation below, a bar a scaler and pool.

    `target` is the violation that was asked for, a fraction. Returns a plotly Figure.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.1)
    figure.update_layout(**_frame(480), barmode="group", bargap=0.25, bargroupgap=0.05)
    figure.update_layout(hovermode="closest")
    for number, scaler in enumerate(dict.fromkeys(row.scaler for row in rows)):
        mine = [row for row in rows if row.scaler == scaler]
        color, pattern = _LINES[number % len(_LINES)][0], _PATTERNS[number % len(_PATTERNS)]
        look = {
            "name": _safe(scaler),
            "legendgroup": str(number),
            "marker": {
                "color": color,
                "line": {"color": color, "width": 1},
                "pattern": {"shape": pattern, "fgcolor": color, "bgcolor": "rgba(0,0,0,0)", "size": 6},
            },
            "x": [_safe(row.pool, 24) for row in mine],
        }
        figure.add_bar(
            **look,
            y=[row.of_clairvoyant for row in mine],
            customdata=[[row.cost_unit_hours, row.clairvoyant_unit_hours] for row in mine],
            hovertemplate=_COST_HOVER,
            row=1,
            col=1,
        )
        figure.add_bar(
            **look,
            y=[row.violation * 100 for row in mine],
            showlegend=False,
            hovertemplate="%{x}: %{y:.3g} % of steps",
            row=2,
            col=1,
        )
    if target is not None:
        figure.add_hline(y=target * 100, line={"color": NOW, "width": 1.5, "dash": "dot"}, row=2, col=1)
    figure.update_yaxes(
        title={"text": "cost (x clairvoyant)", "standoff": 6, "font": {"size": 12}},
        rangemode="tozero",
        row=1,
        col=1,
    )
    figure.update_yaxes(
        title={"text": "violation (% of steps)", "standoff": 6, "font": {"size": 12}},
        rangemode="tozero",
        row=2,
        col=1,
    )
    figure.update_yaxes(zeroline=False, nticks=6)
    figure.update_xaxes(showgrid=False, type="category")
    return figure
