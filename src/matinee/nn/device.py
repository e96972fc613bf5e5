"""Where tensors live."""

from __future__ import annotations

import torch

from matinee.errors import SpecError


def found(name: str) -> str:
    """The name of a device, if it is one and this machine has it; raises `SpecError` otherwise."""
    have = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    have += [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    if name not in have:
        raise SpecError("--device", f"found {name!r}", f"what this machine has: {', '.join(have)}")
    return name
