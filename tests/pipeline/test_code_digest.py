"""The digest that tells TFX's cache that code changed."""

from __future__ import annotations

import re
import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline import code_digest as module
from pipeline.code_digest import code_digest
from pipeline.settings import load_settings
from trainer_module.settings import ModelSettings

ROOT = Path(module.__file__).resolve().parent.parent
ROOMS = ("data", "serving", "trainer_module", "components", "pipeline")


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    """Give a copy of the project's code, to be edited at will."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    return tmp_path


def edit(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")


def test_a_copy_of_the_code_has_the_same_digest(tree, monkeypatch):
    copied = code_digest("trainer_module.trainer")
    monkeypatch.undo()
    assert code_digest("trainer_module.trainer") == copied


@pytest.mark.parametrize(
    "edited",
    [
        pytest.param("trainer_module/trainer.py", id="the module itself"),
        pytest.param("trainer_module/model.py", id="what an import imports"),
        pytest.param("data/features.py", id="a name that is a module"),
        pytest.param("trainer_module/__init__.py", id="the package around it"),
        pytest.param("data/releases/catalogue.py", id="another room"),
    ],
)
def test_an_edit_of_anything_imported_changes_it(tree, edited):
    before = code_digest("trainer_module.trainer")
    edit(tree / edited)
    assert code_digest("trainer_module.trainer") != before


@pytest.mark.parametrize("edited", ["components/publishing/pusher.py", "pipeline/runs/summary.py", "data/generate.py"])
def test_an_edit_of_anything_else_does_not(tree, edited):
    before = code_digest("trainer_module.trainer")
    edit(tree / edited)
    assert code_digest("trainer_module.trainer") == before


def test_editing_the_model_leaves_the_vocabularys_code_as_it_was(tree):
    before = code_digest("trainer_module.preprocessing")
    edit(tree / "trainer_module" / "model.py")
    assert code_digest("trainer_module.preprocessing") == before


def test_an_import_within_a_function_counts(tree):
    (tree / "data" / "late.py").write_text("VALUE = 1\n")
    (tree / "components" / "late_user.py").write_text("def use():\n    from data.late import VALUE\n    return VALUE\n")
    before = code_digest("components.late_user")
    edit(tree / "data" / "late.py")
    assert code_digest("components.late_user") != before


def test_a_script_that_a_module_runs_by_its_file_counts_with_what_it_imports(tree):
    (tree / "data" / "behind.py").write_text("VALUE = 1\n")
    (tree / "components" / "script.py").write_text("from data.behind import VALUE\n")
    (tree / "components" / "starter.py").write_text('SCRIPT = Path(__file__).with_name("script.py")\n')
    digests = [code_digest("components.starter")]
    for edited in ("components/script.py", "data/behind.py"):
        edit(tree / edited)
        digests.append(code_digest("components.starter"))
    assert len(set(digests)) == 3


def test_a_file_of_data_that_a_module_names_counts(tree):
    before = code_digest("data.examples.schema")
    edit(tree / "data" / "examples" / "schema.pbtxt")
    assert code_digest("data.examples.schema") != before


def test_the_servable_check_is_digested_with_the_script_that_asks_the_model(tree):
    before = code_digest("components.serving_check.servable_check")
    edit(tree / "components" / "serving_check" / "check_export.py")
    assert code_digest("components.serving_check.servable_check") != before


def test_a_function_or_class_stands_for_its_module_and_so_does_its_dotted_path():
    digest = code_digest("trainer_module.settings")
    assert code_digest(ModelSettings) == code_digest("trainer_module.settings.ModelSettings") == digest
    assert code_digest(load_settings) == code_digest("pipeline.settings") != digest


def test_modules_that_import_each_other_are_no_trouble(tree):
    (tree / "data" / "one.py").write_text("import data.other\n")
    (tree / "data" / "other.py").write_text("import data.one\n")
    assert code_digest("data.one") == code_digest("data.other")


@pytest.mark.parametrize("other", ["trainer_module.nothing", "trainer_module.nothing.run_fn", "json.dumps"])
def test_a_module_that_is_not_the_projects_is_refused(other):
    with pytest.raises(ModuleNotFoundError, match=re.escape(other)):
        code_digest(other)


def test_a_class_of_a_library_is_refused():
    with pytest.raises(ModuleNotFoundError, match=r"^fractions is no module of this project"):
        code_digest(Fraction)
