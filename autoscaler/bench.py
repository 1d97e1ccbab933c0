"""What applying needs, from the newest look: the guards once more, who leads, freezes, the second plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from autoscaler import turning
from autoscaler.apply import World
from autoscaler.freezing import Labels, in_force
from autoscaler.turning import Turn
from policies import planner
from policies.guards import Ledger
from policies.model import Pool
from policies.modes import Permission, newest_word
from policies.plan import Action, Guard, Plan, Reason
from policies.policy import Freeze, Mode
from policies.units import format_duration

if TYPE_CHECKING:
    from autoscaler.bootstrap import App
    from autoscaler.ports import Lease

LONGEST_LOOK_S = 120.0  # after that nothing more is removed on the strength of it


class Bench:
    """One applying of one plan; `words` are the modes' permissions by action id, empty by hand."""

    def __init__(self, app: App, looked: Turn, lease: Lease, words: Mapping[str, Permission]) -> None:
        """`looked` is the newest look at the world, with the plan that is applied."""
        self._app, self._lease, self._words = app, lease, words
        self._plan = looked.plan
        self._look(looked)

    def world(self) -> World:
        """Everything for `apply.apply`."""
        return World(
            owners=self._looked.seen.owners,
            trail=self._app.trail,
            clock=self._app.clock,
            permit=self._permit,
            unanswered=self._looked.seen.unanswered,
            lease=self._lease,
            freezes=self._freezes,
            replan=self._replan,
            revalidate_s=self._app.policy.revalidate_s,
            approval=self._approval,
        )

    def _look(self, looked: Turn) -> None:
        self._looked, snapshot = looked, looked.seen.snapshot
        self._looked_at = self._app.clock.monotonic()
        self._pools = {pool.id: pool for pool in snapshot.pools}
        changes = turning.remembered(self._app, snapshot.taken_at)
        self._ledger = Ledger(snapshot.pools, changes, snapshot.taken_at)

    def _permit(self, action: Action, pool: Pool) -> str:
        known = self._pools.get(pool.id)
        if known is None:
            return f"{Guard.INSUFFICIENT_DATA}: {pool.id} was not seen"
        age = self._app.clock.monotonic() - self._looked_at
        if action.after < action.before and age > LONGEST_LOOK_S:
            return f"{Guard.NOT_CONFIRMED}: the newest look at the world is {format_duration(int(age))} old"
        return planner.permits(
            action,
            replace(
                known,
                desired=pool.desired,
                ready=pool.ready,
                version=pool.version,
                protected=known.protected or pool.protected,
                obstacles=pool.obstacles,
            ),
            self._looked.outlooks.get(pool.id),
            self._app.policy,
            ledger=self._ledger,
            now=self._looked.seen.snapshot.taken_at,
            conditions=self._looked.conditions,
        )

    def _freezes(self, labels: Labels) -> tuple[Freeze, ...]:
        return in_force(self._app, self._app.clock.now(), labels)

    def _replan(self) -> Plan:
        """A second look; the guards judge by it from now on."""
        undone = [action.inverse() for action in self._plan.actions if action.reason is Reason.UNDO]
        again = turning.look_again(
            self._app, undoing=undone or None, running_s=self._looked.conditions.running_s
        )
        self._look(again)
        return again.plan

    def _approval(self, action: Action, key: str) -> bool:
        """Use up what a person says of the action now; False where that is no, or is used up or wanting."""
        now = self._app.clock.now()
        said = newest_word(action.id, self._app.people.approvals(now), now)
        if said is not None:
            return said.granted and self._app.people.use_approval(action.id, key)
        if any(one.action_id == action.id for one in self._looked.conditions.approvals):
            return False  # what was said when it was planned is used up or over
        word = self._words.get(action.id)
        return word is None or word.what is not Mode.APPROVE
