from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import code_digest


def test_a_changed_template_changes_the_digest_of_the_code_that_fills_it_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = tmp_path / "components" / "templates"
    templates.mkdir(parents=True)
    (tmp_path / "components" / "__init__.py").touch()
    (tmp_path / "components" / "page.py").write_text("import json\n")
    (templates / "page.html").write_text("before")
    monkeypatch.setattr(code_digest, "_ROOT", tmp_path)
    before = code_digest.code_digest("components.page")

    (templates / "page.html").write_text("after")

    assert code_digest.code_digest("components.page") != before
