"""The design as tests: layers, purity, independence, size; each rule is shown to catch what it forbids."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
import textwrap
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("autoscaler", "dashboards", "policies", "forecasts")
PURE = ("dashboards", "policies", "forecasts")
SOURCES = {
    path.relative_to(ROOT).as_posix(): path for name in PACKAGES for path in (ROOT / name).rglob("*.py")
}

WORLD = {
    *(
        "boto3",
        "botocore",
        "google",
        "kubernetes",
        "sqlmodel",
        "sqlalchemy",
        "apscheduler",
        "pydantic",
        "httpx",
    ),
    *(
        "requests",
        "urllib3",
        "click",
        "os",
        "sys",
        "socket",
        "ssl",
        "subprocess",
        "multiprocessing",
        "threading",
    ),
    *(
        "asyncio",
        "concurrent",
        "time",
        "random",
        "secrets",
        "uuid",
        "logging",
        "pathlib",
        "tempfile",
        "shutil",
    ),
    *("sqlite3", "glob", "http", "urllib", "smtplib", "autoscaler"),
}
YAML_ALLOWED = {  # text from a value: the YAML twin of a document, and a configuration that is proposed
    "dashboards/documents.py",
    "dashboards/proposed.py",
}
PANDAS_ALLOWED = {
    "forecasts/frame.py",
    "forecasts/models/ets.py",
    "forecasts/models/mstl.py",
    "forecasts/models/theta.py",
}
NOW = {"now", "utcnow", "today", "time", "monotonic", "perf_counter", "uuid1", "uuid4"}
CLOCKS = {"datetime", "date", "time", "uuid", "Timestamp"}
WORDS = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc", "core"}


@cache
def nodes(source: str) -> tuple[ast.AST, ...]:
    """Every node of a module, which several rules read."""
    return tuple(ast.walk(ast.parse(source)))


def imported(source: str) -> set[str]:
    """Full names of what a module imports, also inside its functions and where only types are checked."""
    names = set()
    for node in nodes(source):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(f"{'.' * node.level}{node.module or ''}")
    return names


def called(source: str) -> set[str]:
    """Dotted names of what a module calls."""
    return {ast.unparse(node.func) for node in nodes(source) if isinstance(node, ast.Call)}


def impure(path: str, source: str) -> set[str]:
    """What a pure module imports or calls though it may not."""
    roots = {name.split(".")[0] for name in imported(source)}
    found = roots & WORLD
    if path not in YAML_ALLOWED:
        found |= roots & {"yaml"}
    for call in called(source):
        owner, _, name = call.rpartition(".")
        last = owner.rpartition(".")[2]
        reads_time = name in NOW and last in CLOCKS
        unseeded = call.endswith("random.default_rng") and f"{call}()" in source.replace(" ", "")
        legacy = last == "random" and name not in {"default_rng", "Generator", "SeedSequence", "PCG64"}
        if (
            reads_time
            or unseeded
            or legacy
            or call in {"open", "input", "print", "exec", "eval", "__import__"}
        ):
            found.add(call)
    return found


def misplaced_pandas(path: str, source: str) -> set[str]:
    """Where pandas or statsforecast is imported though it does not belong."""
    roots = {name.split(".")[0] for name in imported(source)}
    allowed = path in PANDAS_ALLOWED or path.startswith(("dashboards/", "autoscaler/"))
    return set() if allowed else roots & {"pandas", "statsforecast"}


def pure_sources():
    return [name for name in SOURCES if name.startswith(PURE)]


def test_there_is_something_to_look_at():
    """The rules below see the modules that they are about."""
    assert {"policies/guards.py", "forecasts/frame.py", "dashboards/terminal.py"} <= set(pure_sources())
    assert len(SOURCES) > 40


@pytest.mark.parametrize("path", pure_sources())
def test_pure_modules_touch_no_world_no_clock_and_no_dice(path):
    """Pure packages import nothing that reads or writes the world; time and randomness are arguments."""
    assert impure(path, SOURCES[path].read_text()) == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os", {"os"}),
        ("def f():\n    from pathlib import Path", {"pathlib"}),
        ("import time", {"time"}),
        ("import yaml", {"yaml"}),
        ("import pydantic.fields", {"pydantic"}),
        ("from autoscaler import config", {"autoscaler"}),
        ("import datetime as dt\ndt.datetime.now()", {"dt.datetime.now"}),
        ("from datetime import date\ndate.today()", {"date.today"}),
        ("import uuid\nuuid.uuid4()", {"uuid", "uuid.uuid4"}),
        ("np.random.seed(1)", {"np.random.seed"}),
        ("np.random.default_rng()", {"np.random.default_rng"}),
        ("open('x')", {"open"}),
        ("np.random.default_rng(7)", set()),
        ("rng.normal()\nplan.now", set()),
    ],
)
def test_the_rule_of_purity_catches_what_it_forbids(source, found):
    """On made-up modules the rule finds exactly what is wrong."""
    assert impure("policies/made_up.py", source) == found


@pytest.mark.parametrize("path", list(SOURCES))
def test_pandas_lives_where_it_is_allowed(path):
    """Both pandas and statsforecast: in the frame, in the models that need them, and in the views."""
    assert misplaced_pandas(path, SOURCES[path].read_text()) == set()
    assert misplaced_pandas("policies/made_up.py", "def f():\n    import pandas as pd") == {"pandas"}


@pytest.mark.slow
def test_decisions_reach_neither_pandas_nor_statsforecast():
    """Importing all of policies in a fresh interpreter loads none of the heavy or worldly libraries."""
    program = """
        import importlib, pkgutil, sys, policies
        for module in pkgutil.walk_packages(policies.__path__, "policies."):
            importlib.import_module(module.name)
        print(*sorted({name.split(".")[0] for name in sys.modules}))
    """
    loaded = set(_python(program).split())
    assert {"policies", "numpy"} <= loaded
    heavy = {"pandas", "statsforecast", "pyarrow", "plotly", "pydantic", "sqlmodel", "sqlalchemy", "rich"}
    assert loaded & (heavy | {"autoscaler", "dashboards", "boto3", "click", "jinja2", "yaml"}) == set()


def test_help_imports_nothing_heavy():
    """`loadline --help` stays quick: no numpy, no pandas, no pydantic, no store."""
    program = """
        import sys
        sys.argv = ["loadline", "--help"]
        from autoscaler.cli import main
        try:
            main()
        except SystemExit as end:
            assert not end.code, end.code
        print("LOADED", *sorted({name.split(".")[0] for name in sys.modules}))
    """
    text, _, loaded = _python(program).partition("LOADED")
    assert "replay" in text
    heavy = {"numpy", "pandas", "pydantic", "sqlmodel", "sqlalchemy", "pyarrow", "plotly", "statsforecast"}
    assert set(loaded.split()) & (heavy | {"rich", "jinja2", "yaml"}) == set()


def _python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], check=True, capture_output=True, text=True, cwd=ROOT
    )
    return done.stdout


def _contracts(folder: Path) -> dict[str, str]:
    """What import-linter says of each contract: KEPT or BROKEN."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "", "COLUMNS": "200"},
    )
    lines = [line.strip().rpartition(" ") for line in done.stdout.splitlines()]
    verdicts = {name: verdict for name, _, verdict in lines if verdict in {"KEPT", "BROKEN"}}
    assert verdicts, done.stdout + done.stderr
    return verdicts


def _contract_names() -> set[str]:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {contract["name"] for contract in linter["contracts"]}


def test_the_contracts_of_the_layers_are_kept():
    """import-linter keeps every contract of pyproject.toml."""
    assert _contracts(ROOT) == dict.fromkeys(_contract_names(), "KEPT")


WRONG = {
    "forecasts/a.py": "import policies.scalers.hpa\nimport os\n",
    "forecasts/models/ets.py": "import forecasts.models.mstl\n",
    "forecasts/models/mstl.py": "",
    "policies/a.py": "import policies.b\n",
    "policies/b.py": "import pandas\n",
    "policies/scalers/hpa.py": "import policies.scalers.static\n",
    "policies/scalers/static.py": "",
    "dashboards/a.py": "",
    "autoscaler/errors.py": "import autoscaler.ports\n",
    "autoscaler/ports.py": "",
    "autoscaler/clock.py": "",
    "autoscaler/config.py": "",
    "autoscaler/providers/aws.py": "import autoscaler.providers.fake\n",
    "autoscaler/providers/fake.py": "",
    "autoscaler/metrics/cloudwatch.py": "",
    "autoscaler/metrics/csv.py": "",
    "autoscaler/metrics/google_monitoring.py": "",
    "autoscaler/metrics/parquet.py": "import autoscaler.metrics.csv\n",
}


def test_the_contracts_can_be_broken(tmp_path):
    """In a made-up project that breaks every rule once, every contract is found broken."""
    for name, text in WRONG.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        (path.parent / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    assert _contracts(tmp_path) == dict.fromkeys(_contract_names(), "BROKEN")


def vague(path: str) -> set[str]:
    """Words in a module's name that say nothing."""
    parts = Path(path).with_suffix("").parts
    return {part for part in parts if WORDS & set(part.split("_"))}


@pytest.mark.parametrize("path", list(SOURCES))
def test_a_module_is_named_for_what_it_holds_and_is_short(path):
    """No utils, helpers, common, base or manager; no file over 400 lines."""
    assert vague(path) == set()
    assert len(SOURCES[path].read_text().splitlines()) <= 400


def test_the_rule_of_names_catches_what_it_forbids():
    """On made-up names the rule finds the vague ones."""
    assert vague("policies/plan_utils.py") == {"plan_utils"}
    assert vague("autoscaler/common/clock.py") == {"common"}
    assert vague("policies/database.py") == set()


def _ports():
    module = importlib.import_module("autoscaler.ports")
    protocols = [
        one for _, one in inspect.getmembers(module, inspect.isclass) if getattr(one, "_is_protocol", 0)
    ]
    return [one for one in protocols if one.__module__ == module.__name__]


def test_a_port_has_at_most_four_methods():
    """Small ports: Clock, Pools, Metrics, Trail and Story ask little of the world."""
    ports = _ports()
    assert {"Clock", "Pools", "Metrics", "Trail"} <= {port.__name__ for port in ports}
    for port in ports:
        methods = [name for name, one in vars(port).items() if inspect.isfunction(one) and name[0] != "_"]
        assert 1 <= len(methods) <= 4


def flags(source: str) -> set[str]:
    """Public functions with a boolean among their positional parameters, or a default that is mutable."""
    found = set()
    for node in nodes(source):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            positional = [*node.args.posonlyargs, *node.args.args]
            booleans = [a for a in positional if a.annotation and ast.unparse(a.annotation) == "bool"]
            mutable = [d for d in node.args.defaults if isinstance(d, ast.List | ast.Dict | ast.Set)]
            if booleans or mutable:
                found.add(node.name)
    return found


@pytest.mark.parametrize("path", list(SOURCES))
def test_no_function_takes_a_bare_truth_or_shares_its_default(path):
    """No boolean positional argument and no mutable default anywhere."""
    assert flags(SOURCES[path].read_text()) == set()
    assert flags("def f(x: int, quick: bool): ...\ndef g(*, quick: bool): ...") == {"f"}
    assert flags("def f(x=[]): ...") == {"f"}


EDGES = {  # how many handlers of everything each may have
    "autoscaler/apply.py": 4,  # the call, the rehearsal, both looks
    "autoscaler/daemon.py": 1,
    "autoscaler/examining/asking.py": 1,  # of one system that is looked at
    "autoscaler/observing.py": 1,
    "autoscaler/recall.py": 1,
    "autoscaler/reloading.py": 2,  # of the thread, and the reading in it
    "autoscaler/settling.py": 1,
    "autoscaler/transport.py": 1,  # of the thread that makes the call
    "autoscaler/web/board.py": 1,
    "autoscaler/web/server.py": 1,  # of the thread that serves
}


def silenced(source: str) -> list[int]:
    """Lines of handlers that swallow whatever comes, or do nothing with it and give no reason."""
    found, lines = [], source.splitlines()
    for node in nodes(source):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}
            last = node.body[-1]
            empty = isinstance(node.body[0], ast.Pass) and "#" not in lines[last.lineno - 1]
            passed_on = isinstance(last, ast.Raise) and last.exc is None
            if empty or (broad and not passed_on):
                found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", list(SOURCES))
def test_only_the_edges_catch_everything(path):
    """`except Exception` at the edge of the tick, of a provider, a fit and a pool, as counted; no `pass`."""
    assert len(silenced(SOURCES[path].read_text())) == EDGES.get(path, 0)


def test_the_rule_of_handlers_catches_what_it_forbids():
    """On made-up handlers: swallowed is found, passed on is not."""
    assert silenced("try: f()\nexcept ValueError: pass") == [2]
    assert silenced("try: f()\nexcept ValueError:\n    pass  # the slow way below tells why") == []
    assert silenced("try: f()\nexcept Exception as e: h(e)") == [2]
    assert silenced("try: f()\nexcept BaseException:\n    undo()\n    raise") == []
