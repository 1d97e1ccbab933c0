"""docs/guards.md: its example is a configuration that loads, and its codes are those of the program."""

from __future__ import annotations

import re
from pathlib import Path

from autoscaler import config
from policies.plan import Guard
from policies.policy import Mode, Policy, PoolPolicy, SignalKind
from tests.worlds import small

TEXT = (Path(__file__).parents[1] / "docs" / "guards.md").read_text()


def test_the_example_of_the_document_loads(tmp_path):
    """Every key shown is one of the program, and what is shown as the default is the default."""
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    world = re.sub(r"^defaults:.*\n", "", small.CONFIGURATION, flags=re.MULTILINE)
    (tmp_path / "loadline.yaml").write_text(world + example)
    policy, plain = config.load(str(tmp_path / "loadline.yaml")).policy, Policy()
    assert (policy.flap, policy.fleet_share, policy.budgets) == (plain.flap, plain.fleet_share, plain.budgets)
    shown, usual = policy.interlocks, plain.interlocks
    assert (shown.unready_share, shown.unready_above) == (usual.unready_share, usual.unready_above)
    assert (shown.warm_up_s, shown.recent_growth_s) == (usual.warm_up_s, usual.recent_growth_s)
    assert [signal.kind for signal in shown.signals] == [
        SignalKind.SERVICE_LEVEL,
        SignalKind.INCIDENT,
        SignalKind.ZONE_IMPAIRED,
    ]
    assert [limit.hard for limit in policy.money] == [False, True]
    assert (policy.of("web").mode_out, policy.of("web").mode_in) == (Mode.AUTO, Mode.APPROVE)
    assert policy.of("web").observe_first_s == PoolPolicy().observe_first_s


def test_every_code_of_a_guard_is_told():
    """The table and the line below it name each code once, and no other."""
    table, after = TEXT.split("## In order")[1].split("The guard that leaves the least")
    codes = re.findall(r"`([A-Z_]+)`", table) + re.findall(r"`([A-Z_]+)`", after.split("##")[0])
    assert sorted(codes) == sorted(guard.value for guard in Guard)
