"""The report in a real browser: it draws, it errs nowhere, and it cannot reach a network."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from dashboards.site import report

W = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "worlds" / "eight_pools.py")))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
COUNT = """<script>
setTimeout(() => {
  const seen = performance.getEntriesByType("resource").filter((entry) => !entry.name.startsWith("data:"));
  const root = document.documentElement;
  root.dataset.fetched = seen.length;
  root.dataset.wide = root.scrollWidth - root.clientWidth;
}, 4000);
</script></body>"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the report was not looked at"),
]


def opened(text: str, folder: Path, *flags: str, width: int = 1280) -> tuple[str, str]:
    """The document after its scripts ran, and what the browser logged."""
    file = folder / "report.html"
    file.write_text(text.replace("</body>", COUNT), encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            "--v=0",
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={width},2000",
            "--virtual-time-budget=10000",
            *flags,
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, done.stderr


def marks(dom: str) -> dict[str, str]:
    """What the scripts wrote on the root element."""
    head = re.search(r"<html[^>]*>", dom)
    assert head is not None
    return dict(re.findall(r'data-(\w+)="([^"]*)"', head[0]))


def written() -> str:
    return report(
        title="Capacity plan",
        plan=W.PLAN,
        pools=W.POOLS,
        charts=W.CHARTS,
        rows=W.rows(),
        replays=W.replays(),
        generated="A seeded world.",
        violation_target=0.01,
    )


@pytest.mark.parametrize(
    ("flags", "width"),
    [((), 1280), (("--blink-settings=preferredColorScheme=0",), 500)],
    ids=["wide, light", "narrow, dark"],
)
def test_the_report_draws_every_figure_and_errs_nowhere(tmp_path, flags, width):
    """Every figure has its lines or bars, no error is raised, nothing is fetched, nothing overflows."""
    dom, log = opened(written(), tmp_path, *flags, width=width)
    root = marks(dom)
    places = re.findall(r'data-figure="([\w-]+)"', dom)
    assert len(places) == 11
    assert root["drawn"] == "11"
    assert "errors" not in root
    assert root["fetched"] == "0"
    assert int(root["wide"]) <= 0
    assert "Uncaught" not in log
    assert "Refused" not in log
    for place, drawing in zip(places, re.split(r'data-figure="', dom)[1:], strict=True):
        assert 'class="main-svg"' in drawing
        if place == "cost":
            assert drawing.count('class="trace bars"') == 6
        else:
            lines = len(re.findall(r'class="trace scatter', drawing))
            assert lines == (4 if place.startswith("replay") else 2 if place == "fan-7" else 5)
        assert re.search(r'<path class="(js-line|point|js-fill)|class="point"', drawing)


def test_what_the_report_must_not_do_is_blocked_and_noticed(tmp_path):
    """A fetch and an image from elsewhere are refused by the report's own policy, and the check sees it."""
    spoilt = written().replace(
        "</body>",
        '<img src="http://127.0.0.1:9/x.png"><script>fetch("http://127.0.0.1:9/")</script></body>',
        1,
    )
    dom, _ = opened(spoilt, tmp_path)
    assert "blocked img-src http://127.0.0.1:9/x.png" in marks(dom)["errors"]
    assert "blocked connect-src http://127.0.0.1:9/" in marks(dom)["errors"]
