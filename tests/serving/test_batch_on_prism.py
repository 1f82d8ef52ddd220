"""Batch answers on Prism, Beam's own runner in Go."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from beam_servers import ROOT, built
from synthetic_model import export_untrained_model

import recommend

pytestmark = [pytest.mark.engines, pytest.mark.slow]


@pytest.mark.parametrize("engine", ["prism", "later-prism"])
def test_prism_gives_the_same_answers(tmp_path: Path, engine: str) -> None:
    program = built(engine)
    model = export_untrained_model(tmp_path / "model" / "1", num_movies=400)
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps([1 + user % 400, 1 + user // 20]) + "\n" for user in range(4_500)))
    asked = ["--model", str(model), "--batch", str(source), "--output"]

    assert recommend.main([*asked, str(tmp_path / "here")]) == 0
    on_prism = ["--beam-arg=--runner=PrismRunner", f"--beam-arg=--prism_location={program}"]
    # In a process of its own, as outside the tests: threads of earlier jobs on Prism stay in this one.
    command = [sys.executable, str(ROOT / "recommend.py"), *asked, str(tmp_path / "there"), *on_prism]
    assert subprocess.run(command, check=False, timeout=300).returncode == 0

    assert (tmp_path / "there").read_bytes() == (tmp_path / "here").read_bytes()
