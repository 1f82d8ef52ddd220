from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import source_digest


def test_a_changed_template_changes_the_digest_of_the_code_that_fills_it_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = tmp_path / "components" / "templates"
    templates.mkdir(parents=True)
    (tmp_path / "components" / "__init__.py").touch()
    (tmp_path / "components" / "page.py").write_text("import json\n")
    (templates / "page.html").write_text("before")
    monkeypatch.setattr(source_digest, "_ROOT", tmp_path)
    before = source_digest.source_digest("components.page")

    (templates / "page.html").write_text("after")

    assert source_digest.source_digest("components.page") != before
