"""Where tensors live."""

from __future__ import annotations

import torch

from matinee.errors import InsufficientMemoryError, SpecError


def available_devices() -> list[str]:
    """What this machine has, by name: "cpu", and with a GPU "cuda", "cuda:0" and so on."""
    gpus = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    return ["cpu", *(["cuda"] if gpus else []), *gpus]


def resolve_device(name: str) -> str:
    """The name of a device, if it is one and this machine has it; raises `SpecError` otherwise."""
    have = available_devices()
    if name not in have:
        raise SpecError("--device", f"found {name!r}", f"what this machine has: {', '.join(have)}")
    return name


def check_gpu_memory(kind: str, needed: int, device: str, advice: str) -> None:
    """Refuse what needs more bytes than are free on a GPU; memory of the CPU is looked at by `Context.admit`."""
    if device == "cpu":
        return
    free, _ = torch.cuda.mem_get_info(device)
    if needed > free:
        raise InsufficientMemoryError(f"{kind} on {device}", needed, free, advice)
