"""Devices of tensors."""

from __future__ import annotations

import torch

from matinee.errors import InsufficientMemoryError, SpecError


def available_devices() -> list[str]:
    """Names of the devices of this machine: "cpu", and with GPUs "cuda", "cuda:0", …."""
    gpus = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    return ["cpu", *(["cuda"] if gpus else []), *gpus]


def resolve_device(name: str) -> str:
    """`name` if this machine has that device; raises `SpecError` otherwise."""
    devices = available_devices()
    if name not in devices:
        raise SpecError("--device", f"found {name!r}", f"what this machine has: {', '.join(devices)}")
    return name


def check_gpu_memory(kind: str, needed: int, device: str, advice: str) -> None:
    """Raise `InsufficientMemoryError` if a GPU has fewer than `needed` free bytes.

    `FitContext.check_memory` checks the memory of the CPU.
    """
    if device == "cpu":
        return
    free, _ = torch.cuda.mem_get_info(device)
    if needed > free:
        raise InsufficientMemoryError(f"{kind} on {device}", needed, free, advice)
