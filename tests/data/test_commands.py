"""How commands end."""

import subprocess
import sys

import pytest

from data.commands import run_command
from data.errors import InputError


def raising(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize(("answer", "code"), [(None, 0), (0, 0), (3, 3)])
def test_a_command_ends_with_the_code_that_it_returns(answer, code):
    assert run_command(lambda: answer) == code


def test_bad_input_is_one_line_on_standard_error_and_code_2(capsys):
    assert run_command(raising(InputError("ratings.csv, line 3: no user"))) == 2
    assert capsys.readouterr() == ("", "error: ratings.csv, line 3: no user\n")


def test_ctrl_c_is_code_130_and_what_the_command_has_to_say_of_it(capsys):
    assert run_command(raising(KeyboardInterrupt()), stopped="stopped; start again") == 130
    assert capsys.readouterr() == ("", "stopped; start again\n")


def test_another_error_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 // 0)


def test_a_broken_pipe_of_a_command_that_does_more_than_print_is_no_success():
    with pytest.raises(BrokenPipeError):
        run_command(raising(BrokenPipeError()))


def test_a_reader_that_leaves_early_is_no_fault_even_of_a_short_answer():
    script = (
        "import sys; from data.commands import run_command; sys.stdin.readline()\n"
        "sys.exit(run_command(lambda: print('one line'), only_prints=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    process.stdin.write("\n")
    process.stdin.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
