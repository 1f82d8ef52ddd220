"""Any settings, manifests, catalogues and publications: used, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from data.examples.manifest import MANIFEST_FILE, Manifest
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from data.releases.sample import write_sample_release
from pipeline.settings import Settings, load_settings
from serving.versions import PUBLICATION_FILE, published_versions, read_publication

GOOD = Settings.model_validate({"name": "default", "data": {"release": "sample"}}).model_dump(mode="json")

plain = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["stop", "sample"])
)
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3))
groups = st.sampled_from(sorted(GOOD))


def expect_result_or_input_error(read) -> None:
    try:
        read()
    except InputError as error:
        assert len(str(error).splitlines()) == 1
        assert str(error)


@given(content=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_as_settings_are_settings_or_refused(tmp_path: Path, content: bytes):
    file = tmp_path / "any.yaml"
    file.write_bytes(content)
    expect_result_or_input_error(lambda: load_settings(str(file), {"release": "sample"}))


@given(data=st.data())
def test_settings_with_a_value_of_any_type_are_settings_or_refused(tmp_path: Path, data):
    settings = json.loads(json.dumps(GOOD))
    group = data.draw(groups)
    if isinstance(settings[group], dict) and data.draw(st.booleans()):
        settings[group][data.draw(st.sampled_from(sorted(settings[group])))] = data.draw(values)
    else:
        settings[group] = data.draw(values)
    file = tmp_path / "wrong.yaml"
    file.write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    expect_result_or_input_error(lambda: load_settings(str(file)))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> str:
    from data.generate import generate
    from data.options import GenerateOptions

    folder = tmp_path_factory.mktemp("release")
    write_sample_release(folder / "sample")
    return generate(GenerateOptions(release="sample"), folder / "data", source=folder / "sample").model_dump_json()


@given(data=st.data())
def test_any_manifest_is_a_manifest_or_refused(tmp_path: Path, manifest: str, data):
    content = json.loads(manifest)
    content[data.draw(st.sampled_from(sorted(content)))] = data.draw(values)
    text = data.draw(st.just(json.dumps(content)) | st.text(max_size=200))
    (tmp_path / MANIFEST_FILE).write_text(text, encoding="utf-8", errors="surrogatepass")
    expect_result_or_input_error(lambda: Manifest.load(tmp_path))


@given(content=st.binary(max_size=300) | st.lists(values).map(lambda rows: "\n".join(map(json.dumps, rows)).encode()))
def test_any_bytes_as_catalogue_are_a_catalogue_or_refused(tmp_path: Path, content: bytes):
    (tmp_path / CATALOGUE_FILE).write_bytes(content)
    expect_result_or_input_error(lambda: Catalogue.load(tmp_path / CATALOGUE_FILE))


@given(content=st.binary(max_size=300) | values.map(lambda value: json.dumps(value).encode()))
def test_any_publication_is_read_or_says_nothing(tmp_path: Path, content: bytes):
    version = tmp_path / "1"
    (version / PUBLICATION_FILE).parent.mkdir(parents=True, exist_ok=True)
    (version / "saved_model.pb").touch()
    (version / PUBLICATION_FILE).write_bytes(content)
    assert isinstance(read_publication(version), dict)
    assert published_versions(tmp_path) == [1]


def test_a_setting_that_stands_for_more_than_fits_into_memory_is_refused_at_once(tmp_path: Path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 12)]
    file = tmp_path / "laughing.yaml"
    file.write_text("\n".join([*lines, "name: *a11", "data: {release: sample}"]))
    with pytest.raises(InputError, match="`name` is \\[") as caught:
        load_settings(str(file))
    assert len(str(caught.value)) < 5000
    assert len(str(caught.value).splitlines()) == 1
