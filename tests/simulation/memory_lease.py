"""The lease of a file with the file in memory: the same rules, and every look at it may fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from autoscaler.lease import FileLease, Record
from autoscaler.ports import Clock
from tests.simulation.faults import Point, Wire


@dataclass(slots=True)
class Disk:
    """The file that all leases of one machine share."""

    record: Record = field(default_factory=Record)


class MemoryLease(FileLease):
    """A `FileLease` that reads and writes a record in memory through its node's wire."""

    def __init__(self, disk: Disk, wire: Wire, clock: Clock, *, holder: str) -> None:
        """As a file's."""
        super().__init__("memory", clock, holder=holder)
        self._disk, self._wire = disk, wire

    @property
    def generation(self) -> int:
        """That of the present holding as this process believes, 0 where it holds none."""
        return self._mine.generation if self._mine else 0

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        yield True  # only one process runs at a time

    def _read(self) -> Record:
        return self._wire.call(Point.LEASE, lambda: self._disk.record)

    def _write(self, record: Record) -> None:
        def write() -> None:
            self._disk.record = record

        self._wire.call(Point.LEASE, write)
        self._written = record
