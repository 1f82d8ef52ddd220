"""Keys and signed versions for tests."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from serving.signing import load_private_key
from serving.versions import publish

CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def write_keys(folder: Path, key: Key | None = None, password: bytes | None = None) -> tuple[Path, Path]:
    """Write a key, by default a new one of P-256, and return the files of its private and its public half."""
    key = key or ec.generate_private_key(CURVES["P-256"])
    folder.mkdir(parents=True, exist_ok=True)
    private, public = folder / "private.pem", folder / "public.pem"
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def make_model(folder: Path, content: str = "weights") -> Path:
    """Write a few small files in the places of a SavedModel's."""
    files = {
        "saved_model.pb": "graph",
        "variables/variables.index": "index",
        "variables/variables.data-00000-of-00001": content,
        "assets.extra/export.json": "{}",
        "assets.extra/tf_serving_warmup_requests": "requests",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def publish_signed(folder: Path, serving: Path, private: Path, content: str = "weights") -> Path:
    """Publish a small model, signed, and return the version's folder."""
    model = make_model(folder, content)
    version = publish(model, serving, {"pipeline": "next-movie"}, keep=5, key=load_private_key(private))
    return serving / str(version)


def files_of(version: Path) -> list[str]:
    """Return the names of a version's files."""
    return sorted(path.relative_to(version).as_posix() for path in version.rglob("*") if path.is_file())
