"""Errors keep their message and code on every way that they take."""

from __future__ import annotations

import pickle

import pytest

from data.command import CommandParser, run_command
from data.errors import CodedMessage, InputError, one_line

MESSAGE = "ratings.csv line 3: 'five' is not a number of stars"


class OwnError(InputError):
    """A kind of its own."""


@pytest.mark.parametrize("kind", [InputError, OwnError])
def test_an_error_comes_whole_from_another_process(kind):
    error = pickle.loads(pickle.dumps(kind(MESSAGE, code="D18")))  # noqa: S301

    assert type(error) is kind
    assert (str(error), error.message, error.code) == (MESSAGE, MESSAGE, "D18")


def test_an_error_is_its_message_and_its_line_ends_with_the_code():
    error = InputError(MESSAGE, code="D18")

    assert str(error) == MESSAGE
    assert error.line == f"{MESSAGE} [D18]"


def test_no_message_repeats_the_keys_of_an_address():
    given = "s3://AKIA:se/cret+=@bucket/x can't be read (https://me:pw@proxy:8080/ refused it)"
    for said in (
        InputError(given, code="D23").message,
        str(InputError(given, code="D23")),
        CodedMessage(given, "D23").line,
    ):
        assert said.startswith("s3://***@bucket/x can't be read (https://***@proxy:8080/ refused it)")


def test_the_place_in_tensorflows_graph_takes_no_room_in_a_line():
    error = ValueError(
        "{{function_node __wrapped__Iterator/device:CPU:0}} Key: label_movie_id.  Data types\ndon't match"
    )

    assert one_line(error) == "ValueError: Key: label_movie_id. Data types don't match"


def test_a_command_ends_with_the_line(capsys):
    def fail() -> None:
        raise InputError(MESSAGE, code="D18")

    assert run_command(fail) == 2
    assert capsys.readouterr().err == f"error: {MESSAGE} [D18]\n"


@pytest.mark.parametrize("arguments", [["--unknown"], ["work", "--times", "many"], []])
def test_what_a_parser_refuses_ends_with_the_code_of_arguments(arguments, capsys):
    parser = CommandParser(prog="it")
    work = parser.add_subparsers(required=True, dest="command").add_parser("work")
    work.add_argument("--times", type=int)

    with pytest.raises(SystemExit) as ended:
        parser.parse_args(arguments)

    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(" [A01]\n")
