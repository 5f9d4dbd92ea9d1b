"""What the set "word-problems" tells: situations, and the moves of which a story is made.

A move is a sentence with the calculation that it asks for. Every story carries one running number
(marbles, dollars, miles, ...). The letters of a calculation are

    x  the running number          _  the line before, within the move       s  the first number
    n  an amount                   k  a count                                m  an amount for each
    p  a percentage                v  a small one (a tax)                    c  more than x
    q  a divisor of x              h  "half of", "a third of", ...           t  "twice", ...

and "x%p" is p percent of x. In the sentence they stand in braces, beside the names {name} (whom
{he}, {him} and {his} mean), {b} (of the other sex, so that nobody wonders who "he" is), {town} and
the words of the situation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from textenv.datasets.generated.words import split_words

Line = tuple[str, str, str]  # left, operation, right, as letters


@dataclass(frozen=True)
class Move:
    """One step of a story.

    Attributes:
        lines: Its calculation; the last line gives the new running number.
        texts: Its wordings.
        letters: The numbers to draw.
        told: Of a start that calculates nothing: the letter of the running number.
    """

    lines: tuple[Line, ...]
    texts: tuple[str, ...]
    letters: str
    told: str = ""


def _move(formula: str, *texts: str) -> Move:
    """Reads a move from its calculation, such as "k*m; x+_", and its wordings."""
    parts = [part.strip() for part in formula.split(";") if part.strip()]
    letters = "".join(dict.fromkeys(c for c in formula if c in "nkmpvcqht"))
    if parts and len(parts[0]) == 1:
        return Move((), texts, letters, parts[0])
    return Move(tuple((part[0], part[1], part[2]) for part in parts), texts, letters)


@dataclass(frozen=True)
class Situation:
    """What kind of story it is.

    Attributes:
        starts: Moves that may open it.
        moves: What may happen next; each happens once at most.
        ends: The question, perhaps with a last calculation.
        words: Lists from which {thing}, {thing2} and {thing3} are drawn, all different.
        noise: Sentences with numbers that change nothing.
        money: The running number is in dollars, and may have cents in hard problems.
        limit: The largest number that makes sense.
        choices: Values of a letter that differ from the usual ones.
        chain: Each move tells of somebody new: {next}, whom it compares with {last}.
    """

    starts: tuple[Move, ...]
    moves: tuple[Move, ...]
    ends: tuple[Move, ...]
    noise: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    money: bool = False
    limit: int = 2000
    choices: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    chain: bool = False


_COLLECTIBLES = split_words(
    "marbles stickers coins cards shells stamps pencils apples beads buttons postcards comics "
    "badges crayons nuts magnets"
)
_GADGETS = split_words("lamp backpack clock radio camera chair watch bike tent guitar jacket drone")
_ITEMS = split_words("notebooks brushes mugs towels candles plates shirts puzzles pillows balls")

SITUATIONS = (
    Situation(  # a collection
        starts=(
            _move("n", "{name} has {n} {thing}.", "{name} collects {thing} and has {n} of them."),
            _move(
                "k*m",
                "{name} has {k} boxes with {m} {thing} in each.",
                "{name} owns {k} bags of {m} {thing} each.",
            ),
            _move("n+m", "{name} has {n} old {thing} and {m} new ones."),
        ),
        moves=(
            _move("x+n", "{b} gives {him} {n} more.", "{He} wins {n} more {thing} in a game."),
            _move("x-n", "{He} gives {n} of them to {b}.", "{He} sends {n} of them to {town}."),
            _move("x-n", "{He} loses {n} of {his} {thing} on the way to school."),
            _move(
                "k*m; x+_",
                "{He} buys {k} packs of {m} {thing} each.",
                "For {his} birthday {he} gets {k} boxes with {m} {thing} in each.",
            ),
            _move("k*m; x-_", "{He} gives {m} {thing} to each of {k} friends."),
            _move("x/h; x-_", "{He} gives {h} {his} {thing} to {b}."),
            _move("x%p; x-_", "{He} sells {p} percent of {his} {thing}."),
            _move("x%p; x+_", "By summer {he} has {p} percent more {thing} than that."),
            _move("x*t", "A year later {he} has {t} as many {thing}."),
        ),
        ends=(
            _move("", "How many {thing} does {name} have now?"),
            _move(
                "x/q",
                "{He} puts all of them into boxes of {q}. How many boxes does {he} fill?",
                "{He} shares them all equally among {q} children. How many {thing} does each get?",
            ),
            _move("x*t", "Now {b} has {t} as many {thing} as {name}. How many does {b} have?"),
            _move(
                "x+n; x+_",
                "Now {b} has {n} more {thing} than {name}. How many do they have together?",
            ),
            _move("c-x", "{He} wants to have {c} {thing}. How many more does {he} need?"),
        ),
        noise=("{b} collects {n} other things.", "{name} keeps a list of {n} pages about them."),
        words={"thing": _COLLECTIBLES},
    ),
    Situation(  # shopping
        starts=(
            _move(
                "k*m",
                "{name} buys {k} {item} for ${m} each.",
                "At the shop, {name} takes {k} {item} that cost ${m} each.",
            ),
            _move("n", "{name} wants to buy a {gadget} that costs ${n}."),
            _move("n+m", "{name} buys a {gadget} for ${n} and some paper for ${m}."),
        ),
        moves=(
            _move("x+n", "{He} also buys a {gadget2} for ${n}.", "A {gadget2} for ${n} is next."),
            _move("k*m; x+_", "{He} also takes {k} {item2} for ${m} each."),
            _move("x-n", "With a coupon {he} gets ${n} off the price so far."),
            _move("x%p; x-_", "The shop takes {p} percent off the price so far."),
            _move("x+m", "Delivery costs ${m} more."),
            _move("x/h; x-_", "{b} offers to pay {h} the price so far."),
            _move("x%v; x+_", "A tax of {v} percent is added to the price so far."),
        ),
        ends=(
            _move("", "How many dollars does {name} have to pay?"),
            _move("c-x", "{name} pays with ${c}. How many dollars does {he} get back?"),
            _move("c-x", "{name} has ${c}. How many dollars are left when {he} has paid?"),
            _move(
                "x/q",
                "{q} people share the price equally. How many dollars does each of them pay?",
            ),
        ),
        noise=(
            "The shop opened {n} years ago.",
            "A {gadget3} in the window costs ${m}, but {he} leaves it there.",
            "{name} waits in line for {n} minutes.",
        ),
        words={"item": _ITEMS, "gadget": _GADGETS},
        money=True,
    ),
    Situation(  # money earned, saved and spent
        starts=(
            _move("k*m", "{name} works {k} hours for ${m} an hour."),
            _move("k*m", "{name} saves ${m} a week for {k} weeks."),
            _move("n", "{name} has ${n} in a box.", "{name} finds ${n} in an old coat."),
        ),
        moves=(
            _move("x+n", "{b} gives {him} ${n}.", "{His} aunt sends {him} ${n} from {town}."),
            _move("x-n", "{He} spends ${n} on a {gadget}."),
            _move("x-m", "A train ticket costs {him} ${m}."),
            _move("k*m; x+_", "Then {he} washes {k} cars and gets ${m} for each."),
            _move("k*m; x-_", "{He} pays for {k} {item} at ${m} each."),
            _move("x/h; x-_", "{He} gives {h} {his} money to {b}."),
            _move("x%p; x-_", "{He} gives {p} percent of {his} money to a school."),
            _move("x*t", "{He} sells some paintings, and then has {t} as much money."),
        ),
        ends=(
            _move("", "How many dollars does {name} have now?"),
            _move("c-x", "A {gadget2} costs ${c}. How many dollars does {name} still need for it?"),
            _move(
                "x/q",
                "{He} divides {his} money equally among {q} cousins. "
                "How many dollars does each cousin get?",
            ),
            _move("x+n; x+_", "{b} has ${n} more. How many dollars do they have together?"),
        ),
        noise=(
            "{His} brother is {n} years old.",
            "Last year a {gadget3} cost ${m}.",
            "{name} lives {n} minutes from the bank.",
        ),
        words={"item": _ITEMS, "gadget": _GADGETS},
        money=True,
    ),
    Situation(  # travel
        starts=(
            _move("k*m", "{name} drives for {k} hours at {m} miles an hour."),
            _move("k*m", "{name} sits for {k} hours in a train that goes {m} miles an hour."),
            _move("n+m", "{name} drives {n} miles to {town}, and from there {m} miles to {town2}."),
        ),
        moves=(
            _move("x+n", "Then {he} goes on by bus for another {n} miles."),
            _move("x+n", "{He} gets lost and drives {n} more miles than planned."),
            _move("k*m; x+_", "After lunch {he} drives for {k} hours at {m} miles an hour."),
            _move("k*n; x+_", "On each of the next {k} days {he} walks {n} miles."),
            _move("x*2", "Then {he} goes back the same way."),
            _move("x/h; x+_", "The day after, {he} travels {h} the distance covered until then."),
        ),
        ends=(
            _move("", "How many miles does {name} travel in all?"),
            _move("c-x", "The whole trip is {c} miles long. How many miles are left?"),
            _move(
                "x/q",
                "{He} takes a photo every {q} miles, the last one at the end. "
                "How many photos does {he} take?",
            ),
            _move("x*t", "{b} travels {t} as far. How many miles does {b} travel?"),
        ),
        noise=(
            "A ticket to {town3} costs ${n}.",
            "{name} carries a bag of {n} pounds.",
            "It is {n} degrees outside.",
        ),
        choices={"m": tuple(range(20, 65, 5)), "n": tuple(range(3, 41)), "k": (2, 3, 4, 5)},
    ),
    Situation(  # passengers
        starts=(
            _move("n", "A {vehicle} leaves {town} with {n} people on board."),
            _move("n+m", "An empty {vehicle} picks up {n} adults and {m} children in {town}."),
            _move("k*m", "A {vehicle} leaves {town} with {k} groups of {m} people."),
        ),
        moves=(
            _move("x+n", "In {town2}, {n} more people get on."),
            _move("x-n", "At the next stop {n} people get off."),
            _move("x-n; _+m", "After an hour, {n} people get off and {m} others get on."),
            _move("x/h; x-_", "In {town3}, {h} the people get off."),
            _move("k*m; x+_", "Later {k} families of {m} people each get on."),
            _move("x%p; x-_", "At the market {p} percent of the people on board get off."),
        ),
        ends=(
            _move("", "How many people are on the {vehicle} now?"),
            _move("x*k", "Everyone still on board has {k} bags. How many bags is that?"),
            _move("x*m", "Everyone still on board pays ${m}. How many dollars is that?"),
            _move("c-x", "The {vehicle} has {c} seats. How many seats are free now?"),
            _move(
                "x/q",
                "Everyone still on board takes a taxi in the end, {q} people in each. "
                "How many taxis is that?",
            ),
        ),
        noise=(
            "The {vehicle} is {n} years old.",
            "The trip takes {n} minutes.",
            "The driver, {name}, has worked for {n} years.",
        ),
        words={"vehicle": ("bus", "train", "boat", "ferry", "tram", "ship")},
    ),
    Situation(  # ages
        starts=(_move("n", "{first} is {n} years old."),),
        moves=(
            _move("x+m", "{next} is {m} years older than {last}."),
            _move("x-m", "{next} is {m} years younger than {last}."),
            _move("x*t", "{next} is {t} as old as {last}."),
            _move("x/h", "The age of {next} is {h} the age of {last}."),
            _move("x+m", "{next} was born {m} years before {last}."),
            _move("x-m", "{next} was born {m} years after {last}."),
            _move("x+s", "{next} is as old as {last} and {first} together."),
        ),
        ends=(
            _move("", "How old is {last}?"),
            _move("x+k", "How old will {last} be in {k} years?"),
            _move("x-k", "How old was {last} {k} years ago?"),
            _move("x+s", "What is the sum of the ages of {first} and {last}?"),
        ),
        noise=(
            "{first} lives {n} miles from {town}.",
            "{first} has {k} cats.",
            "The family meets {k} times a year.",
        ),
        limit=96,
        chain=True,
        choices={"n": tuple(range(4, 40)), "m": tuple(range(2, 25)), "k": tuple(range(2, 16))},
    ),
    Situation(  # a garden
        starts=(
            _move("k*m", "{name} plants {k} rows of {m} {plant}."),
            _move("n", "There are {n} {plant} in the garden of {name}."),
            _move("n+m", "{name} plants {n} {plant} in spring and {m} in summer."),
        ),
        moves=(
            _move("x-n", "A storm breaks {n} of them.", "Snow kills {n} of them."),
            _move("x%p; x-_", "Rabbits eat {p} percent of the {plant}."),
            _move("k*m; x+_", "Then {he} plants {k} more rows of {m} {plant}."),
            _move("x/h; x-_", "{He} gives {h} the {plant} to {b}."),
            _move("x+n", "{b} brings {n} more {plant} from {town}."),
            _move("k*m; x-_", "{He} sells {k} baskets with {m} {plant} in each."),
        ),
        ends=(
            _move("", "How many {plant} does {name} have now?"),
            _move("x*k", "{He} sells the rest for ${k} each. How many dollars are they worth?"),
            _move("x/q", "{He} packs the rest in boxes of {q}. How many boxes does {he} fill?"),
            _move("x*k", "Each of the rest needs {k} cups of water. How many cups is that?"),
        ),
        noise=(
            "The garden is {n} meters long.",
            "{name} gets up at {k} in the morning.",
            "{b} has {k} apple trees.",
        ),
        words={
            "plant": split_words(
                "tomatoes cabbages roses tulips pumpkins melons peppers carrots onions cucumbers "
                "lilies sunflowers"
            )
        },
    ),
    Situation(  # water
        starts=(
            _move(
                "k*m", "{name} fills {m} liters of water a minute into a {tank} for {k} minutes."
            ),
            _move("n", "There are {n} liters of water in the {tank} of {name}."),
            _move("n+m", "{name} pours {n} liters of warm and {m} of cold water into a {tank}."),
        ),
        moves=(
            _move("x-n", "{name} takes out {n} liters for the garden of {b}."),
            _move("k*m; x+_", "A pump adds {m} liters a minute for {k} minutes."),
            _move("k*m; x-_", "{name} fills {k} buckets of {m} liters each from it."),
            _move("x/h; x-_", "Then {h} the water runs out through a hole."),
            _move("x%p; x-_", "In the sun {p} percent of the water dries up."),
            _move("x+n", "Rain adds {n} liters."),
        ),
        ends=(
            _move("", "How many liters are in the {tank} now?"),
            _move("c-x", "The {tank} has room for {c} liters. How many more liters fit in?"),
            _move("x/q", "{q} liters are used each day. For how many days is there water?"),
        ),
        noise=(
            "The {tank} weighs {n} pounds.",
            "The nearest lake is {n} miles away.",
            "{b} drinks {k} glasses of milk.",
        ),
        words={"tank": split_words("tank pool barrel pond tub")},
    ),
    Situation(  # reading
        starts=(
            _move("k*m", "{name} reads {m} pages of a {book} a day for {k} days."),
            _move("n+m", "{name} reads {n} pages of a {book} on {day} and {m} the day after."),
            _move("k*m", "{name} reads {k} chapters of a {book}, {m} pages each."),
        ),
        moves=(
            _move("x+n", "On the weekend {he} reads {n} more pages."),
            _move("x+m", "{He} reads another {m} pages in bed."),
            _move("k*m; x+_", "Then {he} reads {m} pages on each of {k} evenings."),
            _move("x*t", "By the end of the month {he} has read {t} as many pages."),
            _move("x/h; x+_", "On a train to {town}, {he} reads {h} that number of pages again."),
        ),
        ends=(
            _move("", "How many pages does {name} read in all?"),
            _move("c-x", "The {book} has {c} pages. How many pages are left?"),
            _move("x/q", "{He} reads {q} pages an hour. How many hours does it take?"),
            _move("x*t", "{b} reads {t} as many pages. How many pages does {b} read?"),
            _move("x-n; x+_", "{b} reads {n} pages less. How many pages do they read together?"),
        ),
        noise=(
            "The {book} cost ${n}.",
            "{b} read it {k} years ago.",
            "{name} owns {n} books about {town2}.",
        ),
        words={"book": ("novel", "book", "story book", "history book", "diary")},
    ),
    Situation(  # children at a place
        starts=(
            _move("k*m", "The {place} in {town} has {k} groups of {m} children."),
            _move("n+m", "The {place} in {town} has {n} girls and {m} boys."),
        ),
        moves=(
            _move("x-n", "On {day}, {n} of the children are sick and go home."),
            _move("x+n", "Then {n} new children come."),
            _move("x%p; x-_", "After lunch {p} percent of the children go home."),
            _move("x/h; x-_", "Then {h} the children leave for a museum."),
            _move("k*m; x+_", "Later {k} buses bring {m} more children each."),
            _move("k*m; x-_", "In the evening {k} vans take home {m} children each."),
        ),
        ends=(
            _move("", "How many children are at the {place} now?"),
            _move("x/q", "Those who are there now make teams of {q}. How many teams is that?"),
            _move(
                "x*k",
                "Each child who is there now gets {k} {thing}. How many {thing} is that?",
            ),
            _move("c-x", "There are {c} chairs for those who are there. How many stay empty?"),
        ),
        noise=(
            "The {place} is {n} years old.",
            "A teacher, {name}, has {k} children of {his} own.",
            "Lunch costs ${k}.",
        ),
        words={
            "place": ("school", "camp", "swimming club", "music school", "sports club"),
            "thing": _COLLECTIBLES,
        },
    ),
    Situation(  # a bakery
        starts=(
            _move("k*m", "{name} bakes {k} trays of {m} {baked}."),
            _move("n", "{name} has {n} {baked} in the shop."),
            _move("n+m", "{name} bakes {n} {baked} before dawn and {m} after breakfast."),
        ),
        moves=(
            _move("x-n", "{He} burns {n} of them.", "{He} drops {n} of them and throws them away."),
            _move("k*m; x-_", "{He} sells {k} bags with {m} {baked} in each."),
            _move("x/h; x-_", "A hotel in {town} buys {h} the {baked}."),
            _move("x%p; x-_", "Before noon {he} sells {p} percent of the {baked}."),
            _move("k*m; x+_", "Then {he} bakes {k} more trays of {m} {baked}."),
            _move("x+n", "{b} brings {n} more {baked}."),
        ),
        ends=(
            _move("", "How many {baked} does {name} have now?"),
            _move("x*k", "{He} sells the rest for ${k} each. How many dollars are they worth?"),
            _move("x/q", "{He} packs the rest in boxes of {q}. How many boxes does {he} fill?"),
        ),
        noise=(
            "The oven is {n} years old.",
            "A cup of tea costs ${k}.",
            "The shop is {n} steps from the station.",
        ),
        words={"baked": ("rolls", "cookies", "muffins", "pies", "tarts", "buns", "pretzels")},
    ),
    Situation(  # points
        starts=(
            _move("n+m", "{town} scores {n} points in the first game and {m} in the second."),
            _move("k*m", "{town} scores {m} points in each of its first {k} games of {sport}."),
        ),
        moves=(
            _move("x+n", "The team gets {n} points in the next game."),
            _move("x-n", "A mistake costs the team {n} points."),
            _move("k*m; x+_", "Then the team scores {m} points in each of {k} games."),
            _move("x*t", "After a bonus round the team has {t} as many points as before."),
            _move("x%p; x-_", "The judges take away {p} percent of the team's points."),
        ),
        ends=(
            _move("", "How many points does {town} have now?"),
            _move("c-x", "The best team has {c} points. By how many points is {town} behind?"),
            _move("x-n; x+_", "{town2} has {n} points less. How many do both have together?"),
        ),
        noise=(
            "The team has {n} players.",
            "{n} thousand people watch the games.",
            "{name} paid ${n} for a seat.",
        ),
        words={"sport": ("handball", "basketball", "rugby", "volleyball", "table tennis")},
    ),
    Situation(  # area
        starts=(
            _move("k*m", "The {field} of {name} is {k} meters wide and {m} meters long."),
            _move("n", "The {field} of {name} has {n} square meters."),
        ),
        moves=(
            _move("x-n", "A pond takes up {n} square meters of it."),
            _move("x/h; x-_", "{name} plants trees on {h} the free area."),
            _move("x%p; x-_", "A road takes {p} percent of the free area."),
            _move("k*m; x-_", "A shed of {k} by {m} meters is built there."),
            _move(
                "k*m; x+_", "{name} buys a strip beside it, {k} meters wide and {m} meters long."
            ),
        ),
        ends=(
            _move("", "How many square meters are free now?"),
            _move(
                "x/q",
                "One bag of seed is enough for {q} square meters. "
                "How many bags does the free area need?",
            ),
            _move(
                "x*k",
                "Grass costs ${k} for each square meter. "
                "How many dollars does it cost for the free area?",
            ),
        ),
        noise=(
            "The {field} was sold {n} years ago.",
            "{b} lives {n} miles away.",
            "It rains on {k} days.",
        ),
        words={"field": ("field", "park", "garden", "farm", "playground", "meadow")},
        limit=5000,
        choices={"n": tuple(range(20, 200)), "k": tuple(range(4, 20)), "m": tuple(range(6, 40))},
    ),
)
