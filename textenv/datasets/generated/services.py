"""Services that take bookings over the phone: what each asks for, and how it is said.

Every slot has one phrase, "on {}", that the caller, the agent's "On Friday, very well." and the
booking share, so any slot of any service fits any of the three.
"""

from __future__ import annotations

from dataclasses import dataclass

from textenv.datasets.generated.words import DAYS, LAST_NAMES, TOWNS, split_words


@dataclass(frozen=True, eq=False)
class ServiceSlot:
    """One thing to find out.

    Attributes:
        name: The same in every service that asks for it.
        phrase: Phrase that says a value, with "{}" in its place.
        question: Question of the agent.
        values: Possible values.
    """

    name: str
    phrase: str
    question: str
    values: tuple[str, ...]

    def say(self, value: str) -> str:
        """Says a value, such as "on Friday"."""
        return self.phrase.format(value)


@dataclass(frozen=True, eq=False)
class Service:
    """One kind of booking.

    Attributes:
        thing: Thing that is booked, with its article.
        slots: Things to find out, in the order in which a booking tells them.
    """

    thing: str
    slots: tuple[ServiceSlot, ...]


_DAY = ServiceSlot("day", "on {}", "On which day?", DAYS)
_TIME = ServiceSlot(
    "time",
    "at {}",
    "At what time?",
    tuple(f"{hour}{half} am" for hour in range(8, 12) for half in ("", ":30")),
)
_EVENING = ServiceSlot(
    "time",
    "at {}",
    "At what time?",
    tuple(f"{hour}{half} pm" for hour in range(5, 10) for half in ("", ":30")),
)
_START = ServiceSlot("start", "from {} on", "From which day on?", DAYS)
_PEOPLE = ServiceSlot("people", "for {} people", "For how many people?", split_words("2 3 4 5 6 7"))
_MINUTES = ServiceSlot(
    "minutes", "for {} minutes", "For how many minutes?", split_words("20 30 40 45 50 60")
)
_PLACES = split_words(
    "airport bakery bridge castle church harbor hospital library market museum park school stadium "
    "station theater zoo"
)


def _slot(name: str, phrase: str, question: str, values: str) -> ServiceSlot:
    return ServiceSlot(name, phrase, question, tuple(value.strip() for value in values.split(",")))


SERVICES = (
    Service(
        "a table",
        (
            _slot(
                "food",
                "with {} food",
                "With what food?",
                "Chinese, French, Greek, Indian, Italian, Korean, Mexican, Spanish, Thai, Turkish",
            ),
            _slot(
                "area", "in the {}", "In which part of town?", "north, south, east, west, center"
            ),
            _PEOPLE,
            _DAY,
            _EVENING,
        ),
    ),
    Service(
        "a train ticket",
        (
            ServiceSlot("from", "from {}", "From where?", TOWNS[: len(TOWNS) // 2]),
            ServiceSlot("to", "to {}", "Where to?", TOWNS[len(TOWNS) // 2 :]),
            _DAY,
            _TIME,
            _slot(
                "coach",
                "in {}",
                "In which coach?",
                "first class, second class, the quiet coach, the family coach, the sleeping car",
            ),
        ),
    ),
    Service(
        "a hotel room",
        (
            ServiceSlot("town", "in {}", "In which town?", TOWNS),
            _START,
            _slot("nights", "for {} nights", "For how many nights?", "2, 3, 4, 5, 6, 7, 8"),
            _slot(
                "view",
                "with a view of the {}",
                "With a view of what?",
                "sea, garden, park, river, mountains, harbor, lake, old town",
            ),
            _slot(
                "beds",
                "with {}",
                "With which beds?",
                "one large bed, two small beds, three beds, a bunk bed, a baby bed",
            ),
        ),
    ),
    Service(
        "a taxi",
        (
            ServiceSlot("from", "from the {}", "From where?", _PLACES[: len(_PLACES) // 2]),
            ServiceSlot("to", "to the {}", "Where to?", _PLACES[len(_PLACES) // 2 :]),
            _PEOPLE,
            _DAY,
            _TIME,
        ),
    ),
    Service(
        "cinema seats",
        (
            _slot(
                "film",
                "for {}",
                "For what kind of film?",
                "a comedy, a thriller, a western, a musical, a cartoon, a love story, a war film",
            ),
            _PEOPLE,
            _slot(
                "row",
                "in the {}",
                "In which row?",
                "first row, second row, middle, third row, fifth row, last row",
            ),
            _DAY,
            _EVENING,
        ),
    ),
    Service(
        "an appointment",
        (
            _slot(
                "doctor",
                "with the {}",
                "With which doctor?",
                "dentist, eye doctor, skin doctor, heart doctor, children's doctor, ear doctor",
            ),
            _slot(
                "reason",
                "because of {}",
                "For what reason?",
                "a cough, a rash, a sore knee, a bad back, a headache, an old scar, a check-up",
            ),
            _MINUTES,
            _DAY,
            _TIME,
        ),
    ),
    Service(
        "a rental car",
        (
            _slot("seats", "with {} seats", "With how many seats?", "2, 4, 5, 6, 7, 9"),
            _slot(
                "extra",
                "with {}",
                "With which extra?",
                "a roof rack, a child seat, winter tires, a bike rack, a tow bar, snow chains",
            ),
            ServiceSlot("from", "from the {}", "From where?", _PLACES),
            _START,
            _slot("days", "for {} days", "For how many days?", "2, 3, 4, 5, 6, 10, 14"),
        ),
    ),
    Service(
        "a music lesson",
        (
            _slot(
                "instrument",
                "on the {}",
                "On which instrument?",
                "piano, violin, flute, guitar, harp, trumpet, cello, organ",
            ),
            ServiceSlot(
                "teacher", "with {}", "With which teacher?", tuple(f"Ms. {n}" for n in LAST_NAMES)
            ),
            _MINUTES,
            _DAY,
            _TIME,
        ),
    ),
)
"""All services; each asks for five things."""
