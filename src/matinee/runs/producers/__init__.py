"""Producers of lists: one file a kind, the kind is the file name."""

from __future__ import annotations

import sys
from typing import Annotated, TypeAlias

from matinee.runs.fields import Kinded
from matinee.runs.producer import Producer
from matinee.spec import Registry

PRODUCERS: Registry[Producer] = Registry(sys.modules[__name__], Producer, "producer")

AnyProducer: TypeAlias = Annotated[Producer, Kinded(PRODUCERS.read)]
