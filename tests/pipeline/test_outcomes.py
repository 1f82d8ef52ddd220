"""What became of each span."""

from __future__ import annotations

from pathlib import Path

from pipeline.metadata_store import open_store
from pipeline.rolling.outcomes import SpanOutcome, keep_outcome, read_outcomes


def test_the_last_outcome_of_a_span_is_kept_across_processes(tmp_path: Path):
    file = str(tmp_path / "metadata.sqlite")
    assert read_outcomes(open_store(file)) == {}
    refused = SpanOutcome(outcome="refused", manifest_digest="a", reason="half of it is gone")
    keep_outcome(open_store(file), 3, refused)
    keep_outcome(open_store(file), 12, SpanOutcome(outcome="judged", manifest_digest="b"))
    assert read_outcomes(open_store(file)) == {3: refused, 12: SpanOutcome(outcome="judged", manifest_digest="b")}
    mended = SpanOutcome(outcome="published", manifest_digest="c")
    keep_outcome(open_store(file), 3, mended)
    assert read_outcomes(open_store(file))[3] == mended
