"""Services that take bookings over the phone: what each asks for, and how it is said.

Every slot has one phrase, "on {}", that the caller, the agent's "On Friday, very well." and the
booking share, so any slot of any service fits any of the three.
"""

from __future__ import annotations

from dataclasses import dataclass

from textenv.datasets.generated.tables import load_table


@dataclass(frozen=True, eq=False)
class ServiceSlot:
    """One thing to find out."""

    name: str  # the same in every service that asks for it
    phrase: str  # says a value, with "{}" in its place
    question: str
    values: tuple[str, ...]

    def say(self, value: str) -> str:
        """Says a value, such as "on Friday"."""
        return self.phrase.format(value)


@dataclass(frozen=True, eq=False)
class Service:
    """One kind of booking."""

    thing: str  # with its article
    slots: tuple[ServiceSlot, ...]  # in the order in which a booking tells them


SERVICES = load_table("services", tuple[Service, ...])
"""All services; each asks for five things."""
