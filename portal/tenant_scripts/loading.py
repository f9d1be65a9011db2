"""Scripts as files.

A script's code comes from the file that an operator names, never from the database: whoever may
write there must not be able to have the portal run it.
"""

import hashlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from portal.database.leases import summary
from portal.errors import PortalError
from portal.tenant_scripts.errors import (
    InvalidScript,
    InvalidSeconds,
    NoApply,
    NotPlainFunction,
    ScriptMisnamed,
    WrongArguments,
    YieldingFunction,
)
from portal.tenants import Tenant

DEFAULT_SECONDS = 600
LONGEST_SECONDS = 24 * 3600
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Script:
    """A script. ``apply`` is called with the handle of an organization's documents, then ``check``,
    if there is one; both together have ``seconds`` for what they do with MongoDB."""

    name: str
    checksum: str
    file: str
    apply: Callable[[Tenant], object]
    check: Callable[[Tenant], object] | None
    seconds: float

    @property
    def short_checksum(self) -> str:
        """The beginning of the checksum, as much as people compare."""
        return self.checksum[:12]


def load_script(path: Path) -> Script:
    """The script in a file, whose name without its ending is the script's. Raises InvalidScript."""
    name = path.stem
    if not _NAME.fullmatch(name):
        raise ScriptMisnamed(str(path))
    try:
        content = path.read_bytes()
        module = _execute(path, content)
    except (Exception, SystemExit) as error:  # of any kind: the script's own code runs
        raise InvalidScript(str(path), _words(path, error)) from error
    apply, check = getattr(module, "apply", None), getattr(module, "check", None)
    if apply is None:
        raise NoApply(str(path))
    _check_function(path, "apply", apply)
    if check is not None:
        _check_function(path, "check", check)
    seconds = getattr(module, "SECONDS", DEFAULT_SECONDS)
    if not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_SECONDS:
        raise InvalidSeconds(str(path), LONGEST_SECONDS)
    # The same file, whichever system it was checked out on.
    text = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    checksum = hashlib.sha256(text).hexdigest()
    return Script(name, checksum, str(path), apply, check, seconds)


def describe_error(script: Script, error: BaseException) -> str:
    """An error that the script raised, with the line of the script that it came through last: in
    words that can be stored, whatever it is."""
    line = _line(script.file, error)
    try:
        words = error.api_words if isinstance(error, PortalError) else summary(error)
    except Exception:  # its own str() fails
        words = type(error).__name__
    described = f"line {line}: {words}" if line else words
    return described.encode("utf-8", "backslashreplace").decode()


def _execute(path: Path, content: bytes) -> ModuleType:
    """The module, made of exactly the bytes that the checksum is of."""
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    exec(compile(content, str(path), "exec"), module.__dict__)  # noqa: S102 (an operator's file)
    return module


def _check_function(path: Path, name: str, function: Any) -> None:
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise NotPlainFunction(str(path), name)
    if inspect.isgeneratorfunction(function):
        raise YieldingFunction(str(path), name)
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        raise WrongArguments(str(path), name) from None


def _words(path: Path, error: BaseException) -> str:
    line = error.lineno if isinstance(error, SyntaxError) else _line(str(path), error)
    at = f"line {line}: " if line else ""
    reason = error.msg if isinstance(error, SyntaxError) else error
    return f"{at}{type(error).__name__}: {reason}"


def _line(file: str, error: BaseException) -> int | None:
    line, traceback = None, error.__traceback__
    while traceback:
        if traceback.tb_frame.f_code.co_filename == file:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
