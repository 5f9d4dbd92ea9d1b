"""The taskset `textenv-verifiers`: verifiers finds tasksets by the name of a top-level module."""

from agents.integrations.verifiers import TextEnvEnv, TextEnvTaskset

__all__ = ["TextEnvEnv", "TextEnvTaskset"]
