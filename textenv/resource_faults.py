"""Tells spent memory and lost GPUs from other errors, and says what can be done."""

from __future__ import annotations

_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc")
_GPU = ("CUDA error", "CUBLAS_STATUS_", "cuDNN error", "CUDNN_STATUS_", "HIP error", "NCCL error")
_SMALLER = (
    "Compute in smaller passes (max_tokens_per_batch), with gradient_checkpointing=true, bf16=true "
    "or lora.r=16, or play fewer episodes at a time (n_envs). textenv plan shows what a run needs"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tells whether an error says that memory is spent, of the machine or of a GPU."""
    # torch has a class for GPUs; on a CPU it raises a RuntimeError. Neither needs torch here.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _NO_MEMORY)


def describe_resource_fault(error: BaseException) -> str | None:
    """Describes spent memory or a lost GPU in one line, with what to do about it.

    Returns:
        The line, without a full stop at its end; None if the error is of another kind.
    """
    first = str(error).strip().partition("\n")[0]
    if is_out_of_memory(error):
        told = f" ({first.rstrip('.')})" if first else ""
        return f"There is not enough memory{told}. {_SMALLER}"
    if type(error).__name__ == "AcceleratorError" or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in _GPU)
    ):
        return (
            f"The GPU failed or was lost ({first.rstrip('.')}). This process cannot use it any "
            "more. Look at nvidia-smi; CUDA_LAUNCH_BLOCKING=1 shows which call failed"
        )
    return None
