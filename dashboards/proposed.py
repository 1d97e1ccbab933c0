"""Findings as a commented configuration file: YAML text from values, the same for the same findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from dashboards.ink import inert, wrap
from policies.proposals import Candidate, Findings, Load, Proposal

TARGET = "70%"  # how full units are kept until the operator says otherwise
DRAIN = "5m"
MOST_WORDS = 600  # letters of a comment
WIDEST = 110  # cells of its lines
NOT_PROPOSED = 500  # so many pools that are not proposed are listed

Sections = Mapping[str, Mapping[str, object]]


def configuration(findings: Findings, providers: Sections, sources: Sections) -> str:
    """The file. `providers` are sections by KIND/NAME, `sources` those of metrics by kind, without queries.

    The text ends in a newline.
    """
    return "\n".join(_lines(findings, providers, sources)) + "\n"


def _lines(findings: Findings, providers: Sections, sources: Sections) -> Iterator[str]:
    count, seen = len(findings.proposals), len(findings.proposals) + len(findings.passed_over)
    yield _comment(f"Written by `loadline init`: of {seen} pools that were seen, {count} are proposed.")
    yield _comment(
        "Mode observe: plans are made and shown, and nothing is changed. `loadline plan` shows one;"
    )
    yield _comment("`loadline config explain pools.*.demands` tells what a key is for.")
    yield ""
    yield from _entry({"state": "./loadline.db"}, 0)
    yield ""
    yield "metrics:"
    for kind, section in sources.items():
        yield from _source(kind, section, findings)
    yield ""
    yield "providers:"
    for kind in dict.fromkeys(name.partition("/")[0] for name in providers):
        yield f"  {kind}:"
        for name, section in providers.items():
            if name.partition("/")[0] == kind:
                yield from _entry({name.partition("/")[2]: dict(section)}, 4)
    yield ""
    yield from _entry({"defaults": {"mode": "observe"}}, 0)
    yield ""
    yield "pools:"
    for number, proposal in enumerate(findings.proposals):
        yield from ("",) if number else ()
        yield from _pool(proposal)
    yield from _rest(findings)


def _source(kind: str, section: Mapping[str, object], findings: Findings) -> Iterator[str]:
    """A source of metrics with the queries that were chosen of it; nothing where none was."""
    queries = _queries(kind, findings)
    if not queries:
        return
    first, *rest = _entry({"kind": kind, **section}, 4)
    yield f"  - {first.lstrip()}"
    yield from rest
    yield "    queries:"
    for series, one in queries.items():
        yield _comment(f"{one.title}; {one.unit}", 6)
        yield from _entry({series: _plain(one.query)}, 6)


def _queries(kind: str, findings: Findings) -> dict[str, Candidate]:
    found = {
        series: one
        for proposal in findings.proposals
        for series, one in proposal.series().items()
        if one.source == kind
    }
    return {series: found[series] for series in sorted(found)}


def _pool(proposal: Proposal) -> Iterator[str]:
    pool, demand = proposal.pool, proposal.demand
    now = max(pool.desired, pool.ready_units)
    units = "1 unit" if now == 1 else f"{now} units"
    yield _comment(f"{inert(pool.id, 80)}: {units} now. {demand.title}.", 2)
    for note in proposal.notes:
        yield _comment(note, 2)
    yield from _entry({proposal.name: None}, 2, open_=True)
    yield from _entry({"provider": pool.provider, "target": pool.id, "kind": pool.kind.value}, 4)
    yield _comment(f"Bounds: {proposal.bounded}.", 4)
    yield from _entry({"minimum": proposal.minimum, "maximum": proposal.maximum}, 4)
    yield from _observed(proposal)
    yield "    demands:"
    yield from _demand(proposal)


def _observed(proposal: Proposal) -> Iterator[str]:
    if proposal.ready is None:
        return
    observed = {"ready": proposal.series_id("ready")}
    if proposal.desired is not None:
        yield _comment("The lead time is learnt from these; until then that of the provider holds.", 4)
        observed["desired"] = proposal.series_id("desired")
    yield from _entry({"observed": observed}, 4)


def _demand(proposal: Proposal) -> Iterator[str]:
    demand = proposal.demand
    first, *_ = _entry({"series": proposal.series_id(demand.load.value)}, 8)
    yield f"      - {first.lstrip()}"
    until = " Holds until it is learnt from utilization." if proposal.utilization is not None else ""
    yield _comment(f"The p99 of the history fills so many units: {proposal.measured}.{until}", 8)
    yield from _entry({"units_at_p99": proposal.units}, 8)
    if proposal.utilization is not None:
        used = {"series": proposal.series_id("utilization"), "target": TARGET}
        yield from _entry({"utilization": {**used, "top": proposal.utilization.share}}, 8)
    if demand.load is Load.QUEUE:
        yield _comment("What waits is to be done within this time.", 8)
        yield from _entry({"backlog": {"drain": DRAIN}}, 8)


def _rest(findings: Findings) -> Iterator[str]:
    """What was seen and is not proposed, and what may explain it."""
    if findings.passed_over:
        yield ""
        yield _comment("Seen and not proposed:")
    for one in findings.passed_over[:NOT_PROPOSED]:
        yield _comment(f"- {inert(one.target, 80)} ({one.provider}): {one.why}")
    more = len(findings.passed_over) - NOT_PROPOSED
    if more > 0:
        yield _comment(f"- and {more} more; `loadline init -o json` lists them all")
    if findings.gaps or findings.hints:
        yield ""
    for gap in findings.gaps:
        yield _comment(f"Not seen: {gap}")
    for hint in findings.hints:
        yield _comment(f"Metrics: {hint}")


def _comment(text: str, indent: int = 0) -> str:
    """A comment in lines of its own: whatever could end a line or steer a terminal is written out."""
    return "\n".join(wrap(inert(text, MOST_WORDS), WIDEST, " " * indent + "# "))


def _entry(values: Mapping[str, object], indent: int, *, open_: bool = False) -> Iterator[str]:
    """Keys and values in block style, as a YAML emitter writes them; `open_`: the values come below."""
    import yaml  # noqa: PLC0415 - 30 ms that only this output needs

    text: str = yaml.dump(
        {key: {} if open_ else value for key, value in values.items()},
        Dumper=_dumper(),
        sort_keys=False,
        allow_unicode=False,
        width=10**9,
    )
    for line in text.splitlines():
        yield " " * indent + (line.removesuffix(" {}") if open_ else line)


@cache
def _dumper() -> Any:
    """PyYAML's own, without anchors, which the configuration refuses."""
    import yaml  # noqa: PLC0415 - as above

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - as the library calls it
            return True

    return Plain


def _plain(value: object) -> object:
    """Mappings of any kind as dictionaries."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return value
