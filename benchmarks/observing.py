"""Seeing 1,000 deployments of a cluster and 500 Auto Scaling groups at once, as every tick does.

Both are servers on loopback in processes of their own, so that CPU and memory are ours alone. The pools are
all configured, each with a demand that nothing tells. `first_wall_s` is that of the first look, with the SDKs
to be imported and the connections to be made; the others are the median of the next ones.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoscaler import aws, bootstrap, config, observing
from autoscaler.clock import SystemClock

TARGETS = {
    "wall_s": "<= 10",
    "megabytes": "<= 600",
    "kubernetes_calls": "<= 10",
    "aws_calls": "<= 7",
}
DEPLOYMENTS, NAMESPACES, GROUPS, LOOKS = 1_000, 10, 500, 5
KEYS = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}


def cluster(pipe: Connection, file: str) -> None:
    """The API of a cluster; a word on the pipe is answered by how often it was called since the last one."""
    from tests.kubernetes_api.objects import populate  # noqa: PLC0415 - not in the process that is measured
    from tests.kubernetes_api.server import FakeApi  # noqa: PLC0415 - as above

    with FakeApi(SystemClock()) as api:
        populate(api, DEPLOYMENTS, namespaces=NAMESPACES)
        api.kubeconfig(Path(file))
        pipe.send(api.url)
        while pipe.recv():
            pipe.send(len(api.calls))
            api.calls.clear()


def account(pipe: Connection, _file: str) -> None:
    """An account of AWS; it serves until something comes by the pipe."""
    from tests.worlds.aws import Aws, server  # noqa: PLC0415 - as above

    with pytest.MonkeyPatch.context() as patched, server() as address:
        patched.setattr(Aws, "_sleepless", lambda _self, _patched: None)
        world = Aws(address, patched)
        world.group("g000")
        for number in range(1, GROUPS):
            world.copy(f"g{number:03}", of="g000")
        pipe.send(address)
        pipe.recv()


@contextmanager
def beside(target: Any, file: str) -> Iterator[tuple[Connection, str]]:
    """A server in a process of its own, up while the block runs: its pipe and address."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    child = spawn.Process(target=target, args=(theirs, file), daemon=True)
    child.start()
    theirs.close()
    try:
        yield ours, ours.recv()
    finally:
        ours.send(None)
        child.join(20)
        child.kill()


def configuration(folder: Path, address: str) -> str:
    """The file that names every pool."""
    names = [f"team-{number % NAMESPACES}/web-{number:04}" for number in range(DEPLOYMENTS)]
    targets = {
        f"web{number}": f"kubernetes/c, target: deployment/{name}" for number, name in enumerate(names)
    }
    targets |= {f"group{number}": f"aws/a, target: asg/g{number:03}" for number in range(GROUPS)}
    pools = "\n".join(
        f"  {name}: {{provider: {target}, minimum: 1, maximum: 9, "
        f"demands: [{{series: {name}, unit_capacity: 10}}]}}"
        for name, target in targets.items()
    )
    providers = f"""\
  kubernetes: {{c: {{kubeconfig: ./kubeconfig}}}}
  aws: {{a: {{region: us-east-1, endpoint_url: '{address}'}}}}
"""
    file = folder / "loadline.yaml"
    file.write_text(f"state: ./s.db\nproviders:\n{providers}pools:\n{pools}\n")
    return str(file)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """The calls to AWS by their names, while the block runs."""
    calls: Counter[str] = Counter()
    real = aws.client

    def client(*of: Any, **ways: Any) -> Any:
        made = real(*of, **ways)
        made.meta.events.register("before-call", lambda model, **_more: calls.update([model.name]))
        return made

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(aws, "client", client)
        yield calls


def look(app: bootstrap.App) -> tuple[float, float]:
    """Wall and CPU seconds of one look, in which everything must be seen."""
    began, spent = time.perf_counter(), time.process_time()
    seen = observing.observe(app)
    took = time.perf_counter() - began, time.process_time() - spent
    assert len(seen.snapshot.pools) == DEPLOYMENTS + GROUPS, seen.snapshot.gaps
    assert not seen.snapshot.gaps, seen.snapshot.gaps
    return took


def run() -> dict[str, float]:
    """Seconds and calls of one look, and the memory of the process that looks."""
    os.environ.update(KEYS)
    with tempfile.TemporaryDirectory() as name, counted() as calls:
        folder = Path(name)
        with (
            beside(cluster, str(folder / "kubeconfig")) as (pipe, _url),
            beside(account, "") as (_pipe, address),
        ):
            app = bootstrap.build(config.load(configuration(folder, address)), SystemClock())
            first_s, _cpu = look(app)
            looks = []
            for _ in range(LOOKS):
                pipe.send("how many")
                pipe.recv()
                calls.clear()
                looks.append(look(app))
            asked = calls.total()
            pipe.send("how many")
            of_cluster = pipe.recv()
            app.close()
    wall_s, cpu_s = np.median(looks, axis=0).tolist()
    return {
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "first_wall_s": first_s,
        "kubernetes_calls": of_cluster,
        "aws_calls": asked,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
