"""Every node's digest of source, against the code that the graph says the node runs."""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tfx.dsl.components.base.base_component import BaseComponent

from pipeline import code_digest as module
from pipeline.code_digest import code_digest
from pipeline.kubeflow.backend import ClusterBackend
from pipeline.kubeflow.backend_rules import read_documents
from pipeline.kubeflow.compiling import compile_pipeline
from pipeline.pipeline import create_pipeline
from pipeline.settings import RunPaths, load_settings

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = ("data", "serving", "trainer_module", "components", "pipeline")
PLACES = RunPaths(data_root="/d", schema_file="/d/schema.pbtxt", pipeline_root="/r", serving="/s")

# Prints, as JSON, the project's modules that are loaded once each group of modules has been imported by itself.
LOADED = """
import importlib, json, os, sys
import tensorflow_data_validation, tensorflow_model_analysis, tensorflow_transform.beam
from tfx import v1
for group in json.loads(sys.argv[1]):
    if os.fork():
        os.wait()
        continue
    for name in group:
        importlib.import_module(name)
    print(json.dumps(sorted(name for name in sys.modules if name.split(".")[0] in sys.argv[2:])), flush=True)
    os._exit(0)
"""


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text in a property with the key that it stands under, JSON in texts taken apart."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, name)
    elif isinstance(value, str):
        try:
            content = json.loads(value)
        except ValueError:
            content = None
        if isinstance(content, dict | list):
            yield from leaves(content, name)
        else:
            yield name, value


def module_in(text: str) -> str | None:
    """Return the project's module that a text names, or names something of."""
    if not re.fullmatch(rf"({'|'.join(ROOMS)})(\.\w+)+", text):
        return None
    parent = text.rpartition(".")[0]
    found = importlib.util.find_spec(parent)
    return text if found is None or found.submodule_search_locations else parent


def modules_run(node: BaseComponent) -> set[str]:
    """Return the project's modules that a node runs: its executor's, its driver's, and those its properties name."""
    classes = [node.executor_spec.class_path, f"{node.driver_class.__module__}.{node.driver_class.__name__}"]
    texts = [text for _, text in leaves(node.exec_properties)]
    return {name for name in map(module_in, [*classes, *texts]) if name is not None}


def digests_in(node: BaseComponent) -> set[str]:
    return {text for name, text in leaves(node.exec_properties) if name == "code_digest"}


def running_ours(nodes: list[Any]) -> dict[str, BaseComponent]:
    """Return, by id, the nodes that run code of the project, without resolvers: these are never cached."""
    return {node.id: node for node in nodes if isinstance(node, BaseComponent) and modules_run(node)}


@pytest.fixture(scope="module")
def local() -> dict[str, BaseComponent]:
    return running_ours(create_pipeline(load_settings("sample"), PLACES).components)


def test_the_graph_names_the_code_that_its_nodes_run(local):
    assert {name: modules_run(node) for name, node in local.items()} == {
        "ExampleGen": {"components.ingestion.example_gen"},
        "StatisticsGen": {"components.statistics.statistics_gen"},
        "DataGate": {"components.data_gate.data_gate"},
        "Transform": {"components.transform.transform", "trainer_module.preprocessing"},
        "Trainer": {"trainer_module.trainer"},
        "Evaluator": {"components.evaluation.retrieval_metrics", "components.evaluation.grouped_extracts"},
        "Audit": {"components.audit.audit"},
        "ServableCheck": {"components.serving_check.servable_check"},
        "Pusher": {"components.publishing.pusher"},
        "RunReport": {"components.report.run_report"},
    }


def test_every_node_has_the_digest_of_all_code_that_it_runs(local):
    without = [name for name, node in local.items() if code_digest(*modules_run(node)) not in digests_in(node)]
    assert without == []


def test_a_clusters_node_has_the_digest_of_its_code_or_is_never_answered_from_the_cache():
    settings = load_settings("sample")
    backend = ClusterBackend(data_root=None, data_digest=None, statistics="/s", former_serving="/f")
    nodes = running_ours(create_pipeline(settings, PLACES, backend).components)
    tasks = read_documents(compile_pipeline(settings, image="registry.example/image:1"))[0]["root"]["dag"]["tasks"]
    cached = {name: node for name, node in nodes.items() if tasks[name]["cachingOptions"].get("enableCache")}
    stale = [name for name, node in cached.items() if code_digest(*modules_run(node)) not in digests_in(node)]
    assert {"Pusher", "StatisticsKeeper"} <= set(nodes) - set(cached)
    assert {"DataGenerator", "ExampleGen", "Trainer", "ServableCheck"} <= set(cached)
    assert stale == []


def once_for_each(function: Callable[..., Iterator[Any]]) -> Callable[..., list[Any]]:
    """Return a function that keeps what another one yields of a tree."""
    return functools.cache(lambda *given: list(function(*given)))


def test_an_edit_of_any_module_that_a_node_loads_changes_its_digest(local, tmp_path, monkeypatch):
    groups = {name: sorted(modules_run(node)) for name, node in local.items()}
    done = subprocess.run(
        [sys.executable, "-c", LOADED, json.dumps(list(groups.values())), *ROOMS],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    loaded = dict(zip(groups, map(json.loads, done.stdout.splitlines()), strict=True))
    assert all(set(groups[name]) < set(loaded[name]) for name in groups)

    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    # Each digest parses all that a node runs, of which one edit changes a single file.
    monkeypatch.setattr(module.ast, "parse", functools.cache(ast.parse))
    for walk in ("_imported", "_needed_beside"):
        monkeypatch.setattr(module, walk, once_for_each(getattr(module, walk)))
    unchanged = []
    for node, names in loaded.items():
        before = code_digest(*groups[node])
        for name in names:
            base = tmp_path.joinpath(*name.split("."))
            source = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
            source.write_text(source.read_text() + "\n# edited\n")
            after = code_digest(*groups[node])
            if after == before:
                unchanged.append((node, name))
            before = after
    assert unchanged == []
