"""What the reports of the set "news" are made of: kinds of events, padding, and small lists."""

from __future__ import annotations

from dataclasses import dataclass

from textenv.datasets.generated.words import JOBS, split_words


@dataclass(frozen=True)
class EventKind:
    """One kind of event, as templates over the slots that `news` fills.

    Attributes:
        summary: The reference.
        event: Ways to tell the event; one of them is in the report.
        before: Sentences that may stand before the event.
        after: Sentences that may stand after it, and take up its actor or thing again.
        detail: Ways to tell what the summary needs and `event` leaves out; one of them is after it.
        roles: What `role` may be.
        things: What `thing` may be.
        extras: What `extra` may be.
    """

    summary: str
    event: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    detail: tuple[str, ...] = ()
    roles: tuple[str, ...] = ("mayor",)
    things: tuple[str, ...] = ("thing",)
    extras: tuple[str, ...] = ("extra",)


KINDS = (
    EventKind(  # opening
        summary="{Role} {first} {last} opened a new {thing} in {town} on {day}.",
        event=(
            "{Role} {first} {last} opened the new {thing} in {town} on {day} {part}.",
            "On {day}, {role} {first} {last} cut the ribbon at the new {thing} in {town}.",
            "The new {thing} in {town} was opened on {day} by {role} {first} {last}.",
            "People in {town} got a new {thing} on {day}, and {role} {first} {last} opened it.",
        ),
        before=(
            "For many years there was only a small {thing} in this part of the country.",
            "Some people came early, and {number} of them waited in line.",
            "The old {thing} was closed in {month} because the roof was not safe.",
        ),
        after=(
            "{last} said the {thing} would bring new life to the town.",
            "The {thing} cost {number} million dollars and took two years to build.",
            "Entry to the {thing} is free until {amonth}.",
            "After the speech, {last} walked through the {thing} with a group of children.",
            "The plan for the {thing} was first made by teacher {ofirst} {olast}.",
        ),
        roles=("mayor", "minister", "governor", "singer", "actor"),
        things=("library", "school", "bridge", "park", "museum", "market", "hospital", "station"),
    ),
    EventKind(  # match
        summary="{first} {last} scored {few} goals as {town} beat {otown} on {day}.",
        event=(
            "{first} {last} scored {few} goals on {day} as {town} beat {otown} at home.",
            "With {few} goals from {first} {last}, {town} won against {otown} on {day} {part}.",
            "{town} beat {otown} on {day}, and {first} {last} scored {few} of the goals.",
            "{otown} lost to {town} on {day} after {first} {last} scored {few} goals.",
        ),
        before=(
            "The home team had not won a game since {month}.",
            "About {number} thousand fans came to the game.",
            "The teams had met before, in {month}, and nobody scored.",
        ),
        after=(
            "{last} joined the team in {amonth} from a club in {xtown}.",
            '"I just wanted to help the team," said {last} after the game.',
            "The coach said {last} was the best player on the field.",
            "{last} had to leave the field near the end with a bad knee.",
            "The next game is on {oday} against {xtown}.",
        ),
    ),
    EventKind(  # storm
        summary="A {thing} damaged {number} {extra} in {town} on {day}.",
        event=(
            "A {thing} hit {town} on {day} {part} and damaged {number} {extra}.",
            "In {town}, {number} {extra} were damaged on {day} when a {thing} came through.",
            "On {day}, a bad {thing} left {number} {extra} in {town} with damage.",
            "At least {number} {extra} in {town} were damaged by a {thing} on {day}.",
        ),
        before=(
            "The weather service had sent out a warning the day before.",
            "The last big {thing} in the area was in {month}, and it did little harm.",
            "Families stayed inside and kept away from the windows.",
        ),
        after=(
            "The {thing} also cut the power for most of the night.",
            "The {thing} then moved on to {otown}, where it lost its force.",
            "Mayor {last} said it would take weeks to fix everything.",
            "Nobody was hurt, but the {thing} left trees all over the roads.",
            "A shelter for families was opened in the school.",
        ),
        things=("storm", "flood", "tornado", "snowstorm"),
        extras=("homes", "houses", "shops", "farms", "boats"),
    ),
    EventKind(  # theft
        summary="Police arrested {role} {first} {last} for stealing a {thing} in {town}.",
        event=(
            "Police in {town} caught {role} {first} {last} with a stolen {thing} on {day}.",
            "The {role} {first} {last} was arrested in {town} on {day} for taking a {thing}.",
            "On {day}, police arrested {first} {last}, a {role} who took a {thing} in {town}.",
            "A {thing} was stolen in {town}, and police arrested {role} {first} {last} on {day}.",
        ),
        before=(
            "It was the third such case in the area since {month}.",
            "A camera at the gate showed someone in a dark coat.",
            "Police had asked people to lock their doors at night.",
        ),
        after=(
            "The {thing} is worth about {number} thousand dollars.",
            "{last} told the police that it was all a mistake.",
            "The {thing} was found under a bed and is now back with its owner.",
            "{last} must go before a judge in {otown} on {oday}.",
            "Neighbors said {last} was a quiet person with few friends.",
        ),
        roles=JOBS,
        things=("car", "painting", "boat", "ring", "violin", "clock", "truck", "horse"),
    ),
    EventKind(  # discovery
        summary="{Role} {first} {last} found a {thing} {extra} in {town}.",
        event=(
            "On {day}, {role} {first} {last} found a {thing} {extra} in {town}.",
            "A {thing} was found {extra} in {town} on {day} by {role} {first} {last}.",
            "{Role} {first} {last} made a great find in {town} on {day}: a {thing} {extra}.",
            "While at work {extra} in {town}, {role} {first} {last} came across a {thing}.",
        ),
        before=(
            "Old letters spoke of such a place, but nobody believed them.",
            "A team from {otown} had searched the area in {month} and found nothing.",
            "It began as a normal day of work for the team.",
        ),
        after=(
            "{last} said the {thing} may be hundreds of years old.",
            "The {thing} will be shown in a museum in {otown} from {amonth}.",
            '"My hands were shaking," said {last}.',
            "Experts think the {thing} once belonged to a king.",
            "The land belongs to {ofirst} {olast}, who hopes to sell it.",
        ),
        roles=("farmer", "builder", "student", "teacher", "gardener", "professor", "diver"),
        things=("tomb", "sword", "gold coin", "stone wall", "ship", "crown", "map", "statue"),
        extras=("under a church", "near a lake", "below a street", "in a cave", "behind a farm"),
    ),
    EventKind(  # election
        summary="{Role} {first} {last} was elected {thing} of {town} with {percent} percent.",
        event=(
            "The {role} {first} {last} won the vote for {thing} of {town} on {day}.",
            "On {day}, people in {town} chose {role} {first} {last} as their new {thing}.",
            "{town} has a new {thing}: {first} {last}, a {role}, won the vote on {day}.",
            "{first} {last}, who works as a {role}, will be the next {thing} of {town}.",
        ),
        detail=(
            "{last} won {percent} percent of the vote.",
            "The count gave {last} {percent} percent.",
            "With {percent} percent, {last} did better than anyone had thought.",
        ),
        before=(
            "The doors opened at seven, and the lines were long.",
            "The last {thing} left the job in {month} after a fight over money.",
            "Most papers had said that {olast} would win.",
        ),
        after=(
            "{last} wants to fix the roads and build a new school.",
            "The other name on the list, {ofirst} {olast}, said it was a fair race.",
            '"Today we start to work," said {last} to a happy crowd.',
            "{last} will start the job in {amonth}.",
        ),
        roles=JOBS,
        things=("mayor", "governor", "judge", "sheriff"),
    ),
    EventKind(  # crash
        summary="A {thing} driven by {first} {last} hit a {extra} in {town}, hurting {few} people.",
        event=(
            "A {thing} driven by {first} {last} hit a {extra} in {town} on {day} {part}.",
            "On {day}, {first} {last} drove a {thing} into a {extra} in {town}.",
            "In {town}, a {thing} ran into a {extra} on {day} with {first} {last} at the wheel.",
            "{first} {last} was at the wheel of a {thing} that hit a {extra} in {town} on {day}.",
        ),
        detail=(
            "In all, {few} people were hurt.",
            "{Few} people were taken to a hospital in {otown}.",
            "Doctors treated {few} people who were hurt.",
        ),
        before=(
            "The road is narrow there, and the lights have been out since {month}.",
            "People who live on the street have asked for a lower speed limit.",
            "There was ice on the road and very little light.",
        ),
        after=(
            "{last} told police that the brakes did not work.",
            "The {thing} was on its way to {xtown}.",
            "The road was closed for {number} minutes.",
            "Police said {last} had not been drinking.",
        ),
        things=("bus", "truck", "taxi", "van", "train"),
        extras=("tree", "wall", "tractor", "fence", "shop", "parked car"),
    ),
    EventKind(  # closure
        summary="{org} will close its {thing} factory in {town}, cutting {number} jobs.",
        event=(
            "The company {org} will shut its {thing} factory in {town} in {month}.",
            "{org} said on {day} that it would close its {thing} factory in {town}.",
            "The {thing} factory of {org} in {town} will close in {month}.",
            "Workers in {town} heard on {day} that {org} would shut the {thing} factory there.",
        ),
        detail=(
            "The plan will cost {number} people their jobs.",
            "All {number} workers will lose their jobs.",
            "With the factory, {number} jobs will be lost.",
        ),
        before=(
            "Sales of {thing} have been falling for three years.",
            "There had been talk of bad news since the boss left.",
            "Not long ago, the factory was the pride of the town.",
        ),
        after=(
            "{first} {last}, who runs {org}, said there was no other way.",
            "{org} will keep its other factory in {otown}.",
            '"I gave them half my life," said {ofirst} {olast}, who works there.',
            "The first factory of {org} was built by a {job} from {xtown}.",
        ),
        things=("shoe", "paper", "glass", "toy", "sugar", "steel", "furniture"),
    ),
    EventKind(  # launch
        summary="{org} has launched a {extra} {thing} that costs {number} dollars.",
        event=(
            "{org} showed its new {extra} {thing} for the first time in {town} on {day}.",
            "At a show in {town} on {day}, the company {org} launched a {extra} {thing}.",
            "A {extra} {thing} made by {org} went on sale in {town} on {day}.",
            "On {day}, {first} {last} of {org} showed the company's {extra} {thing} in {town}.",
        ),
        detail=(
            "The {thing} costs {number} dollars.",
            "Buyers will have to pay {number} dollars for the {thing}.",
            "At {number} dollars, the {thing} is not cheap.",
        ),
        before=(
            "Fans had waited for this day since {month}.",
            "A photo of it was seen on a train last week.",
            "The room was full an hour before the show began.",
        ),
        after=(
            "{org} hopes to sell two million of them by {amonth}.",
            "{ofirst} {olast}, who tried the {thing}, said it was easy to use.",
            "The {thing} was made by a small team in {otown}.",
            "Last year {org} lost money on a game that nobody liked.",
        ),
        things=("phone", "watch", "camera", "radio", "robot", "bike", "lamp"),
        extras=("tiny", "solar", "talking", "wooden", "folding", "silent"),
    ),
    EventKind(  # rescue
        summary="{Role} {first} {last} saved a {thing} from a {extra} in {town} on {day}.",
        event=(
            "{Role} {first} {last} pulled a {thing} out of a {extra} in {town} on {day}.",
            "A {thing} was saved from a {extra} in {town} on {day} by {role} {first} {last}.",
            "In {town} on {day}, {role} {first} {last} saved the life of a {thing} in a {extra}.",
            "A {thing} is safe after {role} {first} {last} got it out of a {extra} in {town} on "
            "{day}.",
        ),
        before=(
            "A loud cry was heard just after the church bell.",
            "At first nobody knew what to do, and some ran for a rope.",
            "A sign at the place has warned of danger since {month}.",
        ),
        after=(
            "The {thing} was cold and afraid, but not hurt.",
            '"Anyone would have done the same," said {last}.',
            "{last} had been on the way to see a friend in {otown}.",
            "The owner of the {thing}, {ofirst} {olast}, cried with joy.",
            "It took {last} almost {number} minutes.",
        ),
        roles=JOBS,
        things=("dog", "cat", "horse", "pony", "goat", "rabbit", "sheep", "swan"),
        extras=("river", "lake", "well", "burning barn", "deep hole", "frozen pond"),
    ),
    EventKind(  # strike
        summary="{number} {role}s in {town} went on strike on {day} for {extra}.",
        event=(
            "{number} {role}s in {town} stopped work on {day} and asked for {extra}.",
            "On {day}, {number} {role}s walked out in {town}, asking for {extra}.",
            "To get {extra}, {number} {role}s in {town} stayed away from work on {day}.",
            "In {town}, {number} {role}s put down their tools on {day} to ask for {extra}.",
        ),
        before=(
            "Talks with the owners broke down last week.",
            "The {role}s have had the same deal since {month}.",
            "A similar fight in {otown} ended after only a day.",
        ),
        after=(
            "The {role}s are led by {first} {last}, who called it a sad day.",
            "The {role}s plan to walk through the center of town on {oday}.",
            "The owners said the {role}s wanted too much.",
            "Talks with the {role}s will go on in {amonth}.",
        ),
        roles=("driver", "nurse", "teacher", "miner", "cook", "pilot", "cleaner", "sailor"),
        extras=("higher pay", "more rest", "shorter hours", "safer work", "more staff"),
    ),
    EventKind(  # gift
        summary="{Role} {first} {last} gave {number} thousand dollars to a {thing} in {town}.",
        event=(
            "The {role} {first} {last} has given a lot of money to a {thing} in {town}.",
            "A {thing} in {town} got a large gift on {day} from {role} {first} {last}.",
            "On {day}, {role} {first} {last} handed a big check to a {thing} in {town}.",
            "A {thing} in {town} thanked {role} {first} {last} on {day} for a rich gift.",
        ),
        detail=(
            "The gift was {number} thousand dollars.",
            "{last} gave {number} thousand dollars in all.",
            "The {thing} will get {number} thousand dollars.",
        ),
        before=(
            "Money has been short all over the area since {month}.",
            "A sale of cakes last year brought in too little.",
            "Good news is rare these days, but here is some.",
        ),
        after=(
            "{last} grew up nearby and once worked there.",
            "The head of the {thing}, {ofirst} {olast}, could not stop smiling.",
            "The {thing} wants to use the money for a new roof.",
            '"I do not need much," said {last}.',
        ),
        roles=JOBS,
        things=("school", "library", "church", "hospital", "museum", "youth club", "zoo"),
    ),
    EventKind(  # escape
        summary="{Role} {first} {last} caught a {thing} that escaped from a {extra} in {town}.",
        event=(
            "A {thing} ran away from a {extra} in {town}, and {role} {first} {last} caught it.",
            "{Role} {first} {last} caught a {thing} on {day} that had left its {extra} in {town}.",
            "A {thing} that broke out of a {extra} in {town} was caught by {role} {first} {last}.",
            "On {day}, {role} {first} {last} caught a {thing}, lost from a {extra} in {town}.",
        ),
        before=(
            "Children on their way to school could not believe their eyes.",
            "A gate had been left open during the night.",
            "The police got {number} calls before noon.",
        ),
        after=(
            "{last} used bread and a long rope.",
            "The {thing} was tired but in good health.",
            "The {thing} had eaten all the flowers in a garden.",
            '"It looked at me like a friend," said {last}.',
            "The {thing} came here from {otown} in {amonth}.",
        ),
        roles=JOBS,
        things=("monkey", "lion", "snake", "bear", "camel", "penguin", "zebra", "wolf"),
        extras=("zoo", "circus", "farm", "truck", "park"),
    ),
)

# Sentences for any report. A report has one of each row at most, so that they cannot clash.
BEFORE = (
    (
        "It was a {weather} {part} in {town}.",
        "The {part} was {weather}, and the streets were quiet.",
        "After a {weather} week, few people were out.",
    ),
    (
        "Not much had happened in town since the fair in {bmonth}.",
        "Only last week, a fire in {ztown} was the big story.",
        "In {bmonth}, {ztown} was in the news for a very different reason.",
    ),
)
AFTER = (
    (
        "{wfirst} {wlast}, a {job} from {xtown}, saw it all.",
        '"People will talk about this for years," said {wfirst} {wlast}, a {job}.',
        "{wfirst} {wlast} from {xtown} heard the news on the radio.",
        "A {job} named {wfirst} {wlast} took some photos.",
    ),
    (
        "More news is expected on {oday}.",
        "The story was on the front page in {xtown} too.",
        "Rain is expected in the area until {oday}.",
    ),
)
ORGS = split_words("Apex Borex Delta Fenix Globo Kanto Lumo Metro Nova Orion Polar Vento")
NUMBERS = split_words("12 14 15 16 18 20 24 25 30 32 35 36 40 45 48 50 52 55 60 64 70 75 80 90")
PERCENTS = split_words("51 52 54 55 57 58 60 62 64 66 68 70 72 75 78 80")
FEW = ("two", "three", "four", "five", "six")
PARTS = ("morning", "afternoon", "evening")
WEATHER = ("cold", "cool", "wet", "windy", "gray", "calm")
