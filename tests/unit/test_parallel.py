"""One function over many jobs."""

from __future__ import annotations

import math
import os

import pytest

from autoscaler import parallel
from autoscaler.errors import LoadlineError


def test_results_keep_the_order_of_the_jobs_and_progress_is_told():
    """In this process: a result for each job, in their order."""
    told = []
    assert parallel.over(math.factorial, [3, 1, 5], processes=1, on_done=told.append) == [6, 1, 120]
    assert told == [1, 2, 3]
    assert parallel.over(math.factorial, [], processes=4) == []


@pytest.mark.slow
def test_processes_give_the_same_results_and_one_that_dies_is_an_error():
    """Over processes: the same list; a death is one clear error, not a hang."""
    told = []
    assert parallel.over(math.factorial, [3, 1, 5], processes=2, on_done=told.append) == [6, 1, 120]
    assert told == [1, 2, 3]
    with pytest.raises(LoadlineError, match="--jobs 1"):
        parallel.over(os._exit, [1, 1], processes=2)
