"""The processes of one training run: the few numbers they share, and the sum of their gradients.

`accelerate launch` or `torchrun` starts one process for each device, and sets the environment
variables by which they find one another. Each has its own environments and rollouts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from textenv.errors import ConfigError, TextEnvError

# Gradients are summed in pieces of this many numbers: 100 MiB in float32.
_BUCKET_NUMBERS = 25 * 2**20


class RankLostError(TextEnvError, RuntimeError):
    """Another process of the same run has ended."""


@dataclass
class Ranks:
    """The processes of a run, as one of them sees them; a run may have only one.

    Every method but `share` is collective: all processes must call it, in the same order.

    Attributes:
        index: Number of this process, from 0.
        size: Number of processes.
        sent_bytes: Bytes that this process has sent so far, by kind: "numbers" and "gradients". A
            network carries about twice that, with any number of processes: a ring sends every
            number around once to add it up and once to distribute the sum.

    Raises:
        RankLostError: From every method: another process has ended.
    """

    index: int = 0
    size: int = 1
    sent_bytes: dict[str, int] = field(default_factory=lambda: {"numbers": 0, "gradients": 0})

    def share(self, n: int, name: str) -> int:
        """Returns this process's part of a number that is given for the whole run.

        Raises:
            ConfigError: The number is not a multiple of the number of processes.
        """
        if n % self.size:
            raise ConfigError(
                f"{name} = {n} is that of all {self.size} processes together and does not divide "
                f"by them. Choose a multiple of {self.size}."
            )
        return n // self.size

    def sum(self, numbers: Tensor) -> Tensor:
        """Returns the sum over processes of a few numbers, on their device."""
        if self.size == 1:
            return numbers
        # On the host, where a process that has died is noticed at once.
        shared = numbers.detach().to("cpu", torch.float64)
        self._count("numbers", [shared])
        with _meeting(self):
            dist.all_reduce(shared)
        return shared.to(numbers.device, numbers.dtype)

    def most(self, n: int) -> int:
        """Returns the largest of the processes' numbers."""
        return max(self.gather(n)) if self.size > 1 else n

    def any(self, flag: bool) -> bool:
        """Returns whether the flag of any process is set."""
        return any(self.gather(flag)) if self.size > 1 else flag

    def gather(self, item: Any) -> list[Any]:
        """Returns every process's item, by rank; items must be picklable."""
        if self.size == 1:
            return [item]
        items: list[Any] = [None] * self.size
        with _meeting(self):
            dist.all_gather_object(items, item)
        return items

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Overwrites tensors with those of process 0."""
        if self.size == 1:
            return
        with _meeting(self), torch.no_grad():
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replaces each gradient by its sum over processes; one that is missing counts as zero."""
        if self.size == 1:
            return
        learning = [p for p in parameters if p.requires_grad]
        has_gradient = torch.tensor([p.grad is not None for p in learning], dtype=torch.float64)
        # A parameter without a gradient in every process keeps none: the optimizer skips it.
        wanted = [p for p, n in zip(learning, self.sum(has_gradient).tolist(), strict=True) if n]
        for bucket in _buckets(wanted):
            flat = torch.cat([_gradient(p).flatten() for p in bucket])
            self._count("gradients", [flat])
            with _meeting(self):
                dist.all_reduce(flat)
            pieces = torch.split(flat, [p.numel() for p in bucket])
            for parameter, piece in zip(bucket, pieces, strict=True):
                parameter.grad = piece.view_as(parameter)

    def _count(self, kind: str, tensors: Iterable[Tensor]) -> None:
        self.sent_bytes[kind] += sum(t.numel() * t.element_size() for t in tensors)


ALONE = Ranks()  # a single process sends nothing, so this never changes


def join_ranks() -> Ranks:
    """Joins the processes that a launcher has started; returns `ALONE` without a launcher.

    Numbers are shared over gloo on the host, and gradients over the device's network: NCCL on GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    if not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    return Ranks(dist.get_rank(), size)


def asks_for_fsdp() -> bool:
    """Returns whether `accelerate launch` was asked for FSDP."""
    return os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("1", "true")


def is_first_rank() -> bool:
    """Returns whether this process prints and writes: the one of rank 0, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def _gradient(parameter: torch.nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _buckets(parameters: list[torch.nn.Parameter]) -> Iterator[list[torch.nn.Parameter]]:
    """Groups parameters of one type, in order, into pieces of limited size."""
    bucket: list[torch.nn.Parameter] = []
    for parameter in parameters:
        full = sum(p.numel() for p in bucket) + parameter.numel() > _BUCKET_NUMBERS
        if bucket and (full or parameter.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(parameter)
    if bucket:
        yield bucket


@contextmanager
def _meeting(ranks: Ranks) -> Iterator[None]:
    """Turns errors of torch.distributed into `RankLostError`."""
    try:
        yield
    except RuntimeError as error:
        raise RankLostError(
            f"Process {ranks.index} of {ranks.size} cannot continue: another one has ended or "
            "cannot be reached, and its output says why. The last checkpoint is whole; continue "
            f"from it with --resume. ({str(error).splitlines()[0][:200]})"
        ) from error
