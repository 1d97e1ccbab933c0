"""`python -m tests.simulation 17` tells a seed's story; `0..999` runs a range and names what broke a law."""

from __future__ import annotations

import sys
import time

from tests.simulation.world import World


def main(given: str) -> int:
    """1 where a law was broken."""
    first, _, last = given.partition("..")
    if not last:
        report = World(int(first), tell=True).run()
        sys.stdout.write("\n".join([*report.story, *map(str, report.violations), ""]))
        return bool(report.violations)
    began, ticks, broken = time.process_time(), 0, 0
    for seed in range(int(first), int(last) + 1):
        report = World(seed).run()
        ticks += report.ticks
        if report.violations:
            broken += 1
            sys.stdout.write(f"seed {seed}: {report.violations[0]}\n")
    spent = time.process_time() - began
    sys.stdout.write(f"{ticks:,} ticks, {ticks / spent:.0f} a second; {broken} seeds broke a law\n")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
