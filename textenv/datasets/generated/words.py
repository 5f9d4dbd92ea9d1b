"""Short common words from which the generated datasets are made: people, places and things.

No word of a list takes "an" for its article, and every name is a single word.
"""

from __future__ import annotations


def split_words(text: str) -> tuple[str, ...]:
    """Returns the words of a text, for lists that read better without quotes and commas."""
    return tuple(text.split())


WOMEN = split_words(
    "Anna Beth Clara Daisy Ella Fiona Grace Helen Irene Jane Kate Laura Maria Nora Olga Paula Rosa "
    "Sarah Tina Vera"
)
MEN = split_words(
    "Adam Ben Carl David Eric Frank George Henry Ivan Jack Kevin Leo Mark Nick Oscar Paul Robert "
    "Sam Tom Victor"
)
FIRST_NAMES = WOMEN + MEN
LAST_NAMES = split_words(
    "Adams Bell Brown Carter Clark Cole Davis Evans Fisher Ford Foster Fox Grant Green Gray Harris "
    "Hill Hughes Hunt Jones Kelly King Lane Lewis Mason Miller Moore Morgan Nelson Parker Perry "
    "Reed Scott Shaw Smith Stone Taylor Turner Wood Young"
)
TOWNS = split_words(
    "Ashford Berlin Boston Bristol Cairo Chester Dallas Delhi Denver Derby Dover Dublin Geneva "
    "Hanover Houston Kingston Lima Lincoln London Madrid Miami Milan Newport Norwich Oslo Oxford "
    "Paris Perth Preston Quebec Rome Salem Seoul Sydney Tokyo Vienna Warsaw Winston York Zurich"
)
DAYS = split_words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = split_words(
    "January February March April May June July August September October November December"
)
JOBS = split_words(
    "baker barber builder butcher carpenter cleaner dentist doctor driver farmer gardener lawyer "
    "nurse painter pilot plumber sailor shopkeeper tailor teacher waiter"
)
COLORS = split_words("black blue brown gray green pink purple red white yellow")
FOODS = split_words(
    "bread cake cheese chicken chocolate fish noodles pasta pizza potatoes rice salad soup steak"
)
PETS = split_words("bird cat dog duck goat hamster horse lizard mouse parrot pony rabbit snake")
