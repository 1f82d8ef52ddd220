"""The parts of the speed benchmarks that compute: what they measure is nobody's to assert."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness import (
    Cost,
    Measurement,
    Meter,
    costs_from_json,
    costs_to_json,
    describe_data,
    generate_data,
    latency_percentiles,
    markdown_table,
    measure,
    positive_int,
    repeat_data_options,
    total_cost,
)
from benchmarks.quality import comparison, gate, search
from benchmarks.speed import generate, load, pipeline, serve, train
from benchmarks.speed.curves import Point, curve_table, draw_curves
from benchmarks.speed.flops import step_flops
from benchmarks.speed.pipeline import PipelineRun, Target, cost_table, ratio_table, recall_table, targets_of
from benchmarks.speed.serve import answer_rows
from benchmarks.speed.train import step_row
from data.errors import InputError
from data.examples.manifest import DataSizes, Manifest
from trainer_module.settings import ModelSettings

ROOT = Path(__file__).resolve().parents[2]
RECALLS = {"textbook": {"recall@10": 0.1}, "ours": {"recall@10": 0.15}}


def make_run(scale: float = 1.0, *, has_baseline: bool = False) -> PipelineRun:
    """Make a run of five steps; the figures are told apart by their digits."""
    steps = [("ExampleGen", 1), ("StatisticsGen", 2), ("Transform", 3), ("Trainer", 100), ("Evaluator", 20)]
    return PipelineRun(
        process=Cost("process", 150 * scale, 160 * scale, 2048),
        imports=Cost("imports", 20, 21, 900),
        seconds=128 * scale,
        steps=tuple(Cost(name, seconds * scale, 2 * seconds * scale, 1000 + seconds) for name, seconds in steps),
        epochs=(30 * scale, 20 * scale, 10 * scale),
        worked=("Trainer",),
        has_baseline=has_baseline,
    )


def cells(table: str) -> dict[str, list[str]]:
    """Read a Markdown table: the first cell of a row to the others."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {row[0]: row[1:] for row in rows}


COMMANDS = [
    "quality", "gate", "search", "peers.choose", "generate_speed", "pipeline_speed", "train_speed", "serve_speed",
    "scale",
    "load",
]  # fmt: skip
"""As the documentation names them, whatever folder the code lies in."""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_answered_under_the_documented_name_before_anything_large_is_imported(command):
    code = (
        "import runpy, sys\n"
        f"sys.argv[1:] = ['--help']\n"
        f"try: runpy.run_module('benchmarks.{command}', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'tfx', 'tensorflow', 'apache_beam'} & set(sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert said.returncode == 0, said.stderr
    assert f"python -m benchmarks.{command}" in said.stdout


@pytest.mark.parametrize("number", ["0", "-3", "many", "1.5", ""])
@pytest.mark.parametrize(("command", "option"), [(pipeline, "--ratings"), (train, "--steps"), (serve, "--movies")])
def test_a_count_that_is_none_is_refused_with_code_2(command, option, number, capsys):
    with pytest.raises(SystemExit) as end:
        command.main([f"{option}={number}"])
    assert end.value.code == 2
    assert "is no whole number above zero" in capsys.readouterr().err


@pytest.mark.parametrize("command", [pipeline, train])
def test_a_configuration_that_is_not_there_is_refused_with_code_2_and_one_line(command, capsys):
    assert command.main(["--config", "nothing"]) == 2
    assert capsys.readouterr().err.startswith("error: there is no configuration 'nothing'")


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (gate, "--work-dir"),
        (generate, "--source"),
        (load, "--model"),
        (pipeline, "--folder"),
        (comparison, "--work-dir"),
        (search, "--source"),
        (serve, "--model"),
        (train, "--source"),
    ],
)
def test_an_empty_path_is_refused_and_a_tilde_needs_a_home(command, option, capsys):
    for path in ("", "~no-such-user-here/x"):
        with pytest.raises(SystemExit) as refused:
            command.main([option, path])
        assert refused.value.code == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert f"argument {option}" in said
        assert ("the path is empty" in said) == (path == "")


def test_a_folder_without_a_published_model_is_refused_with_code_2_and_one_line(tmp_path, capsys):
    assert serve.main(["--model", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds no published model" in line


def test_a_count_is_read():
    assert positive_int("4000") == 4000


def test_a_folder_that_is_in_use_is_not_measured_in(tmp_path):
    (tmp_path / "something").touch()
    with pytest.raises(InputError, match="is not empty"):
        generate_data(argparse.Namespace(source=None, release="ml-1m"), None, tmp_path)


def test_a_part_gets_the_configuration_wherever_it_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").touch()
    options = argparse.Namespace(release="ml-100k", source=Path("u"), config="mine.yaml")
    assert repeat_data_options(options) == ["--release", "ml-100k", "--config", str(tmp_path / "mine.yaml")]
    options.config = "tutorial"
    assert repeat_data_options(options)[-1] == "tutorial"


def test_synthetic_ratings_are_called_so():
    counts = DataSizes(train=9000, eval=1000, ratings=12345, users=70, movies=300)
    manifest = Manifest.model_construct(release="ml-1m", counts=counts)
    options = argparse.Namespace(source=None, release="ml-1m")
    assert describe_data(options, manifest) == "12,345 synthetic ratings, 9,000 train and 1,000 eval examples"
    options.source = Path("ml-1m.zip")
    assert describe_data(options, manifest).startswith("12,345 ratings of ml-1m, ")


def test_percentiles_are_interpolated_between_latencies():
    # Of 0..100, the pth percentile is p.
    assert latency_percentiles(list(range(101))) == pytest.approx((50, 95, 99))
    assert latency_percentiles([7.0]) == (7.0, 7.0, 7.0)


def test_a_table_has_a_line_for_each_row():
    assert markdown_table(["a", "b"], [["x", 1], ["y", 2]]).splitlines() == [
        "| a | b |",
        "| --- | ---: |",
        "| x | 1 |",
        "| y | 2 |",
    ]


def test_costs_add_up_and_the_peak_is_the_highest():
    total = total_cost("both", [Cost("a", 1, 2, 300), Cost("b", 10, 20, 200)])
    assert total == Cost("both", 11, 22, 300)
    assert total_cost("none", []) == Cost("none", 0, 0, 0)


def test_costs_survive_the_way_between_processes():
    costs = [Cost("a", 1.5, 2.5, 300.25)]
    assert costs_from_json(costs_to_json(costs)) == costs


def test_a_meter_takes_parts_in_their_order():
    with Meter() as meter:
        with meter.part("first"):
            pass
        with meter.part("second"):
            held = bytearray(64 * 2**20)
            held[:: 2**10] = b"x" * len(held[:: 2**10])
    first, second = meter.costs
    assert (first.name, second.name) == ("first", "second")
    assert second.peak_mib > first.peak_mib
    assert min(first.seconds, first.cpu_seconds, second.cpu_seconds) >= 0


def test_the_last_line_of_a_process_is_its_result():
    assert Measurement(1, 1, 1, 'noise\n{"found": 3}\n').result == {"found": 3}


def test_a_process_that_fails_is_told_with_its_last_words():
    with pytest.raises(
        RuntimeError, match=r"benchmarks.train_speed failed with code 2: (?s:.*)unrecognized arguments: --no"
    ):
        measure("benchmarks.train_speed", "--no")


def test_the_steps_up_to_transform_are_added_up():
    assert make_run().data_steps == Cost("first step to Transform", 6, 12, 1003)


def test_a_cost_table_names_imports_steps_and_sums():
    table = cells(cost_table("ours", make_run()))
    assert list(table)[:2] == ["imports", "ExampleGen"]
    assert table["Trainer"] == ["100.0", "200.0", "1100"]
    assert table["all steps"] == ["126.0", "252.0", "1100"]
    assert table["process"] == ["150.0", "160.0", "2048"]


def test_ratios_say_how_many_times_faster_ours_is():
    table = cells(ratio_table(make_run(4), make_run()))
    assert table["first step to Transform"] == ["24.0", "6.0", "4.0"]
    assert table["first epoch"] == ["120.0", "30.0", "4.0"]
    assert table["median epoch"] == ["80.0", "20.0", "4.0"]
    assert table["Trainer outside its epochs"] == ["160.0", "40.0", "4.0"]
    assert table["all after the imports"] == ["512.0", "128.0", "4.0"]


def test_a_recall_table_has_a_column_for_each_kind():
    assert cells(recall_table(RECALLS)) == {"textbook": ["0.1000"], "ours": ["0.1500"]}


def test_figures_are_held_against_their_targets():
    judged = make_run(0.5, has_baseline=True)
    targets = targets_of(make_run(4.5), make_run(), judged, make_run(0.01), RECALLS)
    assert {target.name: target.met for target in targets} == {
        "ExampleGen to Transform": False,
        "median epoch": False,
        "Evaluator with a baseline, CPU": True,
        "whole pipeline, cold, imports included": True,
        "peak memory": True,
        "cached rerun after the imports": True,
        "recall@10, times the textbook's": True,
    }


def test_without_a_baseline_nothing_is_said_of_judging_with_one():
    targets = targets_of(make_run(), make_run(), make_run(), make_run(), RECALLS)
    (judging,) = [target for target in targets if target.name.startswith("Evaluator")]
    assert judging.row == ["Evaluator with a baseline, CPU", "< 60 s", "not measured", ""]


def test_a_target_is_met_from_its_own_value_on_or_below_it():
    assert Target("faster", 5, 5.0, unit="x").row == ["faster", ">= 5x", "5.00x", "yes"]
    assert Target("quick", 5, 5.0, at_least=False, unit=" s").row == ["quick", "< 5 s", "5.00 s", "no"]


def test_a_step_is_told_with_what_input_adds():
    result = {"batch": 1024, "seconds_alone": 0.03, "seconds_with_input": 0.04, "flops": 5.67e9, "peak_mib": 700.4}
    assert step_row("ours", result) == ["ours", "1,024", "30", "40", "25.0%", "25,600", "5.7", "700"]


def test_a_step_of_windows_counts_what_the_gru_reads_and_all_candidates():
    model = ModelSettings(embedding_dim=2, gru_units=3, gru_reads=4)
    batch = np.zeros((5, 10), np.int32), np.ones(5, np.int32)
    # Forward: 5 windows of 4 movies by (2 + 3) x 9 entries, 5 states by 3 x 2, 5 queries by 8 candidates of 2 + 1.
    products = 5 * 4 * 45 + 5 * 6 + 5 * 8 * 3
    assert step_flops(model, 7, batch) == 3 * 2 * products
    # Softmax over the batch's own labels, without a bias.
    other = model.model_copy(update={"loss": "in_batch", "item_bias": False})
    assert step_flops(other, 7, batch) == 3 * 2 * (5 * 4 * 45 + 5 * 6 + 5 * 5 * 2)


def test_a_step_of_chunks_counts_each_place_once_and_labels_alone():
    is_label = np.zeros((2, 9), bool)
    is_label[0, 3:6] = True
    # The state behind the last place is never asked for; without a width of its own the state needs no product.
    products = 2 * 8 * 3 * 2 * (2 + 2) + 3 * 8 * 3
    batch = (np.ones((2, 9), np.int32), is_label)
    # What was watched before is compared, not multiplied.
    for more in ((), (np.zeros((2, 8), np.int32),)):
        assert step_flops(ModelSettings(embedding_dim=2), 7, (*batch, *more)) == 3 * 2 * products


def test_time_to_quality_is_told_against_the_best_end():
    curves = {
        "slow": [Point(1, 2, 0, 0.0, 0.0), Point(30, 40, 1, 0.16, 0.4), Point(60, 80, 2, 0.2, 0.5)],
        "fast": [Point(1, 2, 0, 0.0, 0.0), Point(5, 7, 1, 0.181, 0.45), Point(8, 11, 2, 0.191, 0.49)],
    }
    assert cells(curve_table(curves)) == {
        "slow": ["2", "60.0", "80.0", "0.2000", "0.5000", "80.0", "80.0", "80.0"],
        "fast": ["2", "8.0", "11.0", "0.1910", "0.4900", "7.0", "11.0", "never"],
    }


def test_curves_are_drawn_with_their_names(tmp_path):
    draw_curves({"one": [Point(1, 1, 0, 0.1, 0.2), Point(2, 3, 1, 0.2, 0.3)]}, tmp_path / "pictures" / "curves.svg")
    text = (tmp_path / "pictures" / "curves.svg").read_text(encoding="utf-8")
    assert text.startswith("<svg")
    assert "seconds of fitting" in text
    assert ">one<" in text


def test_answers_are_told_by_batch_with_queries_a_second():
    result = {
        "movies": 4000,
        "load_seconds": 1.25,
        "milliseconds": {"1": [1.0] * 10, "64 filtered": [16.0, 16.0]},
        "histories_a_second": 9999.6,
    }
    assert answer_rows(result, 656.2) == [
        ["4,000 movies, batch 1", "1.0", "1.0", "1.0", "1,000", "1.2", "656"],
        ["4,000 movies, batch 64, filtered", "16.0", "16.0", "16.0", "4,000", "1.2", "656"],
        ["4,000 movies, a file of histories", "", "", "", "10,000", "", "656"],
    ]


def test_the_files_whose_growth_is_measured_hold_the_same_ratings_in_every_format(tmp_path):
    from benchmarks.speed import scale

    scale.write_files(tmp_path, 60_000, scale.FORMATS)
    (tmp_path / "out").mkdir()
    made = {name: scale._generate(name, tmp_path, tmp_path / "out" / name) for name in scale.FORMATS}
    assert len({cost["ratings"] for cost in made.values()}) == 1
    shards = {name: Manifest.load(tmp_path / "out" / name).counts.train for name in scale.FORMATS}
    assert len(set(shards.values())) == 1


GROWN = {
    "Transform": [
        {"ratings": 1_000, "seconds": 2.0, "cpu_seconds": 1.0, "peak_mib": 100.0},
        {"ratings": 100_000, "seconds": 20.0, "cpu_seconds": 100.0, "peak_mib": 1000.0},
    ]
}


def test_growth_is_told_by_size_and_as_a_power():
    from benchmarks.speed import scale

    assert scale.growth_table(GROWN).splitlines()[2:] == [
        "| 1,000 | Transform | 2.0 | 1.0 | 100 |",
        "| 100,000 | Transform | 20.0 | 100.0 | 1000 |",
    ]
    # Ten times the seconds and memory and a hundred times the CPU at a hundred times the ratings.
    assert cells(scale.exponent_table(GROWN)) == {"Transform": ["0.50", "1.00", "0.50"]}
