"""Apply a plan: re-read each target, write the intent, act, write the outcome.

Nothing is done without a trail, without the lease or within a freeze: both are asked right before each call.
Growth goes at once. What removes waits, is planned anew, and goes only where the second plan removes as much.
A target that moved since the plan was made is left alone. The first failure of a shrink stops the other
shrinks; growth goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from autoscaler.errors import (
    Denied,
    Fenced,
    Invalid,
    NotFound,
    Owned,
    PlanRefused,
    ProviderError,
    Stale,
    StoreError,
    Unreachable,
)
from autoscaler.ports import Clock, Lease, Pools, Trail
from policies.guards import Wish, frozen
from policies.model import Pool, iso
from policies.plan import DENIED, Action, Change, Guard, Outcome, Plan, Status
from policies.policy import Freeze, Scope

_STATUS: tuple[tuple[type[Exception], Status], ...] = (
    (Stale, Status.STALE),
    (NotFound, Status.STALE),
    (Invalid, Status.REFUSED),
    (Denied, Status.REFUSED),
    (Owned, Status.REFUSED),
    (Fenced, Status.REFUSED),
    (Unreachable, Status.UNKNOWN),  # it may have been done: only a later reading can tell
    (ProviderError, Status.FAILED),
    (Exception, Status.UNKNOWN),
)

CLOCK_SKEW_S = 60
SLICE_S = 1.0  # a freeze or a lost lease is noticed within so much of the wait
Labels = Mapping[str, Mapping[str, str]]  # of each pool


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What applying needs: who answers for each pool, where it is written down, who leads, and the time.

    `permit` says why an action may not be done to the pool as it was just read, "" where it may;
    `unanswered` says of a pool without an owner what its provider said instead of listing it. `freezes` tells
    those in force at the moment of asking, of the labels of pools (by id) that it is given. `replan` makes
    a plan from a fresh look, `revalidate_s` seconds after the first; None where shrinks are not to be
    confirmed. `approval` takes the approval that an action needs for the intent with that key, False where
    there is none any more.
    """

    owners: Mapping[str, Pools]
    trail: Trail
    clock: Clock
    permit: Callable[[Action, Pool], str]
    unanswered: Mapping[str, str] = field(default_factory=dict)
    lease: Lease | None = None
    freezes: Callable[[Labels], Sequence[Freeze]] = lambda _labels: ()
    replan: Callable[[], Plan] | None = None
    revalidate_s: float = 15.0
    approval: Callable[[Action, str], bool] = lambda _action, _key: True


def _nothing(_action: Action) -> bool:
    return False


def apply(
    plan: Plan,
    world: World,
    *,
    allowed: Callable[[Action], bool],
    rehearsed: Callable[[Action], bool] = _nothing,
) -> Iterator[tuple[Action, Outcome]]:
    """Each action with its outcome, one by one as they are done: growth, rehearsals, then what removes.

    What is neither `allowed` nor `rehearsed` leaves no trace. PlanRefused, before any, if the plan expired.
    Raises StoreError where the trail cannot be written.
    """
    refuse_late(plan, world.clock.now())
    run = _Run(plan, world)
    shrinks = [action for action in plan.actions if action.after < action.before and allowed(action)]
    for action in plan.actions:
        if allowed(action):
            if action.after > action.before:
                yield action, run.do(action)
        elif rehearsed(action):
            yield action, run.rehearse(action)
    doubts = run.confirm(shrinks) if shrinks else {}
    for action in shrinks:
        yield action, run.do(action, doubt=doubts.get(action.id, ""))


def refuse_late(plan: Plan, now: datetime) -> None:
    """PlanRefused for a plan that expired, or that was made by a clock ahead of this one."""
    if now >= plan.expires_at:
        raise PlanRefused(f"plan {plan.id} expired at {iso(plan.expires_at)}; make a new one")
    if plan.made_at > now + timedelta(seconds=CLOCK_SKEW_S):
        raise PlanRefused(f"plan {plan.id} was made at {iso(plan.made_at)}, after now ({iso(now)})")


class _Run:
    """One applying of one plan: what stopped what, and the generation that it began with."""

    def __init__(self, plan: Plan, world: World) -> None:
        self._plan, self._world = plan, world
        self._fenced = ""  # why nothing more is tried
        self._shrinks_stopped = ""  # the action after which nothing more is removed
        self._generation: int | None = None

    def do(self, action: Action, *, doubt: str | Exception = "") -> Outcome:
        """Do it; `doubt` is why a shrink was not confirmed, or what the first look at its target raised."""
        if self._shrinks_stopped and action.after < action.before and not self._fenced:
            why = f"not tried: {self._shrinks_stopped} failed before it"
            return self._outcome(action, Status.REFUSED, why)
        if isinstance(doubt, Exception):
            failed = doubt
            return self._intended(action, lambda _key: (self._failure(action, failed, called=False), None))
        if doubt:
            return self._intended(action, lambda _key: (self._outcome(action, Status.REFUSED, doubt), None))
        return self._intended(action, lambda key: self._act(action, key))

    def rehearse(self, action: Action) -> Outcome:
        """Ask the guards and the provider, and write down what they say; nothing changes."""
        return self._intended(action, lambda _key: (self._ask(action), None))

    def _intended(self, action: Action, act: Callable[[str], tuple[Outcome, Change | None]]) -> Outcome:
        """Intent, act, outcome. What is refused before the provider is asked leaves an intent too.

        A process that does not lead writes nothing.
        """
        trail = self._world.trail
        try:
            generation = self._held()
            key = trail.intend(self._plan.id, action, self._world.clock.now(), generation=generation)
        except Fenced as error:
            self._fenced = str(error)
            return self._outcome(action, Status.REFUSED, f"{Guard.LEASE}: {error}")
        outcome, change = act(key)
        trail.conclude(key, outcome, change)
        return outcome

    def confirm(self, shrinks: Sequence[Action]) -> dict[str, str | Exception]:
        """Wait, look and plan again: by action id, why a shrink is not confirmed.

        Nobody waits for what cannot be done as it is: a target that moved already is left alone at once.
        """
        if self._world.replan is None or self._fenced or self._shrinks_stopped:
            return {}
        moved = {action.id: error for action in shrinks if (error := self._moved(action)) is not None}
        left = [action for action in shrinks if action.id not in moved]
        return moved | (self._unconfirmed(left, self._world.replan) if left else {})

    def _moved(self, action: Action) -> Exception | None:
        try:
            _reread(action, self._world)
        except Exception as error:  # noqa: BLE001 - the edge of one provider: its bugs stop nobody else
            return error
        return None

    def _unconfirmed(
        self, shrinks: Sequence[Action], replan: Callable[[], Plan]
    ) -> dict[str, str | Exception]:
        why = self._wait()
        if why or self._fenced:
            return {action.id: why for action in shrinks}
        try:
            second = replan()
        except Exception as error:  # noqa: BLE001 - whatever hides the world shrinks nothing
            why = f"{Guard.NOT_CONFIRMED}: the second look failed: {type(error).__name__}: {error}"
            return {action.id: why for action in shrinks}
        doubts = {action.id: _unconfirmed(action, second) for action in shrinks}
        return {name: why for name, why in doubts.items() if why}

    def _wait(self) -> str:
        """Let `revalidate_s` go by; why nothing may be removed after it, "" where it may."""
        clock = self._world.clock
        ends = clock.monotonic() + self._world.revalidate_s
        while (left := ends - clock.monotonic()) > 0:
            clock.sleep(min(SLICE_S, left))
            try:
                self._held()
            except Fenced:
                return ""  # the run is fenced from now on
            for freeze in self._world.freezes({}):
                if freeze.scope is Scope.ALL and (freeze.until is None or clock.now() < freeze.until):
                    return f"{Guard.FROZEN}: {freeze.why or 'frozen by the operator'}"
        return ""

    def _held(self) -> int:
        """The generation that leads; Fenced, from now on, where it was lost, even if held anew."""
        lease = self._world.lease
        if lease is None:
            return 0
        if self._fenced:
            raise Fenced(self._fenced)
        try:
            return self._lead(lease)
        except Fenced as error:
            self._fenced = str(error)
            raise

    def _lead(self, lease: Lease) -> int:
        generation = lease.check()
        if self._generation is None:
            self._generation = generation
        if generation != self._generation:
            raise Fenced(
                f"the lease was lost: generation {self._generation} began this plan, it is {generation}"
            )
        return generation

    def _act(self, action: Action, key: str) -> tuple[Outcome, Change | None]:
        called = False
        try:
            pool = self._may_be_done(action)
            self._take_approval(action, key, pool)
            called = True
            owner = self._world.owners[action.target]
            after = owner.resize(action.target, action.after, version=pool.version, key=key).desired
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge of one provider: its bugs stop nobody else
            return self._failure(action, error, called=called), None
        status, why = _of_answer(pool.desired, after, action.after)
        self._note(action, status)
        outcome = self._outcome(action, status, why, observed_after=after)
        if status is Status.UNKNOWN:
            return outcome, None
        return outcome, Change(target=action.target, at=outcome.at, before=pool.desired, after=after)

    def _ask(self, action: Action) -> Outcome:
        try:
            pool = self._may_be_done(action)
            owner = self._world.owners[action.target]
            asked = owner.rehearse(action.target, action.after, version=pool.version)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge of one provider: its bugs stop nobody else
            return self._told(action, error, called=False)
        why = "" if asked else "the provider cannot rehearse: only the guards were asked"
        return self._outcome(action, Status.REHEARSED, why)

    def _take_approval(self, action: Action, key: str, pool: Pool) -> None:
        """Use it up; and as that takes a moment, ask freezes and lease once more."""
        if not self._world.approval(action, key):
            raise Invalid(f"{Guard.APPROVAL}: {action.id} is refused, or its approval is used up")
        self._unhindered(action, pool)

    def _failure(self, action: Action, error: Exception, *, called: bool) -> Outcome:
        """What an error comes to, and what is not tried after it."""
        outcome = self._told(action, error, called=called)
        self._note(action, outcome.status)
        if isinstance(error, Denied):  # the next one lacks it too: nothing is removed half-blind
            self._shrinks_stopped = self._shrinks_stopped or action.id
        return outcome

    def _told(self, action: Action, error: Exception, *, called: bool) -> Outcome:
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        if status is Status.UNKNOWN and not called:
            status = Status.FAILED
        if isinstance(error, Fenced):
            self._fenced = str(error)
        known = isinstance(error, ProviderError | Fenced)
        why = str(error) if known else f"{type(error).__name__}: {error}"
        if isinstance(error, Fenced):
            why = f"{Guard.LEASE}: {why}"
        elif isinstance(error, Denied):
            why = f"{DENIED}: {why}"
        elif isinstance(error, Owned):
            why = f"{Guard.OWNED}: {why}"
        return self._outcome(action, status, why)

    def _note(self, action: Action, status: Status) -> None:
        if action.after < action.before and status in {Status.FAILED, Status.UNKNOWN}:
            self._shrinks_stopped = self._shrinks_stopped or action.id

    def _outcome(
        self, action: Action, status: Status, error: str = "", *, observed_after: int | None = None
    ) -> Outcome:
        return Outcome(
            action_id=action.id,
            status=status,
            at=self._world.clock.now(),
            observed_after=observed_after,
            error=error,
        )

    def _may_be_done(self, action: Action) -> Pool:
        """The target as it is now, if the guards, the freezes and the lease agree at this very moment."""
        pool = _reread(action, self._world)
        why = self._world.permit(action, pool)
        if why:
            raise Invalid(why)
        self._unhindered(action, pool)
        return pool

    def _unhindered(self, action: Action, pool: Pool) -> None:
        why = _frozen(action, pool, self._world)
        if why:
            raise Invalid(why)
        if self._world.lease is not None:
            self._lead(self._world.lease)


def _of_answer(before: int, answered: int, wanted: int) -> tuple[Status, str]:
    """What the size that a provider answered with says of a change from `before` to `wanted`."""
    if answered == wanted:
        return Status.APPLIED, ""
    if min(before, wanted) < answered < max(before, wanted):
        return Status.PARTIAL, f"{abs(answered - before)} of {abs(wanted - before)} units"
    return Status.UNKNOWN, f"the provider took it, and says {answered} units"


def _frozen(action: Action, pool: Pool, world: World) -> str:
    """Why the pool is frozen at this moment, by anyone or by the mark on itself; "" where it is not."""
    freezes = world.freezes({pool.id: pool.labels})
    verdict = frozen(Wish(pool=pool, wanted=action.after), freezes, world.clock.now())
    return f"{verdict.guard}: {verdict.why}" if verdict.guard is not None else ""


def _unconfirmed(action: Action, second: Plan) -> str:
    """Why the second plan does not remove as much as this shrink; "" where it does."""
    for other in second.actions:
        if other.target == action.target and other.after < other.before:
            if other.after <= action.after:
                return ""
            return f"{Guard.NOT_CONFIRMED}: a second look keeps {other.after} units, not {action.after}"
    for held in second.held:
        if held.action.target == action.target:
            return f"{Guard.NOT_CONFIRMED}: at a second look {held.guard} holds it: {held.why}"
    return f"{Guard.NOT_CONFIRMED}: a second look removes nothing of {action.target}"


def _reread(action: Action, world: World) -> Pool:
    """The target as it is now, if it is still the one that was planned for."""
    if action.target in world.unanswered:
        raise ProviderError(f"{action.target} was not tried: {world.unanswered[action.target]}")
    if action.target not in world.owners:
        raise NotFound(f"{action.target} is in no provider's list any more")
    pool = world.owners[action.target].read(action.target)
    if pool.desired != action.before or (action.version and pool.version != action.version):
        raise Stale(
            f"{action.target} moved since it was planned: it is at {pool.desired} "
            f"(version {pool.version}), the plan says {action.before} (version {action.version})"
        )
    now = world.clock.now()
    if not action.not_before <= now + timedelta(seconds=CLOCK_SKEW_S) or now >= action.expires_at:
        raise Stale(
            f"{action.target}: the action is for {iso(action.not_before)} to {iso(action.expires_at)}"
        )
    return pool
