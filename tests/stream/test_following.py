"""How a stream ends, without Spark: what is under way is finished, and nothing else is begun."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from pyspark.errors import StreamingQueryException

from fusionspark.errors import DataContractError
from fusionspark.stream.streaming import _follow, _Gate, _on_signals, _StoppingError


class Scorer:
    """Notes the batches that it is given; the one in ``fails`` fails."""

    def __init__(self, fails: int | None = None) -> None:
        self.taken: list[int] = []
        self.fails = fails
        self.under_way, self.go_on = threading.Event(), threading.Event()

    def take(self, rows: object, batch_id: int) -> None:
        self.under_way.set()
        if batch_id == self.fails:
            raise DataContractError("stream 'x'", "cannot be read")
        assert self.go_on.wait(10)
        self.taken.append(batch_id)


class Query:
    """A query that never ends by itself, or ends with ``error``."""

    def __init__(self, scorer: Scorer, error: Exception | None = None) -> None:
        self.scorer, self.error = scorer, error
        self.isActive = True
        self.taken_at_stop: list[int] | None = None

    def awaitTermination(self, timeout: float) -> bool:
        if self.error is not None:
            self.isActive = False
            raise self.error
        return False

    def stop(self) -> None:
        self.taken_at_stop = list(self.scorer.taken)
        self.isActive = False


def test_a_batch_under_way_is_finished_before_the_query_stops_and_no_other_is_begun():
    scorer = Scorer()
    gate, query = _Gate(scorer), Query(scorer)
    batch = threading.Thread(target=gate.take, args=(None, 7))
    batch.start()
    assert scorer.under_way.wait(10)
    gate.shut.set()
    following = threading.Thread(target=_follow, args=(query, gate))
    following.start()
    following.join(0.2)
    assert following.is_alive() and query.isActive
    scorer.go_on.set()
    following.join(10)
    assert query.taken_at_stop == [7]
    # To return would tell Spark that the batch is done.
    with pytest.raises(_StoppingError):
        gate.take(None, 8)
    assert scorer.taken == [7] and gate.failure is None


def test_the_error_of_a_batch_comes_out_as_it_was():
    scorer = Scorer(fails=3)
    gate = _Gate(scorer)
    with pytest.raises(DataContractError):
        gate.take(None, 3)
    with pytest.raises(DataContractError, match="cannot be read"):
        _follow(Query(scorer, StreamingQueryException("Spark's words")), gate)


def test_an_error_of_spark_itself_comes_out_unless_the_stop_was_asked_for():
    scorer = Scorer()
    gate, query = _Gate(scorer), Query(scorer, StreamingQueryException("Spark's words"))
    with pytest.raises(StreamingQueryException):
        _follow(query, gate)
    gate.shut.set()
    _follow(query, gate)


def test_signals_ask_for_a_stop_while_the_block_lasts():
    before = signal.getsignal(signal.SIGTERM)
    asked = threading.Event()
    with _on_signals(asked):
        assert not asked.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.wait(5)
    assert signal.getsignal(signal.SIGTERM) is before
