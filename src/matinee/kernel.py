"""Typed numba decorators for all compiled loops of the package.

Compiled code is cached beside the source, or in numba's user cache if the source folder is read-only. `fastmath` is
off: sums must not depend on the batch.

numba validates cached code by the kernel's own file, although kernels, classes and constants of other files are
compiled into it. Here the stamp covers all these files and the values of the constants.
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
    """The compiled sequential loop; it releases the interpreter lock."""
    return _cached(numba.njit(nogil=True)(function), function)


def parallel_kernel(function: F) -> F:
    """The compiled loop over `prange`; it uses numba's threads."""
    return _cached(numba.njit(nogil=True, parallel=True)(function), function)


prange: type[range] = numba.prange  # pyright: ignore[reportAssignmentType]
"""`numba.prange`: a range with parallel iterations."""


def _cached(compiled: Any, function: F) -> F:
    if isinstance(compiled, Dispatcher):  # a plain function if NUMBA_DISABLE_JIT is set
        compiled._cache = _Cache(function)  # pyright: ignore[reportAttributeAccessIssue]
    return cast(F, compiled)


class _Cache(FunctionCache):
    """numba's cache of one function, valid while all code compiled into it is unchanged."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__(function)
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, function)


class _Files(IndexDataCacheFile):
    """Files of an index and of the compiled code of each signature.

    The stamp is computed on first use, because a kernel may call kernels defined below it. The name of a code file is
    a hash of stamp and signature, and the file is written before the index. Hence concurrent processes cannot replace
    the code of one signature by that of another; the numbered names of numba allow this.
    """

    def __init__(self, folder: str, name: str, function: Callable[..., object]) -> None:
        super().__init__(folder, name, None)
        self._name, self._function = name, function

    @property
    def _source_stamp(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return stamp(self._function)

    @_source_stamp.setter
    def _source_stamp(self, value: object) -> None:
        """Ignores numba's own stamp."""

    def save(self, key: object, data: object) -> None:
        """Save the compiled code of one signature."""
        code = sha256(f"{self._source_stamp} {key!r}".encode()).hexdigest()[:16]
        name = f"{self._name}.{code}.nbc"
        self._save_data(name, data)
        self._save_index(self._load_index() | {key: name})


@cache
def stamp(function: Callable[..., object]) -> str:
    """A hash of all files and constants compiled into `function`, directly or through calls."""
    files: set[str] = set()
    constants: set[str] = set()
    queue, visited = [function], {function}
    while queue:
        caller = cast(FunctionType, queue.pop())
        files.add(caller.__code__.co_filename)
        for name, value in _references(caller):
            if isinstance(value, Dispatcher | FunctionType):
                callee = cast("Callable[..., object]", getattr(value, "py_func", value))
                if callee not in visited:
                    visited.add(callee)
                    queue.append(callee)
            elif isinstance(value, type):
                files |= _class_file(value)
            elif isinstance(value, bool | int | float | str | tuple):
                constants.add(f"{name} = {value!r}")
    digest = sha256("\n".join(sorted(constants)).encode())
    for content in sorted(_file_hash(file) for file in files):
        digest.update(content)
    return digest.hexdigest()


def _references(function: FunctionType) -> Iterator[tuple[str, object]]:
    """Globals, module members and closure values that code and annotations of a function refer to."""
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


def _class_file(cls: type) -> set[str]:
    """The Python file of a class; empty for other classes."""
    path = getattr(sys.modules.get(cls.__module__), "__file__", None) or ""
    return {path} if path.endswith(".py") else set()


@cache
def _file_hash(file: str) -> bytes:
    """A hash of a file's content, or of its name if there is no file, as in a notebook."""
    path = Path(file)
    return sha256(path.read_bytes() if path.is_file() else file.encode()).digest()
