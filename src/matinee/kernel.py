"""Numba, typed: the two decorators every compiled loop of the house uses.

Compiled code is cached beside the source (or in numba's user cache where that is read-only), so only the
first call on a machine waits for the compiler. `fastmath` stays off: sums must not depend on the batch.

numba compares the cached code with the file of the kernel alone, although other kernels, classes and constants of other
files are compiled into it. Here the files of all of them count, and the values of the constants.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.dispatcher import Dispatcher

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """A sequential loop, compiled; it releases the interpreter lock."""
    return _cached(numba.njit(nogil=True)(function), function)


def parallel_kernel(function: F) -> F:
    """A loop over `prange`, compiled, on numba's threads."""
    return _cached(numba.njit(nogil=True, parallel=True)(function), function)


prange: type[range] = numba.prange  # pyright: ignore[reportAssignmentType]
"""`numba.prange`: iterations of this loop may run side by side."""


def _cached(compiled: Any, function: F) -> F:
    if isinstance(compiled, Dispatcher):  # a plain function where NUMBA_DISABLE_JIT is set
        compiled._cache = _Cache(function)  # pyright: ignore[reportAttributeAccessIssue]
    return cast(F, compiled)


class _Cache(FunctionCache):
    """numba's cache of one function, fresh only while all that is compiled into the function is unchanged."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__(function)
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, function)


class _Files(IndexDataCacheFile):
    """An index and the compiled code of each signature, in files.

    The stamp is computed when it is first asked for, since a kernel may call others that are defined below it. A file
    of code is named by all that decides it and written before the index, so that processes that compile at the same
    time never replace each other's code by that of another signature; numba numbers them, and may.
    """

    def __init__(self, folder: str, name: str, function: Callable[..., object]) -> None:
        super().__init__(folder, name, None)
        self._name, self._function = name, function

    @property
    def _source_stamp(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return stamp(self._function)

    @_source_stamp.setter
    def _source_stamp(self, value: object) -> None:
        """Numba's own stamp is not used."""

    def save(self, key: object, data: object) -> None:
        """Save the code of one signature."""
        code = sha256(f"{self._source_stamp} {key!r}".encode()).hexdigest()[:16]
        name = f"{self._name}.{code}.nbc"
        self._save_data(name, data)
        self._save_index(self._load_index() | {key: name})


@cache
def stamp(function: Callable[..., object]) -> str:
    """A hash of the files and constants that are compiled into `function`, those of what it calls included."""
    files: set[str] = set()
    constants: set[str] = set()
    waiting, met = [function], {function}
    while waiting:
        one = cast(FunctionType, waiting.pop())
        files.add(one.__code__.co_filename)
        for name, value in _referred(one):
            if isinstance(value, Dispatcher | FunctionType):
                called = cast("Callable[..., object]", getattr(value, "py_func", value))
                if called not in met:
                    met.add(called)
                    waiting.append(called)
            elif isinstance(value, type):
                files |= _file_of(value)
            elif isinstance(value, bool | int | float | str | tuple):
                constants.add(f"{name} = {value!r}")
    digest = sha256("\n".join(sorted(constants)).encode())
    for content in sorted(_content(file) for file in files):
        digest.update(content)
    return digest.hexdigest()


def _referred(function: FunctionType) -> Iterator[tuple[str, object]]:
    """The globals that a function names, in its code or its annotations, and what it names of modules."""
    names = set(re.findall(r"\w+", " ".join(map(str, function.__annotations__.values()))))
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        names |= set(code.co_names)
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    for name in names & function.__globals__.keys():
        value = function.__globals__[name]
        yield name, value
        if isinstance(value, ModuleType):
            yield from ((f"{name}.{inner}", getattr(value, inner, None)) for inner in names)
    for cell in function.__closure__ or ():
        yield "closure", cell.cell_contents


def _file_of(cls: type) -> set[str]:
    """The file of a class, if it is one of Python code."""
    path = getattr(sys.modules.get(cls.__module__), "__file__", None) or ""
    return {path} if path.endswith(".py") else set()


@cache
def _content(file: str) -> bytes:
    """A hash of a file; of its name alone where it cannot be read, as in a notebook."""
    path = Path(file)
    return sha256(path.read_bytes() if path.is_file() else file.encode()).digest()
