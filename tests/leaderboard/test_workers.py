"""Processes that share the work of building a site."""

import os

import pytest

from leaderboard.workers import Workers


def test_one_worker_is_this_process():
    with Workers() as workers:
        assert not workers.several
        assert workers.submit(os.getpid).result() == os.getpid()
        with pytest.raises(ZeroDivisionError):
            workers.submit(divmod, 1, 0).result()


@pytest.mark.slow
def test_several_are_other_processes_and_end_with_the_block():
    with Workers(2) as workers:
        pid = workers.submit(os.getpid).result()
        assert pid != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
