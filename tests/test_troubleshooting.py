"""`docs/troubleshooting.md` lists every code that a message ends with, and every message as the code has it."""

from __future__ import annotations

import argparse
import ast
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "troubleshooting.md"
ROOMS = ("benchmarks", "components", "data", "pipeline", "serving", "trainer_module")

CODE = re.compile(r"[A-Z]\d{2}")
CODED = ("CodedMessage", "InputError", "StepFailedError")
"""What is made of a message and a code, beside the subclasses of `InputError`."""

ARGUMENTS = "A01"
"""The code that a parser adds to all that it refuses."""

VARIES = "…"
_VARYING = re.compile(f"{VARIES}{VARIES}+")
_WORD = re.compile(r"[A-Za-z]{2}")
_PERCENT = re.compile(r"%(?:\(\w+\))?[sdr]")


@dataclass(frozen=True)
class Site:
    """A place in the code that makes a message."""

    where: str
    template: str
    code: str | None
    """None if it passes on another one's."""

    @property
    def has_words(self) -> bool:
        """Whether the message's text stands here, not only its parts' order."""
        return _WORD.search(self.template) is not None


@dataclass(frozen=True)
class Section:
    """What the document says of a code."""

    title: str
    messages: tuple[str, ...]
    text: str


def product_files() -> list[Path]:
    rooms = (path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    return sorted([*ROOT.glob("*.py"), *rooms])


@cache
def trees() -> dict[str, ast.Module]:
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in product_files()}


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def coded_names(modules: Iterable[ast.Module]) -> set[str]:
    """Return `CODED` and the names of the classes that derive from them."""
    classes = [node for module in modules for node in ast.walk(module) if isinstance(node, ast.ClassDef)]
    names = set(CODED)
    while derived := {one.name for one in classes if names & {name_of(base) for base in one.bases}} - names:
        names |= derived
    return names


def constants_of(module: ast.Module) -> dict[str, str]:
    """Return the module's own constants that are text."""
    return {
        target.id: node.value.value
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def template_of(node: ast.expr, constants: Mapping[str, str]) -> str:
    """Return a message as the code spells it, with a sign for all that varies."""
    return _VARYING.sub(VARIES, _template(node, constants))


def _template(node: ast.expr, constants: Mapping[str, str]) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_template(part, constants) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _template(node.value, constants) if isinstance(node.value, ast.Name) else VARIES
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _template(node.left, constants) + _template(node.right, constants)
    return constants.get(node.id, VARIES) if isinstance(node, ast.Name) else VARIES


def code_of(call: ast.Call, where: str) -> str | None:
    """Return the code that a call gives; None if it passes on another one's."""
    given = next((keyword.value for keyword in call.keywords if keyword.arg == "code"), None)
    assert given is not None, f"{where} has no `code=`"
    if isinstance(given, ast.Attribute) and given.attr == "code":
        return None
    assert isinstance(given, ast.Constant), f"{where}: the code is neither a constant nor another error's"
    assert CODE.fullmatch(str(given.value)), f"{where}: {given.value!r} is no letter and two digits"
    return str(given.value)


def find_sites(modules: Mapping[str, ast.Module]) -> Iterator[Site]:
    names = coded_names(modules.values())
    for file, module in modules.items():
        constants = constants_of(module)
        for node in ast.walk(module):
            if not isinstance(node, ast.Call):
                continue
            where = f"{file}:{node.lineno}"
            called = name_of(node.func)
            if called in names:
                assert len(node.args) == 1, f"{where}: one message, and the code by its name"
                yield Site(where, template_of(node.args[0], constants), code_of(node, where))
            elif called == "ArgumentTypeError" or (called == "error" and _is_parser(node.func)):
                yield Site(where, template_of(node.args[0], constants), ARGUMENTS)


def _is_parser(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and name_of(function.value) == "parser"


@cache
def sites() -> tuple[Site, ...]:
    return tuple(find_sites(trees()))


def read_sections(text: str) -> dict[str, Section]:
    """Return what a document says of each code."""
    sections = {}
    for part in re.split(r"^(?=##+ )", text, flags=re.MULTILINE):
        heading = re.match(r"### (?P<code>\S+): (?P<title>.+)\n", part)
        if heading is None:
            assert not part.startswith("###"), f"a heading without a code: {part.splitlines()[0]}"
            continue
        assert CODE.fullmatch(heading["code"]), heading["code"]
        assert heading["code"] not in sections, f"{heading['code']} stands twice"
        blocks = re.findall(r"^```text\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
        messages = tuple(line for block in blocks for line in block.splitlines())
        sections[heading["code"]] = Section(heading["title"], messages, part)
    return sections


@cache
def sections() -> dict[str, Section]:
    return read_sections(DOCUMENT.read_text(encoding="utf-8"))


@cache
def spelt_anywhere() -> set[str]:
    """Return all text of the code and of `argparse`: messages whose raiser only puts parts together."""
    own = {
        template_of(node, constants_of(module))
        for module in trees().values()
        for node in ast.walk(module)
        if isinstance(node, ast.JoinedStr | ast.Constant)
    }
    parser = ast.parse(Path(argparse.__file__).read_text(encoding="utf-8"))
    texts = (node.value for node in ast.walk(parser) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return own | {_PERCENT.sub(VARIES, text) for text in texts}


def differences(found: Iterable[Site], listed: Mapping[str, Section]) -> list[str]:
    """Say where the code and the document disagree."""
    by_code: dict[str, list[Site]] = defaultdict(list)
    for site in found:
        if site.code is not None:
            by_code[site.code].append(site)
    told = [f"{code} is not in the document: {by_code[code][0].where}" for code in sorted(set(by_code) - set(listed))]
    told += [f"{code} is in the document, and given nowhere" for code in sorted(set(listed) - set(by_code))]
    for code in sorted(set(by_code) & set(listed)):
        messages = set(listed[code].messages)
        spelt = {site.template for site in by_code[code] if site.has_words}
        told += [
            f"{code} lacks the message of {site.where}: {site.template}"
            for site in by_code[code]
            if site.has_words and site.template not in messages
        ]
        elsewhere = set() if all(site.has_words for site in by_code[code]) else spelt_anywhere()
        told += [f"{code} lists what no one says: {message}" for message in sorted(messages - spelt - elsewhere)]
    return told


def test_code_and_document_agree():
    assert differences(sites(), sections()) == []


def test_every_code_has_messages_a_cause_and_a_remedy():
    assert sections()
    for code, section in sections().items():
        assert section.messages, code
        for part in ("Cause", "Remedy"):
            assert len(re.findall(rf"^\*\*{part}:\*\* \S", section.text, re.MULTILINE)) == 1, f"{code}: {part}"


def test_codes_stand_in_order_each_in_its_area():
    codes = list(sections())
    by_area = [code[0] for code in codes]
    areas = re.findall(r"^## ([A-Z]): ", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert list(dict.fromkeys(by_area)) == areas
    assert all(earlier < later for earlier, later in itertools.pairwise(codes) if earlier[0] == later[0])


def test_no_raise_passes_the_sweep_by():
    assert len(sites()) > 200
    raised = [
        f"{file}:{node.lineno}"
        for file, module in trees().items()
        for node in ast.walk(module)
        if isinstance(node, ast.Raise) and name_of(node.exc.func if isinstance(node.exc, ast.Call) else node) in CODED
    ]
    assert set(raised) <= {site.where for site in sites()}


def test_no_parser_is_argparse_s_own():
    made = [
        f"{file}:{node.lineno}"
        for file, module in trees().items()
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and name_of(node.func) == "ArgumentParser"
    ]
    assert made == []


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ('raise InputError(f"{name} is gone", code="Z01")', "Z01 is not in the document: some.py:1"),
        ('raise InputError(f"{name} is gone", code="Z02")', "Z02 lacks the message of some.py:1: … is gone"),
        ('raise InputError(f"{name} is away", code="Z02")', None),
        ('raise InputError(f"{a}{b} is" + " away", code="Z02")', None),
        ('class Own(InputError): ...\nraise Own(f"{name} is away", code="Z02")', None),
    ],
)
def test_the_sweep_sees_a_difference(source, told):
    listed = read_sections("### Z02: Away\n\n```text\n… is away\n```\n")

    found = differences(find_sites({"some.py": ast.parse(source)}), listed)

    assert [line for line in found if told is None or line == told] == ([] if told is None else [told])


@pytest.mark.parametrize(
    "source", ['InputError("gone")', 'InputError("gone", code=chosen)', 'InputError("gone", "Z01")']
)
def test_the_sweep_wants_codes_that_can_be_read(source):
    with pytest.raises(AssertionError):
        list(find_sites({"some.py": ast.parse(source)}))
