"""Python source as a syntax tree, parsed without running it."""

import ast
import threading
import warnings

_parsing = threading.Lock()
"""Held while a file is parsed: Python 3.11 counts the depth of a tree in all threads together, so
two threads that parse at once may both fail (python/cpython#106905)."""


def parse(source: str | bytes, name: str = "<source>") -> ast.Module:
    """Return the syntax tree of a Python file.

    Raises:
        SyntaxError, ValueError: it is not Python.
    """
    with _parsing, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd but valid code: Python shows them on import
        try:
            return ast.parse(source, name)
        except RecursionError as error:
            raise SyntaxError(f"it is nested too deeply ({error})") from None
