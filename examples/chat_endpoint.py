"""A chat model behind an OpenAI-compatible endpoint plays an environment at text level.

    python examples/chat_endpoint.py --model NAME --base-url http://localhost:8000/v1

vLLM, llama.cpp's server, Ollama and most hosted models have such an endpoint; OPENAI_BASE_URL and
OPENAI_API_KEY are read as well. Actions and observations are text: no tokenizer, no torch.
`textenv evaluate --agent chat` measures such a model on held-out examples, and can be resumed.
"""

import argparse

import gymnasium as gym
import numpy as np

import textenv  # noqa: F401 - registers the environments
from textenv.chat import ChatAgent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--id", default="TextDialogue-v0", help="any environment")
    parser.add_argument("--model", required=True, help="its name at the endpoint")
    parser.add_argument("--base-url", help="where the endpoint is, with its /v1")
    parser.add_argument("--system", help="a system prompt")
    parser.add_argument("--episodes", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    agent = ChatAgent(args.model, base_url=args.base_url, system=args.system, temperature=0)
    env = gym.make_vec(
        args.id, num_envs=args.episodes, action_level="text", split="test",
        autoreset_mode="disabled",
    )  # fmt: skip
    conversations, _ = env.reset(seed=args.seed)
    rewards = np.zeros(args.episodes)
    while (playing := env.core.playing.copy()).any():
        slots = np.flatnonzero(playing)
        turns = [""] * args.episodes
        answers = agent.reply_all(conversations[slot] for slot in slots)
        for slot, answer in zip(slots, answers, strict=True):
            turns[slot] = answer
        conversations, paid, *_ = env.step(tuple(turns))
        rewards += paid
    for message in conversations[0]:
        print(f"{message['role']}: {message['content']}")
    print(f"{args.model} on {args.id}: score {rewards.mean():.3f}")


if __name__ == "__main__":
    main()
