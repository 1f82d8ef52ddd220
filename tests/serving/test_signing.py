"""Signatures of published versions."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from serving import versions as publishing
from serving.signing import SIGNATURE_FILE, is_signed, load_private_key, load_public_key, verify_version
from serving.versions import (
    PUBLICATION_FILE,
    find_published,
    model_digest,
    publish,
    publish_once,
    published_versions,
    roll_back,
)

sys.path.insert(0, str(Path(__file__).parent))
from signed_versions import CURVES, files_of, make_model, publish_signed, write_keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> tuple[Path, Path]:
    return write_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def version(tmp_path, keys) -> Path:
    return publish_signed(tmp_path / "model", tmp_path / "serving", keys[0])


def refusal(version: Path, public: Path) -> InputError:
    """Return the error with which a version is refused."""
    with pytest.raises(InputError) as refused:
        verify_version(version, public)
    assert len(refused.value.line.splitlines()) == 1
    return refused.value


def test_a_signed_version_is_verified_and_holds_what_was_signed(version, keys):
    verify_version(version, keys[1])

    bundle = json.loads((version / SIGNATURE_FILE).read_text())
    assert bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert bundle["verificationMaterial"]["publicKey"] == {"hint": hashlib.sha256(keys[1].read_bytes()).hexdigest()}
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    signed = {one["name"]: one["digest"] for one in statement["predicate"]["resources"]}
    assert sorted([*signed, SIGNATURE_FILE]) == files_of(version)
    assert {PUBLICATION_FILE, "assets.extra/tf_serving_warmup_requests"} < set(signed)
    assert signed == {name: hashlib.sha256((version / name).read_bytes()).hexdigest() for name in signed}
    whole = hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in signed.values())).hexdigest()
    assert statement["subject"] == [{"name": "1", "digest": {"sha256": whole}}]


@pytest.mark.parametrize("curve", CURVES)
def test_keys_of_three_curves_sign(tmp_path, curve):
    private, public = write_keys(tmp_path / "keys", ec.generate_private_key(CURVES[curve]))
    verify_version(publish_signed(tmp_path / "model", tmp_path / "serving", private), public)


def test_a_model_has_the_same_digest_whether_it_is_signed_or_not(version, tmp_path):
    assert model_digest(version) == model_digest(tmp_path / "model")
    assert not is_signed(tmp_path / "model")


def flip(file: Path, place: int, bit: int) -> Callable[[], object]:
    """Flip a bit of a file, and return what undoes it."""
    content = file.read_bytes()
    place %= len(content)
    file.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
    return lambda: file.write_bytes(content)


@pytest.fixture(scope="module")
def lasting_version(tmp_path_factory, keys) -> Path:
    """Return a version that each example leaves as it was."""
    folder = tmp_path_factory.mktemp("lasting")
    return publish_signed(folder / "model", folder / "serving", keys[0])


@given(data=st.data(), place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_one_flipped_bit_in_any_file_is_refused(lasting_version, keys, data, place, bit):
    name = data.draw(st.sampled_from(files_of(lasting_version)))
    undo = flip(lasting_version / name, place, bit)
    try:
        assert refusal(lasting_version, keys[1]).code in {"M21", "M22"}
    finally:
        undo()
    verify_version(lasting_version, keys[1])


def test_a_signature_with_any_byte_changed_is_refused(version, keys):
    signature = version / SIGNATURE_FILE
    for place in range(len(signature.read_bytes())):
        undo = flip(signature, place, place % 7)
        assert refusal(version, keys[1]).code in {"M21", "M22"}, place
        undo()


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda name: name not in {".", ".."}
)


@given(data=st.data(), name=names, content=st.binary(max_size=20))
def test_an_added_file_is_refused_wherever_it_lies_and_whatever_its_name(lasting_version, keys, data, name, content):
    folder = data.draw(st.sampled_from(["", ".git", "assets", "assets.extra", "variables"]))
    added = lasting_version / folder / name
    if added.exists():
        return
    made = not added.parent.exists()
    added.parent.mkdir(exist_ok=True)
    added.write_bytes(content)
    try:
        error = refusal(lasting_version, keys[1])
    finally:
        added.unlink()
        if made:
            added.parent.rmdir()
    assert error.code == "M22"
    assert error.message.endswith(" was added")


@given(data=st.data())
def test_a_removed_file_is_refused(lasting_version, keys, data):
    name = data.draw(st.sampled_from(files_of(lasting_version)))
    removed = lasting_version / name
    content = removed.read_bytes()
    removed.unlink()
    try:
        error = refusal(lasting_version, keys[1])
    finally:
        removed.write_bytes(content)
    assert error.code == ("M20" if name == SIGNATURE_FILE else "M22")


@given(data=st.data(), name=names)
def test_a_renamed_file_is_refused(lasting_version, keys, data, name):
    file = lasting_version / data.draw(st.sampled_from(files_of(lasting_version)))
    renamed = file.with_name(name)
    if renamed.exists():
        return
    file.rename(renamed)
    try:
        assert refusal(lasting_version, keys[1]).code in {"M20", "M22"}
    finally:
        renamed.rename(file)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables", "assets.extra", PUBLICATION_FILE, SIGNATURE_FILE])
def test_a_link_in_the_place_of_a_file_or_folder_is_refused_though_it_leads_to_the_same(version, keys, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    (version / name).rename(elsewhere)
    (version / name).symlink_to(elsewhere)
    error = refusal(version, keys[1])
    assert error.code == "M22"
    assert f"{name!r} is a link or no plain file" in error.message


def test_a_pipe_is_refused_and_not_waited_for(version, keys):
    (version / "saved_model.pb").unlink()
    os.mkfifo(version / "saved_model.pb")
    assert refusal(version, keys[1]).code == "M22"


def test_a_file_that_can_not_be_read_is_named(version, keys, monkeypatch):
    def fail(path, *_):
        raise PermissionError(13, "Permission denied", os.fspath(path))

    monkeypatch.setattr(os, "open", fail)
    error = refusal(version, keys[1])
    assert error.code == "M09"
    assert str(version) in error.message


def test_a_version_without_a_signature_is_refused(tmp_path, keys):
    serving = tmp_path / "serving"
    publish(make_model(tmp_path / "model"), serving, {}, keep=5)
    assert not is_signed(serving / "1")
    assert refusal(serving / "1", keys[1]).code == "M20"


def test_another_key_is_refused_also_where_the_signature_claims_to_be_of_it(version, keys, tmp_path):
    _, other = write_keys(tmp_path / "other")
    assert refusal(version, other).code == "M21"

    signature = version / SIGNATURE_FILE
    own, claimed = (hashlib.sha256(key.read_bytes()).hexdigest() for key in (keys[1], other))
    signature.write_text(signature.read_text().replace(own, claimed))
    assert refusal(version, other).code == "M22"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        "no JSON",
        "[" * 100_000,
        '{"dsseEnvelope": {}}',
        "\xff",
    ],
    ids=["empty", "an empty object", "a list", "a text", "many brackets", "half a bundle", "latin text"],
)
def test_a_file_that_is_no_signature_is_refused(version, keys, content):
    (version / SIGNATURE_FILE).write_bytes(content.encode("latin-1"))
    error = refusal(version, keys[1])
    assert (error.code, "is no signature" in error.message) == ("M22", True)


def test_a_version_under_another_number_than_it_was_signed_for_is_refused(version, keys):
    # Who can write the folder could serve an earlier model again so.
    shutil.copytree(version, version.with_name("7"))
    error = refusal(version.with_name("7"), keys[1])
    assert error.code == "M25"
    assert "was signed as version 1" in error.message
    # A copy under a name that is no version's is nobody's newest.
    verify_version(version.rename(version.with_name("copy")), keys[1])


@pytest.mark.parametrize(("store", "renamed"), [("disk", "1"), ("object store", "saved_model.pb")])
def test_a_version_is_signed_before_it_counts(tmp_path, keys, monkeypatch, store, renamed):
    monkeypatch.setattr(publishing, "in_object_store", lambda _: store == "object store")
    rename, seen = Path.rename, []

    def watched(path, target):
        folder = path if path.is_dir() else path.parent
        seen.append((target.name, is_signed(folder), published_versions(tmp_path / "serving")))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", watched)
    version = publish_signed(tmp_path / "model", tmp_path / "serving", keys[0])
    assert seen == [(renamed, True, [])]
    verify_version(version, keys[1])


@pytest.mark.parametrize("store", ["disk", "object store"])
def test_files_that_change_while_they_are_copied_are_not_signed(tmp_path, keys, monkeypatch, store):
    monkeypatch.setattr(publishing, "in_object_store", lambda _: store == "object store")
    serving, copytree = tmp_path / "serving", shutil.copytree

    def copy_something_else(source, target, *arguments, **options):
        copytree(source, target, *arguments, **options)
        if Path(target).name == "variables":
            (Path(target) / "variables.index").write_text("another")

    monkeypatch.setattr(publishing.shutil, "copytree", copy_something_else)
    with pytest.raises(InputError) as refused:
        publish_signed(tmp_path / "model", serving, keys[0])
    assert refused.value.code == "M29"
    assert published_versions(serving) == []


@pytest.fixture
def serving(tmp_path, keys) -> Path:
    """Return a folder of two signed versions."""
    for number in (1, 2):
        publish_signed(tmp_path / f"model-{number}", tmp_path / "serving", keys[0], f"weights {number}")
    return tmp_path / "serving"


def test_a_rollback_verifies_and_signs_anew(serving, keys):
    private, public = load_private_key(keys[0]), load_public_key(keys[1])
    assert roll_back(serving, 1, key=private, public_key=public) == 3
    verify_version(serving / "3", keys[1])
    assert model_digest(serving / "3") == model_digest(serving / "1")
    # The private key alone is enough: it has both halves.
    assert roll_back(serving, 2, key=private) == 4
    verify_version(serving / "4", keys[1])


@pytest.mark.parametrize("store", ["disk", "object store"])
def test_a_rollback_by_a_new_key_verifies_by_the_former_and_leaves_no_signature_of_it(
    serving, keys, tmp_path, monkeypatch, store
):
    monkeypatch.setattr(publishing, "in_object_store", lambda _: store == "object store")
    private, public = write_keys(tmp_path / "new")
    assert roll_back(serving, 1, key=load_private_key(private), public_key=load_public_key(keys[1])) == 3
    verify_version(serving / "3", public)
    assert refusal(serving / "3", keys[1]).code == "M21"


@pytest.mark.parametrize("verified", [True, False], ids=["with a public key", "without a public key"])
def test_a_signed_version_is_not_rolled_back_to_without_a_key_to_sign_with(serving, keys, verified):
    with pytest.raises(InputError) as refused:
        roll_back(serving, 1, public_key=load_public_key(keys[1]) if verified else None)
    assert refused.value.code == "M26"
    assert published_versions(serving) == [1, 2]


def test_a_rollback_with_a_key_refuses_what_it_can_not_verify(serving, keys, tmp_path):
    private, _ = write_keys(tmp_path / "other")
    publish(make_model(tmp_path / "unsigned", "unsigned"), serving, {}, keep=5)
    publish_signed(tmp_path / "newest", serving, keys[0], "newest")
    # The digest in the publication follows what was changed, as only somebody would have it who means to.
    (serving / "2" / "variables" / "variables.index").write_text("another")
    said = json.loads((serving / "2" / PUBLICATION_FILE).read_text())
    (serving / "2" / PUBLICATION_FILE).write_text(json.dumps({**said, "model_digest": model_digest(serving / "2")}))
    for version, key, code in ((1, private, "M21"), (2, keys[0], "M22"), (3, keys[0], "M20")):
        with pytest.raises(InputError) as refused:
            roll_back(serving, version, key=load_private_key(key))
        assert refused.value.code == code
    assert published_versions(serving) == [1, 2, 3, 4]


def test_a_model_that_was_published_without_this_keys_signature_is_published_once_more(tmp_path, keys):
    serving, model = tmp_path / "serving", make_model(tmp_path / "model")
    key, other = load_private_key(keys[0]), load_private_key(write_keys(tmp_path / "other")[0])
    assert publish_once(model, serving, {}, keep=5) == 1
    assert [publish_once(model, serving, {}, keep=5, key=key) for _ in range(2)] == [2, 2]
    assert publish_once(model, serving, {}, keep=5, key=other) == 3
    # Who publishes without a key asks for none.
    assert publish_once(model, serving, {}, keep=5) == 3
    assert find_published(serving, model_digest(model), key.public_key()) == 2


def unusable_keys(folder: Path) -> Iterator[tuple[Path, Path, str]]:
    """Yield files that hold no key to use, as a private and as a public one, and what is said of them."""
    for name, key in (
        ("ed25519", ed25519.Ed25519PrivateKey.generate()),
        ("rsa", rsa.generate_private_key(65537, 2048)),
        ("secp256k1", ec.generate_private_key(ec.SECP256K1())),
    ):
        yield *write_keys(folder / name, key), "holds a key of another kind: model signing takes P-256, P-384 and P-521"
    text = folder / "text"
    text.write_text("no key")
    yield text, text, "key in PEM form"


def test_other_keys_than_those_of_the_three_curves_are_refused_and_nothing_of_them_is_said(tmp_path):
    for private, public, said in unusable_keys(tmp_path):
        for load, file in ((load_private_key, private), (load_public_key, public)):
            with pytest.raises(InputError) as refused:
                load(file)
            assert refused.value.code == "M24"
            assert said in refused.value.message
            assert not any(line in str(refused.value) for line in file.read_text().splitlines())


def test_a_private_key_under_a_password_and_halves_that_are_mixed_up_are_refused(tmp_path):
    private, public = write_keys(tmp_path / "locked", password=b"secret")
    for load, file in ((load_private_key, private), (load_private_key, public), (load_public_key, private)):
        with pytest.raises(InputError) as refused:
            load(file)
        assert refused.value.code == "M24"


@pytest.mark.parametrize("load", [load_private_key, load_public_key])
def test_a_key_that_can_not_be_read_is_named(tmp_path, load):
    for place in (tmp_path / "missing", tmp_path):
        with pytest.raises(InputError) as refused:
            load(place)
        assert refused.value.code == "M23"
        assert str(place) in refused.value.message
