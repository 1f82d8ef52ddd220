from __future__ import annotations

import pytest
from tfx.utils import dependency_utils

from data.generate import generate
from pipeline.local import lay_out
from pipeline.settings import load_settings


@pytest.fixture(scope="module")
def beam_args_of(tmp_path_factory):
    """Return what a local run hands to Beam, given options of its own."""
    home = tmp_path_factory.mktemp("laid-out")
    settings = load_settings("sample")
    manifest = generate(settings.data, home / "data")

    def of(*own: str) -> list[str]:
        return list(lay_out(settings, manifest, home / "data", home, own).beam_args)

    return of


def test_no_step_packs_tfx_up_for_workers_that_there_are_not(beam_args_of):
    assert dependency_utils.make_beam_dependency_flags(beam_args_of()) == beam_args_of()


def test_own_options_come_last(beam_args_of):
    assert beam_args_of("--direct_num_workers=2")[-1] == "--direct_num_workers=2"


def test_another_runner_is_told_nothing_of_how_its_workers_come_by_their_code(beam_args_of):
    arguments = beam_args_of("--runner=PortableRunner", "--job_endpoint=localhost:1")

    assert arguments[-2:] == ["--runner=PortableRunner", "--job_endpoint=localhost:1"]
    assert not [name for name in arguments if name.startswith(("--sdk_container_image", "--pickle_library"))]
