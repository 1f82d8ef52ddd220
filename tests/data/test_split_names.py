"""A split's name is known to its strategy alone: nobody else asks for it, and it is spelt in one place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.examples.manifest import Manifest
from data.generate import run
from data.options import GenerateOptions
from data.splits import SPLIT_CHOICES, SPLIT_NAMES, STRATEGIES, spelt

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = {
    spelling
    for name in ("random", "leave_one_out", "temporal", "global_time", "global_time_last")
    for spelling in (name, name.replace("_", "-"))
}


def product_code(pattern: str) -> list[Path]:
    rooms = ("data", "serving", "trainer_module", "components", "pipeline", "benchmarks", "tools")
    files = [*ROOT.glob(pattern), *(path for room in rooms for path in (ROOT / room).rglob(pattern))]
    return [path for path in files if ROOT / "data" / "splits" not in path.parents]


def asked_for(source: str) -> Iterator[int]:
    """Yield the lines of a source that compare something with a split's name, match it, or look it up."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            asked = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            asked = [node.value]
        elif isinstance(node, ast.Dict):
            asked = [key for key in node.keys if key is not None]
        else:
            continue
        constants = (part for each in asked for part in ast.walk(each) if isinstance(part, ast.Constant))
        if any(constant.value in NAMES for constant in constants if isinstance(constant.value, str)):
            yield node.lineno


@pytest.mark.parametrize(
    "source",
    [
        "split == 'temporal'",
        "'leave-one-out' != options.split",
        "split in ('random', 'temporal')",
        "match split:\n  case 'leave_one_out': pass",
        "{'random': 1}[split]",
    ],
)
def test_the_sweep_finds_each_way_to_ask_for_a_name(source: str):
    assert len(list(asked_for(source))) == 1


def test_nobody_but_the_strategies_asks_for_a_splits_name():
    found = [
        f"{path.relative_to(ROOT)}:{line}" for path in product_code("*.py") for line in asked_for(path.read_text())
    ]
    assert found == []
    templates = [
        path.name for path in product_code("*.html") if re.search(rf"['\"]({'|'.join(NAMES)})['\"]", path.read_text())
    ]
    assert templates == []


def test_nobody_but_the_strategies_turns_dashes_of_a_splits_name():
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for pattern in ("*.py", "*.html")
        for path in product_code(pattern)
        for line in path.read_text().splitlines()
        if re.search(r"\bsplit\s*(\.\s*|\|\s*)replace\(", line)
    ]
    assert found == []


def test_names_are_kept_with_underscores_and_spelt_for_people_with_dashes():
    assert SPLIT_NAMES == ("random", "leave_one_out", "temporal", "global_time", "global_time_last")
    assert SPLIT_CHOICES == "random, leave-one-out, temporal, global-time or global-time-last"
    assert [spelt(name) for name in SPLIT_NAMES[1:3]] == ["leave-one-out", "temporal"]


@pytest.mark.parametrize("name", SPLIT_NAMES)
def test_either_spelling_is_read_and_one_is_written(name: str):
    either = [GenerateOptions(release="sample", split=spelling) for spelling in (name, spelt(name))]
    assert either[0] == either[1]
    assert either[0].model_dump(mode="json")["split"] == name
    assert type(either[0].strategy) is STRATEGIES[name]


def test_the_generator_takes_either_spelling_and_its_manifest_reads_either(tmp_path: Path):
    folders = [tmp_path / spelling for spelling in ("leave-one-out", "leave_one_out")]
    for folder in folders:
        assert run(["--release", "sample", "--split", folder.name, "--output", str(folder)]) == 0
    texts = [(folder / "manifest.json").read_text() for folder in folders]
    assert texts[0] == texts[1]
    assert texts[0].count('"split": "leave_one_out"') == 2, "in the options, and of its own"
    manifest = Manifest.load(folders[0])
    assert Manifest.parse(texts[0].replace("leave_one_out", "leave-one-out").encode(), "here") == manifest


def test_help_has_a_sentence_about_every_split(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        run(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    for name, strategy in STRATEGIES.items():
        assert f"{spelt(name)}: {strategy.summary}" in told
