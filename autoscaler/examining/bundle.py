"""The bundle for those who help: what doctor says, the configuration without secrets, versions, last plans.

No log, no history of metrics and no raw file is in it.
"""

from __future__ import annotations

import io
import json
import os
import platform
import sqlite3
import tarfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscaler.errors import UsageError
from autoscaler.examining.hiding import Secrets, described

if TYPE_CHECKING:
    from autoscaler.config import Configuration
    from autoscaler.examining.report import Report

FOLDER = "loadline-bundle"
_DISTRIBUTIONS = (
    "loadline", "boto3", "botocore", "click", "google-cloud-compute", "google-cloud-monitoring", "kubernetes",
    "numpy", "pandas", "pyarrow", "pydantic", "rich", "scipy", "SQLAlchemy", "sqlmodel", "statsforecast",
    "urllib3",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Of the program, Python, the machine's system, SQLite, and the libraries that are installed."""
    found = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "sqlite": sqlite3.sqlite_version,
    }
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def documents(
    report: Report, configuration: Configuration | None, plans: Sequence[str], secrets: Secrets
) -> dict[str, Any]:
    """The bundle's files by name, each a JSON value without secrets."""
    found: dict[str, Any] = {"doctor.json": report.document(), "versions.json": versions()}
    if configuration is not None:
        found["configuration.json"] = described(configuration)
    for number, body in enumerate(plans, 1):
        found[f"plans/{number}.json"] = json.loads(body)
    return {name: secrets.hide_all(value) for name, value in found.items()}


def write(path: str, files: Mapping[str, Any], *, at_s: int) -> None:
    """Write the bundle, for its owner alone to read; UsageError where there is something already.

    `at_s` is the time that its files bear, in seconds since 1970 UTC.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(f"--bundle {path}: is there already; name a new file") from None
    except OSError as error:
        raise UsageError(f"--bundle {path}: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, value in sorted(files.items()):
                body = json.dumps(value, indent=2, sort_keys=False).encode()
                entry = tarfile.TarInfo(f"{FOLDER}/{name}")
                entry.size, entry.mtime, entry.mode = len(body), at_s, 0o600
                archive.addfile(entry, io.BytesIO(body))
    except OSError as error:
        Path(path).unlink(missing_ok=True)
        raise UsageError(f"--bundle {path}: {error.strerror}") from None
