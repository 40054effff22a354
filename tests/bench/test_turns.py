"""Two ways of doing the same work take turns."""

from suite.bench import turns


def test_each_pair_is_the_subject_over_the_peer_whoever_goes_first(monkeypatch):
    clock = 0.0

    def work(takes: float):
        def run() -> None:
            nonlocal clock
            clock += takes
            ran.append(takes)

        return run

    ran: list[float] = []
    monkeypatch.setattr(turns.time, "perf_counter", lambda: clock)
    assert turns.ratios(work(3.0), work(2.0), blocks=4) == [1.5] * 4
    assert ran == [2.0, 3.0, 3.0, 2.0, 2.0, 3.0, 3.0, 2.0, 2.0, 3.0]
