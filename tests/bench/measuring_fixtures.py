"""Targets for the sweep's tests; a light module, because every measured process imports it."""

from __future__ import annotations

import os
import signal
import time

import torch

from bench.evidence.records import Ceilings, Shape
from bench.measuring.ceilings import Machine
from bench.measuring.targets import Target


def nothing() -> None:
    """A forward pass that does no work."""


def idle(shape: Shape) -> Target:
    """Says how many threads it got in the place of its parameters."""
    return Target(run=nothing, state_bytes=None, flops=None, parameters=torch.get_num_threads())


def sleeper(shape: Shape) -> Target:
    return Target(run=lambda: time.sleep(0.01), state_bytes=None, flops=None, parameters=1)


def crashes_on_retnet(shape: Shape) -> Target:
    if shape.system.layout == "retnet" and shape.seconds == 1.0:
        os.kill(os.getpid(), signal.SIGSEGV)
    return idle(shape)


def outgrows_memory(shape: Shape) -> Target:
    size = 1 << 40 if shape.seconds == 1.0 else 1
    return Target(run=lambda: torch.ones(size), state_bytes=None, flops=None, parameters=1)


def no_ceilings(machine: Machine) -> Ceilings:
    """In the place of the real ones, which take a second."""
    return Ceilings(flops_per_s=dict.fromkeys(machine.dtypes, 1e9), copy_bytes_per_s=1e9)
