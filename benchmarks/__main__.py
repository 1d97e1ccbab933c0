"""Every benchmark of this folder, each in a process of its own; the figures also go to benchmarks/results.md.

A benchmark is a module with a docstring, `run() -> dict` of figures, and perhaps `TARGETS`: what a figure is
meant to reach, such as {"cpu_s": "<= 0.5"}. `python -m benchmarks replay planning` runs these two alone and
writes no file.
"""

from __future__ import annotations

import json
import os
import pkgutil
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from autoscaler.clock import SystemClock

HERE = Path(__file__).parent
LIBRARIES = ("numpy", "pandas", "pyarrow", "statsforecast")
CHILD = """
import importlib, json, sys
module = importlib.import_module("benchmarks." + sys.argv[1])
targets = getattr(module, "TARGETS", {})
print(json.dumps({"about": module.__doc__, "targets": targets, "figures": module.run()}))
"""


def names() -> list[str]:
    """The benchmarks there are."""
    return sorted(module.name for module in pkgutil.iter_modules([str(HERE)]) if module.name != "__main__")


def machine() -> str:
    """Processor, cores, Python and the libraries that matter, in one line."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next(
            (line.split(":")[1].strip() for line in info.open() if line.startswith("model name")), model
        )
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"


def meets(value: float, target: str) -> bool:
    """Whether a figure reaches `<= x` or `>= x`."""
    sign, limit = target.split()
    return value <= float(limit) if sign == "<=" else value >= float(limit)


def shown(value: float) -> str:
    """Four significant figures, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def section(name: str) -> str:
    """One benchmark, run, as markdown; one that cannot run says why."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, name], capture_output=True, text=True, check=False, cwd=HERE.parent
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word why"])[-1]
        return f"## {name}\n\nnot run: {last}\n"
    told = json.loads(done.stdout.splitlines()[-1])
    lines = [f"## {name}", "", " ".join(told["about"].split("\n\n")[0].split()), ""]
    lines += ["| figure | value | target |", "|---|---|---|"]
    for figure, value in told["figures"].items():
        target = told["targets"].get(figure, "")
        mark = "" if not target else " ✓" if meets(value, target) else " ✗ missed"
        lines.append(f"| {figure} | {shown(value)} | {target}{mark} |")
    return "\n".join(lines) + "\n"


def main(chosen: list[str]) -> None:
    """Run and print; without a choice also write results.md."""
    unknown = set(chosen) - set(names())
    if unknown:
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    today = SystemClock().now().date().isoformat()
    parts = [f"# Benchmarks\n\n{today}, {machine()}. `make bench` measures again.\n"]
    print(parts[0], flush=True)
    for name in chosen or names():
        parts.append(section(name))
        print(parts[-1], flush=True)
    if not chosen:
        (HERE / "results.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main(sys.argv[1:])
