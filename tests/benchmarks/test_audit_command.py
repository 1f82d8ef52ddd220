"""The command that lays the audit's figures of several splits side by side."""

from __future__ import annotations

import re

import pytest

from benchmarks.quality.audit import main


@pytest.mark.slow
def test_the_command_prints_the_figures_of_the_runs_it_made(sample_run, capsys):
    with sample_run.put_back():
        asked = ["--release", "sample", "--splits", "random", "--work-dir", str(sample_run.work_dir)]
        assert main([*asked, "--set", "audit.min_moved_by_last=1"]) == 0
    printed = capsys.readouterr()
    rows = dict(re.findall(r"^\| (.+?) \| (.*?) \|$", printed.out, re.MULTILINE))
    audit = sample_run.record.audit
    assert rows["figure"] == "random"
    assert rows["data eval examples"] == f"{audit.data.eval.examples:,}"
    assert rows["data eval_in_train_share"] == f"{audit.data.eval_in_train_share:.4f}"
    assert rows["answers moved_by_order"] == f"{audit.behaviour.moved_by_order:.4f}"
    assert rows["answers genres own"] == f"{audit.behaviour.genres.own:.4f}"
    assert "\nrandom: another last movie changes " in printed.out
    assert "published: " in printed.err


def test_an_unknown_split_is_refused_before_anything_runs(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--release", "sample", "--splits", "holdout", "--work-dir", str(tmp_path / "runs")])
    assert "--splits" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
