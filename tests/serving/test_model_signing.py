"""Signatures are those of OpenSSF's model signing: its own program reads ours, and we read its."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.environments import make_environment
from data.errors import InputError
from serving import versions as publishing
from serving.signing import SIGNATURE_FILE, load_private_key, verify_version
from serving.versions import publish, roll_back

sys.path.insert(0, str(Path(__file__).parent))
from signed_versions import CURVES, make_model, publish_signed, write_keys

pytestmark = pytest.mark.engines

PACKAGES = ("model-signing==1.1.1", "sigstore==4.5.1", "pyopenssl==26.4.0")
"""The program, and what this version of it imports without declaring it."""

ModelSigning = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def model_signing(pytestconfig: pytest.Config) -> ModelSigning:
    """Run the program in an environment of its own, whose libraries are newer than the pipeline's."""
    try:
        python = make_environment(Path(pytestconfig.cache.mkdir("model-signing")), PACKAGES)
    except InputError as reason:
        pytest.skip(str(reason))

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(python.with_name("model_signing")), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)

    return run


def verified(model_signing: ModelSigning, version: Path, public: Path) -> str:
    """Return what the program says of a version."""
    done = model_signing("verify", "key", version, "--signature", version / SIGNATURE_FILE, "--public_key", public)
    assert (done.returncode == 0) == ("Verification succeeded" in done.stdout)
    return done.stdout + done.stderr


@pytest.mark.parametrize("store", ["disk", "object store"])
@pytest.mark.parametrize("curve", CURVES)
def test_the_program_verifies_a_published_version(model_signing, tmp_path, monkeypatch, curve, store):
    monkeypatch.setattr(publishing, "in_object_store", lambda _: store == "object store")
    private, public = write_keys(tmp_path / "keys", ec.generate_private_key(CURVES[curve]))
    version = publish_signed(tmp_path / "model", tmp_path / "serving", private)
    assert "Verification succeeded" in verified(model_signing, version, public)


def test_the_program_refuses_what_was_changed_added_or_signed_with_another_key(model_signing, tmp_path):
    private, public = write_keys(tmp_path / "keys")
    _, other = write_keys(tmp_path / "other")
    version = publish_signed(tmp_path / "model", tmp_path / "serving", private)
    assert "Key mismatch" in verified(model_signing, version, other)
    (version / "assets.extra" / "more").write_text("more")
    assert "Extra files found" in verified(model_signing, version, public)
    (version / "assets.extra" / "more").unlink()
    (version / "assets.extra" / "publication.json").write_text("{}")
    # The program shows its digests as bytes, on whose quotes those around the name depend.
    refused = verified(model_signing, version, public).replace("\\", "")
    assert "Hash mismatch for 'assets.extra/publication.json'" in refused


def test_the_program_verifies_a_version_that_was_rolled_back_to(model_signing, tmp_path):
    private, public = write_keys(tmp_path / "keys")
    for number in (1, 2):
        publish_signed(tmp_path / f"model-{number}", tmp_path / "serving", private, f"weights {number}")
    roll_back(tmp_path / "serving", 1, key=load_private_key(private))
    assert "Verification succeeded" in verified(model_signing, tmp_path / "serving" / "3", public)


@pytest.mark.parametrize("curve", CURVES)
def test_what_the_program_signs_is_verified_and_tampering_with_it_is_not(model_signing, tmp_path, curve):
    private, public = write_keys(tmp_path / "keys", ec.generate_private_key(CURVES[curve]))
    serving = tmp_path / "serving"
    publish(make_model(tmp_path / "model"), serving, {}, keep=5)
    version = serving / "1"
    done = model_signing("sign", "key", version, "--signature", version / SIGNATURE_FILE, "--private_key", private)
    assert done.returncode == 0, done.stderr

    verify_version(version, public)

    # It passes such files over, and so its signature is none for them.
    (version / ".gitignore").write_text("*")
    assert "Verification succeeded" in verified(model_signing, version, public)
    with pytest.raises(InputError, match=r"'\.gitignore' was added"):
        verify_version(version, public)
    (version / ".gitignore").unlink()
    (version / "variables" / "variables.index").write_text("another")
    with pytest.raises(InputError, match=r"'variables/variables\.index' was changed"):
        verify_version(version, public)


def test_it_is_not_told_of_a_key_that_the_program_does_not_take(model_signing, tmp_path):
    private, _ = write_keys(tmp_path / "keys", ec.generate_private_key(ec.SECP256K1()))
    make_model(tmp_path / "model")
    done = model_signing("sign", "key", tmp_path / "model", "--signature", tmp_path / "sig", "--private_key", private)
    assert done.returncode != 0
    with pytest.raises(InputError, match="a key of another kind"):
        load_private_key(private)
