"""A policy's passes while it acts: over new tokens alone, from cached keys and values."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.decoding.cuda_graphs import can_capture
from agents.decoding.decoder import SlotDecoder
from agents.decoding.sampling import check_tokens, choose_tokens
from agents.policy.networks import Networks


class CachedPasses:
    """Reads only what is new in the texts of an environment's slots, without gradient.

    The actor and a separate critic have a decoder each. Both are made when they are first needed,
    and made anew for more slots.

    Args:
        networks: Networks of the policy.

    Attributes:
        decoders: The actor's decoder, with its output layer, and that of a separate critic; none
            until they are needed.
    """

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self.decoders: tuple[SlotDecoder, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        # Cached keys are computed again where they are needed; graphs cannot be copied.
        return {**vars(self), "decoders": ()}

    @property
    def reading_share(self) -> float:
        """Share of slots that should have a prompt to read before prompts are read.

        Where steps are captured graphs, a pass over prompts costs as much as several steps, however
        few prompts it has. With n slots, m tokens per episode, and a pass that costs f steps,
        waiting for k slots costs a share of (k - 1) / 2n in steps and saves passes. The best
        k = n sqrt(2 f / m) is about half of the slots for f = 5 and m = 40; a quarter is nearly as
        good there, and better for longer texts. Elsewhere the share is 0: prompts are read in the
        same pass as the other slots' tokens.
        """
        networks = self._networks
        return 0.25 if networks.ways.cached and can_capture(networks.backbone) else 0.0

    def write(
        self,
        input_ids: NDArray[np.int32],
        lengths: NDArray[np.int64],
        rows: NDArray[np.int64],
        deterministic: bool,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Chooses the next token of some slots, as `LMPolicy.act` does."""
        networks = self._networks
        with torch.no_grad(), networks.autocast():
            decoder = self._decoders(int(rows.max()) + 1)[0]
            logits = networks.scale(decoder.logits(decoder.feed(rows, input_ids, lengths)))
            tokens, logprobs = choose_tokens(logits, deterministic)
            # One transfer for both.
            chosen = torch.stack([tokens.double(), logprobs.double()]).cpu()
        check_tokens(chosen[0])
        return chosen[0].long().numpy(), chosen[1].float().numpy()

    def last_hidden(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the actor's and the critic's states after the texts of slots 0 to n - 1.

        Args:
            ids: (n, L) token ids.
            lengths: (n,) true lengths.

        Returns:
            (n, hidden) each.
        """
        rows = np.arange(len(lengths))
        with self._networks.autocast():
            hidden = [
                decoder.feed(rows, ids.cpu().numpy(), lengths.cpu().numpy(), exact=True)
                for decoder in self._decoders(len(rows))
            ]
        return hidden[0], hidden[-1]

    def forget(self) -> None:
        """Drops cached keys and values; the next call computes them again."""
        self.decoders = ()

    def _decoders(self, n_slots: int) -> tuple[SlotDecoder, ...]:
        if not self.decoders or self.decoders[0].n_slots < n_slots:
            networks = self._networks
            self.decoders = tuple(
                SlotDecoder(
                    backbone,
                    n_slots,
                    networks.window,
                    # Without gradient the activations of one layer live at a time.
                    max_tokens_per_batch=4 * networks.options.max_tokens_per_batch,
                    head=head,
                    cached=networks.ways.cached,
                )
                for backbone, head in (
                    (networks.backbone, networks.head),
                    (networks.critic, None),
                )
                if backbone is not None
            )
        return self.decoders
