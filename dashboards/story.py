"""What happened, in words: the story of one action, the entries of the trail, freezes and approvals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dashboards import wording
from dashboards.ink import wrap
from policies.conditions import Approval
from policies.deeds import Deed, Frozen, Judged, Said, Verdict
from policies.model import Pool
from policies.plan import Action, Change, Held, Outcome, Plan, Status
from policies.policy import Freeze, Scope

_LABEL = 9
_STATUS = {
    Status.APPLIED: "applied",
    Status.PARTIAL: "applied in part",
    Status.REHEARSED: "rehearsed, nothing was changed",
    Status.STALE: "not applied: the target had moved since it was read",
    Status.REFUSED: "refused",
    Status.FAILED: "failed",
    Status.UNKNOWN: "unknown: the provider's answer was lost",
}
_VERDICTS = {
    Verdict.WAITING: "it is too early to tell whether it arrived",
    Verdict.CONFIRMED: "it arrived, and nothing became worse",
    Verdict.LATE: "it did not arrive in time",
    Verdict.WORSE: "the service level became worse after it",
    Verdict.REVERTED: "it was taken back, for the service level became worse after it",
    Verdict.UNKNOWN: "there was too little to tell by",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything the store has about one action of a plan, oldest first.

    `deeds` are the times it was tried, `judged` the verdicts on them, `said` what people said of it, `frozen`
    the freezes that touched its target when it was planned or tried, `undone` the deeds that took it back;
    `changes` are those of its target.
    """

    plan: Plan
    entry: Action | Held
    deeds: Sequence[Deed] = ()
    judged: Sequence[Judged] = ()
    said: Sequence[Said] = ()
    frozen: Sequence[Frozen] = ()
    undone: Sequence[Deed] = ()
    changes: Sequence[Change] = ()

    @property
    def action(self) -> Action:
        """The action that the story is about."""
        return self.entry.action if isinstance(self.entry, Held) else self.entry


class Labelled:
    """Labelled lines, wrapped under their label; the label again is left out."""

    def __init__(self, *, width: int) -> None:
        """`width` in cells."""
        self.width = width
        self.lines: list[str] = []
        self._last = ""

    def tell(self, label: str, text: str) -> None:
        """A line; where its label is that of the line before, only its text."""
        first, *rest = wrap(text, self.width, " " * _LABEL) or [""]
        shown = "" if label == self._last else label
        self._last = label or self._last
        self.lines += [shown.ljust(_LABEL) + first[_LABEL:], *rest]


def story_text(story: Story, *, pool: Pool | None = None, width: int = 100) -> str:
    """The whole story of one action; each line at most `width` cells (60 at least)."""
    out = Labelled(width=max(60, width))
    plan, act = story.plan, story.action
    out.tell("action", f"{wording.symbol(act)} {wording.name(act.target)}  {wording.size(act)}  ({act.kind})")
    out.tell("action", f"id {act.id}, in plan {plan.id}, made {wording.moment(plan.made_at)}")
    out.tell("why", f"{wording.reason(act)} ({act.reason})")
    out.tell("sure", wording.confidence(act, plan, pool))
    for fact in act.because:
        source = f", from {wording.name(fact.source)}" if fact.source else ""
        out.tell("facts", f"{wording.fact(fact)}{source}")
    out.tell("money", _money(act))
    out.tell("undo", f"{act.undo_class}; {wording.stopping(act)}" if act.disruption else act.undo_class)
    _tell_guards(out, plan, act)
    for one in story.frozen:
        out.tell("freezes", _frozen(one))
    for said in story.said:
        out.tell("people", _said(said))
    _tell_deeds(out, story)
    for deed in story.undone:
        outcome = "in doubt" if deed.outcome is None else _STATUS[deed.outcome.status]
        out.tell(
            "undone", f"{wording.moment(deed.at)}  by {deed.action.id} of plan {deed.plan_id}: {outcome}"
        )
    for change in story.changes:
        out.tell("changes", f"{wording.moment(change.at)}  {change.before:,} -> {change.after:,} units")
    return "\n".join(out.lines) + "\n"


def _money(action: Action) -> str:
    if action.hourly_delta_usd is None:
        return "price unknown"
    usd = action.hourly_delta_usd.mid
    spread = wording.usd_range(action.hourly_delta_usd)
    text = f"{wording.hourly(usd)}, {wording.monthly(usd)}" + (f", {spread}" if spread else "")
    return text if action.billable else f"{text}; allocated, not billed"


def _tell_guards(out: Labelled, plan: Plan, action: Action) -> None:
    holding = [held for held in plan.held if held.action.target == action.target]
    for held in holding:
        whole = "it" if held.action.id == action.id else f"the rest, {wording.size(held.action)}"
        out.tell("guards", f"{held.guard} held {whole}, {wording.until(held)}: {wording.guard(held)}")
    if not holding:
        out.tell("guards", "none held any part of it")


def _tell_deeds(out: Labelled, story: Story) -> None:
    if not story.deeds:
        out.tell("outcome", "it was never tried")
    for deed in story.deeds:
        led = f" by the leader of generation {deed.generation}" if deed.generation else ""
        out.tell("tried", f"{wording.moment(deed.at)}{led}, key {wording.name(deed.key)}")
        if deed.elsewhere:
            out.tell("tried", f"at {wording.prose(deed.place)}: the pool is another target now")
        out.tell("outcome", _outcome(deed.outcome, story.action))
        for one in story.judged:
            if one.key == deed.key:
                out.tell("verdict", verdict_line(one))


def verdict_line(one: Judged) -> str:
    """What a later look said of a deed, and when."""
    facts = f" ({wording.facts(one.facts)})" if one.facts else ""
    return f"{wording.moment(one.at)}  {one.verdict}: {_VERDICTS[one.verdict]}{facts}"


def _outcome(outcome: Outcome | None, action: Action) -> str:
    if outcome is None:
        return "in doubt: it was about to be tried, and no outcome was written"
    seen = "" if outcome.observed_after is None else f", {outcome.observed_after:,} units were then seen"
    wanted = "" if outcome.observed_after in {None, action.after} else f" ({action.after:,} were asked for)"
    error = f": {wording.prose(outcome.error)}" if outcome.error else ""
    return f"{wording.moment(outcome.at)}  {_STATUS[outcome.status]}{seen}{wanted}{error}"


def _said(said: Said) -> str:
    word = said.approval
    verb = "approved" if word.granted else "rejected"
    end = "used" if said.used_by else f"good until {wording.moment(word.expires_at)}"
    return f"{wording.moment(word.at)}  {verb} by {wording.name(word.by)}, {end}: {wording.prose(word.why)}"


def scope_words(scope: Scope, name: str) -> str:
    """What a freeze is of."""
    return "everything" if scope is Scope.ALL else f"{scope.value} {wording.name(name)}"


def _frozen(one: Frozen) -> str:
    freeze = one.freeze
    who = f", by {wording.name(one.by)}" if one.by else ""
    since = f" since {wording.moment(one.at)}" if one.at is not None else ""
    until = f" until {wording.moment(freeze.until)}" if freeze.until is not None else ""
    lifted = ""
    if one.lifted_at is not None:
        lifted = f"; lifted by {wording.name(one.lifted_by)} {wording.moment(one.lifted_at)}"
        lifted += f": {wording.prose(one.lifted_why)}"
    what = scope_words(freeze.scope, freeze.name)
    only = ", shrinking only" if freeze.shrinks_only else ""
    return f"{what} frozen{only}{who}{since}{until}: {wording.prose(freeze.why) or 'no reason said'}{lifted}"


def freeze_lines(found: Sequence[tuple[Freeze, str]]) -> list[str]:
    """A line for each freeze in force with where it was said; one line that says so where there is none."""
    if not found:
        return ["Nothing is frozen."]
    lines = []
    for freeze, where in found:
        until = "until it is lifted" if freeze.until is None else f"until {wording.moment(freeze.until)}"
        why = wording.prose(freeze.why) or "no reason said"
        what = scope_words(freeze.scope, freeze.name)
        what += ", shrinking only" if freeze.shrinks_only else ""
        lines.append(f"Frozen: {what}, {until}: {why}  [{wording.prose(where)}]")
    return lines


def approval_line(word: Approval, action: Action) -> str:
    """A person's word that was just kept."""
    verb = "Approved" if word.granted else "Rejected"
    what = f"{wording.name(action.target)}  {wording.size(action)}"
    return f"{verb} {action.id}  {what}, by {wording.name(word.by)}, until {wording.moment(word.expires_at)}"


def differences(stored: Plan, again: Plan) -> list[str]:
    """What a plan that was decided anew has otherwise, a line each; empty where it is the same."""
    lines = []
    if stored.id != again.id:
        lines.append(f"id: {stored.id} was stored, {again.id} came of it now")
    for digest in ("snapshot_digest", "policy_digest", "forecasts_digest"):
        then, now = getattr(stored, digest), getattr(again, digest)
        if then != now:
            lines.append(f"{digest.replace('_', ' ')}: {then} then, {now} now")
    then_wishes, now_wishes = _wishes(stored), _wishes(again)
    lines += [f"then, not now: {wish}" for wish in then_wishes if wish not in now_wishes]
    lines += [f"now, not then: {wish}" for wish in now_wishes if wish not in then_wishes]
    if not lines and stored != again:
        lines.append("money, evidence, gaps or times, though the wishes are the same")
    return lines


def _wishes(plan: Plan) -> list[str]:
    acts = [f"{a.id}  {wording.name(a.target)}  {wording.size(a)}" for a in plan.actions]
    return acts + [
        f"{h.action.id}  {wording.name(h.action.target)}  {wording.size(h.action)}, held: {h.guard}"
        for h in plan.held
    ]


def entries_text(entries: Iterable[tuple[str, Mapping[str, Any]]], *, width: int = 100) -> str:
    """Rows of the trail, each as its table and its values by column, as lines of at most `width` cells."""
    lines = []
    for table, values in entries:
        stamp = values.get("at") or values.get("made_at")
        when = wording.moment(datetime.fromisoformat(str(stamp))) if stamp else ""
        first, *rest = wrap(_entry(table, values), max(60, width), " " * _TOLD)
        lines += [f"{when:<17}  {table:<12}".ljust(_TOLD) + first[_TOLD:], *rest]
    return "\n".join(lines) + "\n" if lines else "The trail is empty.\n"


def _entry(table: str, values: Mapping[str, Any]) -> str:
    """One line of what a row says; the columns that are not named are told as they are."""
    left = _Left(values)
    if table == "freeze":
        scope = values["scope"]
        only = ", shrinking only" if values.get("shrinks_only") else ""
        left["what"] = ("everything" if scope == Scope.ALL else f"{scope} {values['name']}") + only
    if table == "approval":
        left["verb"] = "approved" if values["granted"] else "rejected"
    text = " ".join(_ENTRIES.get(table, "").format_map(left).split())
    changed = values.get("changed_target")
    if changed is not None:
        text += f": {changed} {values.get('changed_before')} -> {values.get('changed_after')} units"
    left_over = (
        f"{_NAMED.get(name, name)} {value}".strip()
        for name, value in values.items()
        if value != "" and name not in left.told | _NOT_TOLD and not name.startswith("changed_")
    )
    return wording.prose(", ".join([*([text] if text else []), *left_over]))


_TOLD = 33  # cells before what an entry says
_NAMED = {
    "expires_at": "good until",
    "plan_id": "of plan",
    "place": "at",
    "error": "",
}  # columns by what they say
_NOT_TOLD = {
    "row",
    "at",
    "made_at",
    "body",
    "facts",
    "observed_after",
    "scope",
    "name",
    "granted",
    "shrinks_only",
}
_ENTRIES = {
    "plan": "plan {id}",
    "intent": "about to do {action_id} on {target}",
    "outcome": "{status} (intent {intent_row})",
    "freeze": "{by} froze {what}: {why}",
    "lift": "{by} lifted freeze {freeze_row}: {why}",
    "approval": "{by} {verb} {action_id}: {why}",
    "approval_use": "approval {approval_row} was used by {key}",
    "verdict": "{verdict} (intent {intent_row})",
    "event": "{kind} {pool}: {text}",
    "generation": "generation {number} leads",
    "pool_seen": "{pool} was first seen",
}


class _Left(dict[str, Any]):
    """The values of a row, which remembers which of them were told; what is absent is nothing."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.told: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.told.add(name)
        return self.get(name, "")
