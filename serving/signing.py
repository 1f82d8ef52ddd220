"""Signatures of published versions, in the format of OpenSSF's model signing.

A version's `model.sig` is a Sigstore bundle that holds a DSSE envelope, signed by an elliptic curve key. The envelope's
payload is an in-toto statement: the SHA-256 of each file of the version by its name, and the SHA-256 over all of these
as the digest of the whole. `model_signing verify key` reads it, and what `model_signing sign key` writes is read here.

Sources: https://github.com/sigstore/model-transparency/blob/main/docs/model_signing_format.md (format),
https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md (what is signed),
https://docs.sigstore.dev/about/bundle/ (the file).

A signature file is read more strictly than the reference does: each of its bytes counts, no file of a version is
passed over, and links are never followed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.errors import InputError
from serving.publication import read_publication

SIGNATURE_FILE = "model.sig"
"""Where the signature lies in a version's folder, under the name that model signing gives it by default."""

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey

_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_PREDICATE_TYPE = "https://model_signing/signature/v1.0"

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
"""The hash that a curve's signatures are made with."""

_LARGEST_FILE = 2**24
"""Bytes of the largest key or signature that is read; a signature has some 200 for each file of the version."""

_BLOCK = 2**20


class _Part(BaseModel):
    """A part of the signature file: what it doesn't know is refused, so that no byte goes unread."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _KeyHint(_Part):
    hint: str


class _Material(_Part):
    public_key: _KeyHint = Field(alias="publicKey")
    log_entries: list[Any] = Field(default=[], alias="tlogEntries", max_length=0)


class _Seal(_Part):
    sig: str
    keyid: str = ""


class _Envelope(_Part):
    payload: str
    payload_type: Literal["application/vnd.in-toto+json"] = Field(alias="payloadType")
    signatures: list[_Seal] = Field(min_length=1, max_length=1)


class _Bundle(_Part):
    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"] = Field(alias="mediaType")
    material: _Material = Field(alias="verificationMaterial")
    envelope: _Envelope = Field(alias="dsseEnvelope")


_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Resource(BaseModel):
    name: str
    algorithm: Literal["sha256"]
    digest: _Sha256


class _SubjectDigest(BaseModel):
    sha256: _Sha256


class _Subject(BaseModel):
    digest: _SubjectDigest


class _Serialization(BaseModel):
    method: Literal["files"]
    hash_type: Literal["sha256"]


class _Predicate(BaseModel):
    serialization: _Serialization
    resources: list[_Resource]


class _Statement(BaseModel):
    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: list[_Subject] = Field(min_length=1, max_length=1)
    predicate_type: Literal["https://model_signing/signature/v1.0"] = Field(alias="predicateType")
    predicate: _Predicate


def load_private_key(path: Path) -> PrivateKey:
    """Return the key to sign with.

    Parameters
    ----------
    path
        A PEM file without a password.

    Raises
    ------
    InputError
        The file can't be read, holds no private key, or one of another kind than P-256, P-384 and P-521.
    """
    pem = _read_key(path)
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # What the library says is left out: it may quote the file.
        raise InputError(f"{path} holds no private key in PEM form without a password", code="M24") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _HASHES:
        raise _other_kind(path)
    return key


def load_public_key(path: Path) -> PublicKey:
    """Return the key to verify with.

    Parameters
    ----------
    path
        A PEM file.

    Raises
    ------
    InputError
        The file can't be read, holds no public key, or one of another kind than P-256, P-384 and P-521.
    """
    pem = _read_key(path)
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"{path} holds no public key in PEM form", code="M24") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _HASHES:
        raise _other_kind(path)
    return key


def is_signed(folder: Path) -> bool:
    """Return whether a version holds a signature, whatever it is worth."""
    return os.path.lexists(folder / SIGNATURE_FILE)


def write_signature(folder: Path, key: PrivateKey, name: str, renamed: Mapping[str, str]) -> dict[str, str]:
    """Sign all files of a folder, as the last file that is written into it.

    Parameters
    ----------
    folder
        Holds no signature yet.
    key
        Signs.
    name
        What the statement calls the model; readers ignore it.
    renamed
        The names that files will get afterwards, by those that they have.

    Returns
    -------
    dict
        The SHA-256 of each file that was signed, by name.
    """
    digests = _file_digests(folder, renamed)
    statement = {
        "_type": _STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": _whole_digest(digests.values())}}],
        "predicateType": _PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [SIGNATURE_FILE],
            },
            "resources": [{"name": file, "algorithm": "sha256", "digest": digest} for file, digest in digests.items()],
        },
    }
    payload = json.dumps(statement).encode()
    signature = key.sign(_signed_bytes(payload), ec.ECDSA(_HASHES[key.curve.name]))
    bundle = {
        "mediaType": _MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": _fingerprint(key.public_key())}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    (folder / SIGNATURE_FILE).write_text(json.dumps(bundle, separators=(",", ":")), encoding="utf-8")
    return digests


def verify_version(folder: Path, public_key: Path) -> None:
    """Check that a version is signed with a key, and holds the signed files and no others.

    Parameters
    ----------
    folder
        The version's folder.
    public_key
        A PEM file.

    Raises
    ------
    InputError
        The key can't be used; or the version is not signed, or with another key, or for another number, or a file of it
        was changed, added, removed or replaced by a link, or can't be read.
    """
    verify(folder, load_public_key(public_key))


def verify(folder: Path, key: PublicKey) -> None:
    """Check a version as `verify_version` does, by a key that was loaded before.

    Raises
    ------
    InputError
        As for `verify_version`.
    """
    try:
        signed = _signed_digests(folder, key)
        found = _file_digests(folder, {})
    except OSError as error:
        raise InputError(f"{error.filename} can't be read ({error.strerror or error})", code="M09") from error
    for name in sorted(signed.keys() | found.keys()):
        if name not in signed:
            raise _not_as_signed(folder, f"{name!r} was added")
        if name not in found:
            raise _not_as_signed(folder, f"{name!r} is missing")
        if signed[name] != found[name]:
            raise _not_as_signed(folder, f"{name!r} was changed")
    # An earlier version under a higher number would be served in place of the newest, rightly signed.
    number = read_publication(folder).get("version")
    if number is not None and folder.name.isdecimal() and number != int(folder.name):
        raise InputError(f"{folder} was signed as version {number}, and moved or copied there", code="M25")


def _signed_digests(folder: Path, key: PublicKey) -> dict[str, str]:
    """Return the SHA-256 of each file that was signed, by name."""
    if not is_signed(folder):
        raise InputError(f"{folder} is not signed: publish it with `publish.private_key` set", code="M20")
    path = folder / SIGNATURE_FILE
    if path.is_symlink() or not path.is_file():
        raise _not_as_signed(folder, f"{SIGNATURE_FILE!r} is a link or no plain file")
    try:
        bundle = _Bundle.model_validate_json(_read(path))
        payload, signature = _decode(bundle.envelope.payload), _decode(bundle.envelope.signatures[0].sig)
    except ValueError as error:
        raise _not_readable(path) from error
    if bundle.material.public_key.hint != _fingerprint(key):
        raise InputError(f"{folder} is signed with another key than the one given", code="M21")
    try:
        key.verify(signature, _signed_bytes(payload), ec.ECDSA(_HASHES[key.curve.name]))
    except InvalidSignature as error:
        raise _not_as_signed(folder, f"{SIGNATURE_FILE!r} was changed") from error
    try:
        statement = _Statement.model_validate_json(payload)
    except ValidationError as error:
        raise _not_readable(path) from error
    resources = statement.predicate.resources
    if _whole_digest(resource.digest for resource in resources) != statement.subject[0].digest.sha256:
        raise _not_readable(path)
    return {resource.name: resource.digest for resource in resources}


def _file_digests(folder: Path, renamed: Mapping[str, str]) -> dict[str, str]:
    """Return the SHA-256 of each file but the signature, by name, in the order of model signing."""
    digests = {}
    for path in _plain_files(folder, folder):
        name = path.relative_to(folder).as_posix()
        if name != SIGNATURE_FILE:
            digests[renamed.get(name, name)] = _sha256(path)
    return dict(sorted(digests.items(), key=lambda item: PurePosixPath(item[0])))


def _plain_files(folder: Path, version: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = folder / entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _plain_files(path, version)
            elif entry.is_file(follow_symlinks=False):
                yield path
            else:
                raise _not_as_signed(version, f"{path.relative_to(version).as_posix()!r} is a link or no plain file")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    # A link that took the file's place meanwhile is refused by the system.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _whole_digest(digests: Iterable[str]) -> str:
    """Return the SHA-256 over the digests of all files, in their order."""
    whole = hashlib.sha256()
    for digest in digests:
        whole.update(bytes.fromhex(digest))
    return whole.hexdigest()


def _signed_bytes(payload: bytes) -> bytes:
    """Return what is signed of a payload: DSSE's pre-authentication encoding."""
    return f"DSSEv1 {len(_PAYLOAD_TYPE)} {_PAYLOAD_TYPE} {len(payload)} ".encode() + payload


def _fingerprint(key: PublicKey) -> str:
    """Return the SHA-256 of a public key's PEM form, by which a signature names it."""
    return hashlib.sha256(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _decode(text: str) -> bytes:
    """Return the bytes of a text in base 64; several texts stand for the same bytes, of which one is taken."""
    content = base64.b64decode(text, validate=True)
    if base64.b64encode(content).decode() != text:
        raise binascii.Error("bits beyond the last byte")
    return content


def _read(path: Path) -> bytes:
    """Return a file's content; a larger one than any key or signature is cut, and then none."""
    with path.open("rb") as file:
        return file.read(_LARGEST_FILE)


def _read_key(path: Path) -> bytes:
    try:
        return _read(path)
    except OSError as error:
        raise InputError(f"the key {path} can't be read: {error.strerror or error}", code="M23") from error


def _other_kind(path: Path) -> InputError:
    return InputError(
        f"{path} holds a key of another kind: model signing takes P-256, P-384 and P-521, and no ed25519", code="M24"
    )


def _not_as_signed(folder: Path, what: str) -> InputError:
    return InputError(f"{folder} is not as it was signed: {what}", code="M22")


def _not_readable(path: Path) -> InputError:
    return InputError(f"{path} is no signature of model signing's format with a key", code="M22")
