"""The pages: which path answers what. Only GET and HEAD, all from the board, none with a lock."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Protocol, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from autoscaler.web import exposition
from autoscaler.web.board import Board, Latest, Standing
from policies.model import iso, plain

STUCK_S = 900.0  # a loop that stood still for so long is taken for dead
NO_PLAN = "no plan was made yet: the first tick works still, or another process leads"
STANDS_BY = "this process does not lead any more; ask the one that does"
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Loop(Protocol):
    """What is asked of the daemon: whether it leads, and when its loop last went on (monotonic, s)."""

    leads: bool
    went_on_s: float


class Site:
    """Answers from the latest board, as of each request."""

    def __init__(self, latest: Latest, loop: Loop, *, version: str) -> None:
        """`version` is that of the program."""
        self._latest, self._loop = latest, loop
        self._build = exposition.build_info(version)
        self._written: tuple[Board | None, dict[Callable[[Board], bytes], bytes]] = (None, {})

    def application(self) -> Starlette:
        """What the server runs. A pool's name may hold slashes; its last word tells what is asked."""
        site = Starlette(
            routes=[
                Route("/metrics", self.metrics),
                Route("/api/v1/pools", self.pools),
                Route("/api/v1/pools/{name:path}/recommendation", self.recommendation),
                Route("/livez", self.livez),
                Route("/readyz", self.readyz),
            ],
            exception_handlers={HTTPException: _refused},
        )
        site.router.redirect_slashes = False  # a path that there is not is not there
        return site

    async def metrics(self, _request: Request) -> Response:
        """Prometheus text; of a plan that expired, or is another process's by now, only its age."""
        board = self._latest.board
        text = self._build
        if board is not None:
            text += exposition.of_age(board, self._latest.clock.monotonic())
        body = text.encode()
        if board is not None and not self._refusal(board):
            body += self._once(board, _metrics)
        return Response(body, headers=_HEADERS | {"content-type": exposition.CONTENT_TYPE})

    async def pools(self, _request: Request) -> Response:
        """Every pool's recommendation, and why there is none for some; 503 without a fresh plan."""
        board = self._latest.board
        refusal = self._refusal(board)
        if board is None or refusal:
            return _json({"error": refusal}, status=503)
        return Response(self._once(board, _list), headers=_HEADERS, media_type="application/json")

    async def recommendation(self, request: Request) -> Response:
        """One pool's: 404 where there is no such pool, 503 with the reason where it has none now."""
        name, board = request.path_params["name"], self._latest.board
        refusal = self._refusal(board)
        if board is None or refusal:
            return _json({"error": refusal, "pool": name}, status=503)
        standing = board.standings.get(name)
        if standing is None and name not in board.unseen:
            return _json({"error": "no such pool", "pool": name}, status=404)
        if standing is None:
            return _json({"error": f"not seen: {board.unseen[name]}", "pool": name}, status=503)
        if standing.recommended is None:
            return _json({"error": f"no recommendation: {standing.why}", "pool": name}, status=503)
        return _json(_shown(standing, _times(board)))

    async def livez(self, _request: Request) -> Response:
        """Whether the loop goes on, leading or standing by."""
        still = self._latest.clock.monotonic() - self._loop.went_on_s
        if still >= STUCK_S:
            return _word(f"the loop has stood still for {still:.0f} s", status=503)
        return _word("ok")

    async def readyz(self, _request: Request) -> Response:
        """Whether there are fresh recommendations to serve."""
        refusal = self._refusal(self._latest.board)
        return _word(refusal, status=503) if refusal else _word("ok")

    def _refusal(self, board: Board | None) -> str:
        """Why nothing of the board may be served, "" where all may."""
        if board is None:
            return NO_PLAN
        if not self._loop.leads:
            return STANDS_BY
        return board.late(self._latest.clock.now(), self._latest.clock.monotonic())

    def _once(self, board: Board, write: Callable[[Board], bytes]) -> bytes:
        """What is long is written once for each board: a few milliseconds for 1,000 pools."""
        if self._written[0] is not board:
            self._written = (board, {})
        texts = self._written[1]
        if write not in texts:
            texts[write] = write(board)
        return texts[write]


def _metrics(board: Board) -> bytes:
    return exposition.of_pools(board).encode()


def _list(board: Board) -> bytes:
    times = _times(board)
    return _text(
        {
            "plan": board.plan,
            **times,
            "complete": board.complete,
            "pools": [_shown(one, times) for one in board.standings.values()],
            "unseen": [{"pool": name, "why": why} for name, why in board.unseen.items()],
        }
    )


def _times(board: Board) -> dict[str, str]:
    return {"made_at": iso(board.made_at), "expires_at": iso(board.expires_at)}


def _shown(standing: Standing, times: dict[str, str]) -> dict[str, object]:
    shown: dict[str, object] = {
        "pool": standing.pool,
        "recommended": standing.recommended,
        "desired": standing.desired,
        "ready": standing.ready,
        "lever": standing.lever,
        **times,
        "held": plain(standing.held),
    }
    return shown | {"why": standing.why} if standing.why else shown


def _text(content: dict[str, object]) -> bytes:
    """ASCII, so that text which is no Unicode has a shape too."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def _json(
    content: dict[str, object], *, status: int = 200, headers: Mapping[str, str] = _HEADERS
) -> Response:
    return Response(_text(content), status, headers, "application/json")


def _word(text: str, *, status: int = 200) -> Response:
    return PlainTextResponse(text + "\n", status_code=status, headers=_HEADERS)


async def _refused(_request: Request, error: Exception) -> Response:
    """Of paths and methods that there are not."""
    known = cast("HTTPException", error)  # the only kind that comes here
    headers = _HEADERS | dict(known.headers or {})
    return _json({"error": known.detail}, status=known.status_code, headers=headers)
