"""The rows of the store. Moments are ISO 8601 text in UTC, but for the grid of a chunk: epoch seconds."""

from __future__ import annotations

from sqlmodel import Field, SQLModel

SCHEMA_VERSION = 2  # 1: without `memory`


class SchemaRow(SQLModel, table=True):
    """One row: the version of this schema, and a random name that tells this store from others."""

    __tablename__ = "schema_version"

    version: int = Field(primary_key=True)
    identity: str


class ChunkRow(SQLModel, table=True):
    """A run of steps of one series, packed by `codec`. Where chunks overlap, the later row wins."""

    __tablename__ = "chunk"

    id: int | None = Field(default=None, primary_key=True)
    unique_id: str = Field(index=True)
    start: int
    step_s: int
    steps: int
    codec: str
    values: bytes


class MemoryRow(SQLModel, table=True):
    """What a scaler has learnt of a pool: `shape` describes the arrays in `packed`, `checksum` is their CRC.

    `of` names what it depends on; it has seen `steps` of `step_s` seconds from `start` on. `facts` is JSON:
    what was chosen, as of `told_at`. The newest replaces the one before.
    """

    __tablename__ = "memory"

    pool: str = Field(primary_key=True)
    of: str
    start: int
    step_s: int
    steps: int
    shape: str
    packed: bytes
    checksum: int
    told_at: str
    facts: str


class PlanRow(SQLModel, table=True):
    """A plan, as its canonical JSON."""

    __tablename__ = "plan"

    row: int | None = Field(default=None, primary_key=True)
    id: str = Field(index=True)
    made_at: str
    expires_at: str
    body: str


class ProposalRow(SQLModel, table=True):
    """An action of a plan, to be found by its id and by its pool; `guard` is empty if it is not held."""

    __tablename__ = "proposal"

    row: int | None = Field(default=None, primary_key=True)
    plan_row: int = Field(foreign_key="plan.row", index=True)
    position: int
    action_id: str = Field(index=True)
    target: str = Field(index=True)
    guard: str = ""


class SightingRow(SQLModel, table=True):
    """The same plan was made again."""

    __tablename__ = "sighting"

    row: int | None = Field(default=None, primary_key=True)
    plan_row: int = Field(foreign_key="plan.row", index=True)
    made_at: str
    expires_at: str


class IntentRow(SQLModel, table=True):
    """An action that is about to be tried, kept as a plan of that one action in canonical JSON."""

    __tablename__ = "intent"

    row: int | None = Field(default=None, primary_key=True)
    plan_id: str = Field(index=True)
    action_id: str = Field(index=True)
    target: str = Field(index=True)
    at: str
    body: str


class OutcomeRow(SQLModel, table=True):
    """What became of an intent; the change that was really made stands in the last four, if there was one."""

    __tablename__ = "outcome"

    row: int | None = Field(default=None, primary_key=True)
    intent_row: int = Field(foreign_key="intent.row", index=True)
    status: str
    at: str
    observed_after: int | None = None
    error: str = ""
    changed_target: str | None = None
    changed_at: str | None = Field(default=None, index=True)
    changed_before: int | None = None
    changed_after: int | None = None


INSERT_ONLY = ("schema_version", "plan", "proposal", "sighting", "intent", "outcome")
