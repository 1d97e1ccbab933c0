"""The rows of the store. Moments are ISO 8601 text in UTC, but for the grid of a chunk: epoch seconds."""

from __future__ import annotations

from sqlmodel import Field, SQLModel

# 1: without `memory`; 2: without the chain, people's words, verdicts and generations; 3: without places
SCHEMA_VERSION = 4


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
    """A plan, as its canonical JSON; `generation` is that of the leader who made it, if there was one."""

    __tablename__ = "plan"

    row: int | None = Field(default=None, primary_key=True)
    id: str = Field(index=True)
    made_at: str
    expires_at: str
    body: str
    generation: int | None = None


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
    """An action that is about to be tried, kept as a plan of that one action in canonical JSON.

    `place` is where its target was then: the provider, and the id there; null where that was not known.
    """

    __tablename__ = "intent"

    row: int | None = Field(default=None, primary_key=True)
    plan_id: str = Field(index=True)
    action_id: str = Field(index=True)
    target: str = Field(index=True)
    at: str
    body: str
    generation: int | None = Field(default=None, index=True)
    place: str | None = None


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


class InputsRow(SQLModel, table=True):
    """All that a plan was decided from, packed; see `autoscaler.store.inputs`."""

    __tablename__ = "inputs"

    row: int | None = Field(default=None, primary_key=True)
    plan_row: int = Field(foreign_key="plan.row", index=True)
    packed: bytes


class GenerationRow(SQLModel, table=True):
    """A leader's turn; each has a larger number than the one before."""

    __tablename__ = "generation"

    row: int | None = Field(default=None, primary_key=True)
    number: int


class PoolSeenRow(SQLModel, table=True):
    """When a pool was first seen."""

    __tablename__ = "pool_seen"

    row: int | None = Field(default=None, primary_key=True)
    pool: str = Field(unique=True)
    at: str


class FreezeRow(SQLModel, table=True):
    """A person (or this program) froze something; in force until it is lifted, or `until`.

    `shrinks_only` 1: growth goes on.
    """

    __tablename__ = "freeze"

    row: int | None = Field(default=None, primary_key=True)
    scope: str
    name: str
    why: str
    by: str
    at: str
    until: str | None = None
    shrinks_only: int = 0


class LiftRow(SQLModel, table=True):
    """A person lifted a freeze."""

    __tablename__ = "lift"

    row: int | None = Field(default=None, primary_key=True)
    freeze_row: int = Field(foreign_key="freeze.row", index=True)
    why: str
    by: str
    at: str


class ApprovalRow(SQLModel, table=True):
    """A person's word on an action: `granted` 1 or 0."""

    __tablename__ = "approval"

    row: int | None = Field(default=None, primary_key=True)
    action_id: str = Field(index=True)
    granted: int
    why: str
    by: str
    at: str
    expires_at: str


class ApprovalUseRow(SQLModel, table=True):
    """An approval was used, by the intent with that key; once only."""

    __tablename__ = "approval_use"

    row: int | None = Field(default=None, primary_key=True)
    approval_row: int = Field(foreign_key="approval.row", unique=True)
    key: str


class VerdictRow(SQLModel, table=True):
    """What a later look said of an intent's change; `facts` is JSON. The newest counts."""

    __tablename__ = "verdict"

    row: int | None = Field(default=None, primary_key=True)
    intent_row: int = Field(foreign_key="intent.row", index=True)
    verdict: str
    facts: str
    at: str


class EventRow(SQLModel, table=True):
    """Something that happened beside plans and actions."""

    __tablename__ = "event"

    row: int | None = Field(default=None, primary_key=True)
    kind: str
    pool: str = Field(index=True)
    text: str
    at: str


class LinkRow(SQLModel, table=True):
    """A link of the chain over all rows that are only ever inserted; see `autoscaler.store.chain`."""

    __tablename__ = "link"

    seq: int | None = Field(default=None, primary_key=True)
    of: str
    row: int
    hash: str


CHAINED = (
    *("schema_version", "plan", "proposal", "sighting", "intent", "outcome"),
    *("inputs", "generation", "pool_seen", "freeze", "lift", "approval", "approval_use", "verdict", "event"),
)
INSERT_ONLY = (*CHAINED, "link")
