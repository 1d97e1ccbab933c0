"""What was found and what is proposed, for a terminal and for machines."""

from __future__ import annotations

from collections.abc import Sequence

from dashboards.columns import fitted
from dashboards.ink import inert, wrap
from dashboards.wording import name, prose
from policies.model import plain
from policies.proposals import Findings, PassedOver, Proposal

SHOWN = 40  # pools in the table
REASONS = 8  # reasons why others are not proposed
NAMED = 3  # pools named for a reason


def found_text(findings: Findings, *, file: str, steps: Sequence[str], width: int) -> str:
    """A table of what is proposed, why others are not, and the commands to go on with. Ends in a newline.

    `file` is where it was written, "" where nothing was.
    """
    count, passed = len(findings.proposals), len(findings.passed_over)
    lines = [f"{_count(count + passed, 'pool')} seen, {count} proposed.", ""]
    if count:
        lines += [_table(findings.proposals, width), ""]
    lines += _reasons(findings.passed_over, width)
    for told in (*(f"Not seen: {gap}" for gap in findings.gaps), *(f"Metrics: {h}" for h in findings.hints)):
        lines += [*wrap(prose(told), width), ""]
    if file:
        lines += wrap(f"Written to {inert(file)}: mode observe, nothing is changed. What next:", width)
    lines += [f"  $ {step}" for step in steps]
    return "\n".join(lines).rstrip("\n") + "\n"


def _table(proposals: Sequence[Proposal], width: int) -> str:
    head = ["pool", "demand", "now", "from", "to", "learns"]
    body = [
        [
            name(one.name),
            f"{one.demand.load.value} ({one.demand.unit})",
            str(max(one.pool.desired, one.pool.ready_units)),
            str(one.minimum),
            str(one.maximum),
            learns(one) or "-",
        ]
        for one in proposals[:SHOWN]
    ]
    table = fitted(head, body, max(40, width), dropped=("learns", "from", "to"))
    more = len(proposals) - SHOWN
    return table.rstrip("\n") + (f"\nand {more} more" if more > 0 else "")


def learns(proposal: Proposal) -> str:
    """What is learnt of a pool from its own history."""
    lead = "lead time" if proposal.ready is not None and proposal.desired is not None else ""
    capacity = "unit capacity" if proposal.utilization is not None else ""
    return ", ".join(part for part in (lead, capacity) if part)


def _reasons(passed: Sequence[PassedOver], width: int) -> list[str]:
    """Each reason with the pools that it is true of."""
    by_why: dict[str, list[str]] = {}
    for one in passed:
        by_why.setdefault(one.why, []).append(one.target)
    lines = []
    for why, targets in sorted(by_why.items(), key=lambda entry: (-len(entry[1]), entry[0]))[:REASONS]:
        named = ", ".join(name(target) for target in targets[:NAMED])
        more = f" and {len(targets) - NAMED} more" if len(targets) > NAMED else ""
        first, *rest = wrap(f"{named}{more}: {prose(why)}", width - 2, "  ")
        lines += [first, *(f"  {line}" for line in rest)]
    left = len(by_why) - REASONS
    if left > 0:
        lines.append(f"  and {_count(left, 'other reason')}; all are in the file, and in -o json")
    return ["Not proposed:", *lines, ""] if lines else []


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def found_document(findings: Findings, *, file: str, steps: Sequence[str]) -> dict[str, object]:
    """The same as values for JSON: every pool, with the queries that were chosen."""
    return {
        "file": file or None,
        "proposed": [_proposed(one) for one in findings.proposals],
        "not_proposed": [plain(one) for one in findings.passed_over],
        "not_seen": list(findings.gaps),
        "hints": list(findings.hints),
        "next": list(steps),
    }


def _proposed(one: Proposal) -> dict[str, object]:
    return {
        "pool": one.name,
        "provider": one.pool.provider,
        "target": one.pool.id,
        "desired": one.pool.desired,
        "ready": one.pool.ready_units,
        "minimum": one.minimum,
        "maximum": one.maximum,
        "units_at_p99": one.units,
        "lever": one.pool.lever or None,
        "series": {
            series: {
                "source": query.source,
                "title": query.title,
                "unit": query.unit,
                "query": plain(query.query),
            }
            for series, query in one.series().items()
        },
        "notes": list(one.notes),
    }
