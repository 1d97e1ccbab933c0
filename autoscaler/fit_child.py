"""The short-lived process that fits: `python -m autoscaler.fit_child LIFETIME`.

statsforecast costs seconds and hundreds of megabytes to import, and a fit may hang or take the process
with it; so fits happen here, and the parent keeps what is done. A frame is one line of JSON and the bytes
of one float64 array. In: `{model, levels, seasons, horizon, size}` and y; out: `{shape}` and quantiles,
or `{error}`. The first frame out is `{"ready": true}` once the models named by the first frame in,
`{"load": [...]}`, are imported. After LIFETIME seconds the kernel ends the process, whatever it does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from forecasts.models import load

if TYPE_CHECKING:
    from numpy.typing import NDArray


def write(stream: IO[bytes], header: dict[str, Any], array: NDArray[np.float64] | None = None) -> None:
    """One frame. OSError where the other side is gone."""
    body = b"" if array is None else np.ascontiguousarray(array, dtype="<f8").tobytes()
    stream.write(json.dumps({**header, "bytes": len(body)}).encode() + b"\n" + body)
    stream.flush()


def _answer(header: dict[str, Any], body: bytes, out: IO[bytes]) -> None:
    """Fit one series; whatever a library raises is that series' answer and nobody else's."""
    y = np.frombuffer(body, dtype="<f8").astype(np.float64)
    try:
        values = load(header["model"]).fit_predict(
            [y], header["horizon"], header["levels"], seasons=header["seasons"]
        )[0]
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError, RuntimeError) as error:
        words = " ".join(str(error).split())[:200]
        write(out, {"error": words or type(error).__name__})
        return
    write(out, {"shape": list(values.shape)}, values)


def main() -> None:
    """Answer frame after frame until the parent closes the pipe."""
    # The default action of the alarm ends the process even inside C code that never returns: no fit
    # outlives a parent that was killed.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(sys.argv[1]))
    # Libraries may print; what they print must not be taken for frames.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while line := sys.stdin.buffer.readline():
        header = json.loads(line)
        body = sys.stdin.buffer.read(header["bytes"])
        if "load" in header:
            for name in header["load"]:
                load(name)
            write(out, {"ready": True})
        else:
            _answer(header, body, out)


if __name__ == "__main__":
    main()
