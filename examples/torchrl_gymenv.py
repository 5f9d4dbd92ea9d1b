"""TorchRL's PPO over its GymEnv: collector, advantages and loss are all TorchRL's.

    python examples/torchrl_gymenv.py

`CandidateFeatures` is a plain module, so that it serves as a network here, too.
"""

import argparse

import torch
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.envs import ExplorationType, GymEnv, set_exploration_type
from torchrl.modules import ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

import textenv  # noqa: F401 - registers the environments
from agents.integrations.sb3_features import CandidateFeatures

KEYS = ["attention_mask", "candidate_ids", "candidate_mask", "input_ids"]


class Network(nn.Module):
    """A linear layer on the features of the candidates; takes the observation's parts in order."""

    def __init__(self, features: CandidateFeatures, n_outputs: int) -> None:
        super().__init__()
        self.features = features
        self.head = nn.Linear(features.features_dim, n_outputs)

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        flat = [part.reshape(-1, part.shape[-1]) for part in parts]
        outputs = self.head(self.features(dict(zip(KEYS, flat, strict=True))))
        return outputs.view(*parts[0].shape[:-1], -1)


@torch.no_grad()
def score(policy: ProbabilisticTensorDictSequential, env: GymEnv, n: int) -> float:
    """The mean reward of n episodes, with the most likely actions."""
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        rewards = [env.rollout(100, policy)["next", "reward"].sum() for _ in range(n)]
    return float(torch.stack(rewards).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--id", default="TextDialogueEasy-v0", help="any with candidates")
    parser.add_argument("--steps", type=int, default=3072, help="choices to learn from")
    parser.add_argument("--episodes", type=int, default=64, help="held-out episodes to score")
    parser.add_argument("--batch", type=int, default=512, help="choices between two updates")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    def make(split: str) -> GymEnv:
        return GymEnv(args.id, action_level="select", split=split, categorical_action_encoding=True)

    env, held_out = make("train"), make("test")
    n_actions = int(env.action_spec.space.n)
    features = CandidateFeatures(env.unwrapped.observation_space, n_actions)
    logits = TensorDictModule(Network(features, n_actions), in_keys=KEYS, out_keys=["logits"])
    policy = ProbabilisticActor(
        logits,
        spec=env.action_spec,
        in_keys=["logits"],
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
    )
    critic = ValueOperator(Network(features, 1), in_keys=KEYS)
    advantages = GAE(
        gamma=1.0, lmbda=0.95, value_network=critic, average_gae=True, deactivate_vmap=True
    )
    loss = ClipPPOLoss(policy, critic, entropy_coeff=0.01, critic_coeff=0.5)
    optimizer = torch.optim.Adam(set(loss.parameters()), lr=1e-3)
    collector = Collector(
        env,
        policy,
        frames_per_batch=args.batch,
        total_frames=args.steps,
        auto_register_policy_transforms=True,
    )
    collector.set_seed(args.seed)
    held_out.set_seed(args.seed)

    before = score(policy, held_out, args.episodes)
    for data in collector:
        for _ in range(4):
            with torch.no_grad():
                advantages(data)
            for rows in torch.randperm(len(data)).split(64):
                losses = loss(data[rows])
                optimizer.zero_grad()
                sum(
                    losses[f"loss_{name}"] for name in ("objective", "critic", "entropy")
                ).backward()
                nn.utils.clip_grad_norm_(loss.parameters(), 0.5)
                optimizer.step()
        print(f"mean reward of the batch {data['next', 'reward'].mean():.3f}", flush=True)
    collector.shutdown()
    after = score(policy, held_out, args.episodes)
    print(f"TorchRL's PPO on {args.id}: before {before:.3f} after {after:.3f}")


if __name__ == "__main__":
    main()
