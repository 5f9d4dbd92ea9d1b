"""The slots of a table booking and the values that each can take."""

from __future__ import annotations

SLOTS: dict[str, tuple[str, ...]] = {
    "food": (
        "American",
        "Chinese",
        "French",
        "Greek",
        "Indian",
        "Italian",
        "Japanese",
        "Korean",
        "Mexican",
        "Spanish",
        "Thai",
        "Turkish",
    ),
    "area": ("north", "south", "east", "west", "center", "old town", "suburbs", "village"),
    "people": ("2", "3", "4", "5", "6", "7", "8"),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "time": (
        "12:30 pm",
        "1 pm",
        "1:30 pm",
        "2 pm",
        "6 pm",
        "6:30 pm",
        "7 pm",
        "7:30 pm",
        "8 pm",
        "8:30 pm",
        "9 pm",
        "9:30 pm",
    ),
}
"""Every slot of a goal with its values, in the order in which a booking names them."""

ANY = "any"
"""The value of a slot that the guest does not care about; a booking leaves it out."""
