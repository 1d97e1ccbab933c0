"""Turns made by hand, and a server of them on loopback whose clock and loop are the test's own."""

from __future__ import annotations

import http.client
import io
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from autoscaler.clock import SetClock
from autoscaler.config import WebSettings
from autoscaler.log import Log
from autoscaler.observing import Seen
from autoscaler.turning import Turn
from autoscaler.web.board import Latest
from autoscaler.web.server import begin
from forecasts.types import Series
from policies.model import Gap, Pool, PoolKind, Snapshot
from policies.outlook import Outlook
from policies.plan import Action, Guard, Held, Plan, Reason, kind_of

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
TTL_S = 600


def pool(name, desired=4, *, ready=None, **more):
    """A pool of so many units, all of them ready if it is not said."""
    units = desired if ready is None else ready
    return Pool(
        id=name,
        provider="fake",
        kind=PoolKind.DEPLOYMENT,
        desired=desired,
        ready={"a": units},
        minimum=0,
        maximum=100,
        demands=(),
        **more,
    )


def action(name, before, after, *, made_at=NOW):
    """A change of a pool."""
    return Action(
        kind=kind_of(before, after),
        target=name,
        before=before,
        after=after,
        reason=Reason.FORECAST_PEAK,
        not_before=made_at,
        expires_at=made_at + timedelta(seconds=TTL_S),
    )


def held(name, before, after, guard=Guard.COOL_DOWN):
    """A change that a guard holds for another minute."""
    return Held(
        action=action(name, before, after), guard=guard, until=NOW + timedelta(minutes=1), why="a reason"
    )


def outlook(name, value=1.0):
    """A pool's demand; NaN where nothing is known."""
    return Outlook(pool_id=name, demand=Series(unique_id=name, start=NOW, step_s=60, y=np.array([value])))


def turn(*pools, actions=(), holds=(), gaps=(), unanswered=None, made_at=NOW, unknown=()):
    """A turn over pools; `unknown` are those whose demand is not."""
    snapshot = Snapshot(taken_at=made_at, pools=pools, gaps=tuple(Gap(**gap) for gap in gaps))
    plan = Plan(
        made_at=made_at,
        expires_at=made_at + timedelta(seconds=TTL_S),
        snapshot_digest="",
        policy_digest="",
        forecasts_digest="",
        actions=tuple(actions),
        held=tuple(holds),
        gaps=snapshot.gaps,
    )
    seen = Seen(snapshot=snapshot, series={}, refused={}, notices=(), owners={}, unanswered=unanswered or {})
    outlooks = {one.id: outlook(one.id, float("nan") if one.id in unknown else 1.0) for one in pools}
    return Turn(seen=seen, plan=plan, outlooks=outlooks, forecasts={})


@dataclass
class Loop:
    """Stands in for the daemon."""

    leads: bool = True
    went_on_s: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict
    body: bytes

    def json(self):
        """The body as JSON."""
        return json.loads(self.body)

    def samples(self):
        """The body as metrics: (name, labels) -> value."""
        return parsed(self.body.decode())


@dataclass
class Served:
    """A server on a free port of loopback; end it with `close`."""

    clock: SetClock = field(default_factory=lambda: SetClock(NOW))
    loop: Loop = field(default_factory=Loop)

    def __post_init__(self):
        self.said = io.StringIO()
        self.latest = Latest(self.clock, Log(self.said, self.clock, form="json"))
        self.server = begin(WebSettings(port=0), self.latest, self.loop, file="loadline.yaml")

    def post(self, done, declared=()):
        """As the daemon does after a turn."""
        self.latest.post(done, declared)

    def get(self, path, method="GET"):
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection(*self.server.address, timeout=10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, headers, answer.read())
        finally:
            connection.close()

    def close(self):
        """End it."""
        self.server.close()


_SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (\S+)')
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"')
_PLAIN = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


def parsed(text):
    """Prometheus text, read strictly: each family has HELP, then TYPE, then its samples, each once."""
    found, family, typed = {}, "", ""
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("# HELP "):
            family = line.split(" ", 3)[2]
            assert not any(name == family for name, _ in found), "a family comes in one piece"
        elif line.startswith("# TYPE "):
            assert line == f"# TYPE {family} gauge"
            typed = family
        else:
            name, labels, value = _SAMPLE.fullmatch(line).groups()
            assert name == family == typed, line
            pairs = tuple(
                (key, re.sub(r'\\["\\n]', lambda escape: _PLAIN[escape[0]], raw))
                for key, raw in _LABEL.findall(labels or "")
            )
            assert (name, pairs) not in found, line
            found[name, pairs] = float(value)
    return found
