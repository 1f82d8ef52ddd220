"""What is said to a person when something goes wrong: a message, and the code that it is looked up by."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TRACEBACK = "Traceback (most recent call last):"
_INDENTED = re.compile(r"^[ ]+.*\n?", re.MULTILINE)
_LONGEST = 300

_PLACE_IN_GRAPH = re.compile(r"\{\{function_node [^}]*\}\} ?")
"""With which TensorFlow begins what it says of an error in a graph; it would fill a line."""


_CREDENTIALS = re.compile(r"://[^\s/@:]*:(?!\d+/)[^\s@]*@")
"""Name and password, or keys, in an address; a port and a path that holds `@` are none."""


def without_credentials(text: str) -> str:
    """Return a text without what its addresses hold before `@`.

    >>> without_credentials("s3://KEY:SEC/RET@bucket/x and https://host:8443/a@b can't be read")
    "s3://***@bucket/x and https://host:8443/a@b can't be read"
    """
    return _CREDENTIALS.sub("://***@", text)


@dataclass(frozen=True)
class CodedMessage:
    """A message and its code.

    Attributes
    ----------
    message
        A single line that says what was wrong, where, and what to do.
    code
        A letter for the area and two digits. `docs/troubleshooting.md` has a cause and a remedy for each.
    """

    message: str
    code: str

    @property
    def line(self) -> str:
        """The message as a person sees it, which ends with the code."""
        return f"{without_credentials(self.message)} [{self.code}]"


class CodedError(Exception):
    """An error whose message has a code. As text it is its message alone: a message around it doesn't hold two codes.

    Parameters
    ----------
    message, code
        As for `CodedMessage`. An error that is raised in place of another one passes on its code.
    """

    def __init__(self, message: str, code: str) -> None:
        # Both are arguments of the exception: it is pickled, and made anew by Beam with a longer message, from these.
        message = without_credentials(message)
        super().__init__(message, code)
        self.message = message
        self.code = code

    def __str__(self) -> str:
        return self.message

    @property
    def line(self) -> str:
        """The message as a person sees it, which ends with the code."""
        return CodedMessage(self.message, code=self.code).line


class InputError(CodedError, ValueError):
    """Something that was given (a file, a setting, a host) can't be used.

    Entry points print `line` without a traceback and exit with a non-zero code.
    """


def one_line(error: BaseException) -> str:
    """Return an error's type and the beginning of what it says."""
    words = _PLACE_IN_GRAPH.sub("", last_words(error))
    text = f"{type(error).__name__}: {' '.join(words.split())}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def last_words(error: BaseException) -> str:
    """Return what an error says, without a traceback that Beam's workers put before it."""
    text = str(error)
    return _INDENTED.split(text)[-1].strip() or text if _TRACEBACK in text else text
