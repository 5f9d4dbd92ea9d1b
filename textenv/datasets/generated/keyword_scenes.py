"""Everyday scenes for keyword sentences: who does what to what, with what, and where."""

from __future__ import annotations

from dataclasses import dataclass

from textenv.datasets.generated.words import DAYS, split_words


@dataclass(frozen=True)
class Action:
    """A verb and what goes with it.

    Attributes:
        verb: Its base form.
        objects: What may follow "the"; one word each.
        tools: What may follow "with a"; may be empty.
    """

    verb: str
    objects: tuple[str, ...]
    tools: tuple[str, ...]


@dataclass(frozen=True)
class Scene:
    """Actions that happen in one kind of place.

    Attributes:
        people: Who does them, besides `PEOPLE`.
        places: Phrases whose last word is the keyword.
        actions: What is done.
    """

    people: tuple[str, ...]
    places: tuple[str, ...]
    actions: tuple[Action, ...]


def _scene(people: str, places: str, actions: str) -> Scene:
    made = []
    for line in actions.strip().splitlines():
        verb, _, rest = line.partition(":")
        objects, _, tools = rest.partition("/")
        made.append(Action(verb.strip(), split_words(objects), split_words(tools)))
    phrases = tuple(place.strip() for place in places.split(","))
    return Scene(split_words(people), phrases, tuple(made))


PEOPLE = split_words(
    "man woman boy girl mother father sister brother friend neighbor student grandmother "
    "grandfather uncle aunt teenager visitor tourist couple cousin artist baker clerk judge king "
    "queen lady lawyer mayor pirate poet priest prince princess scientist stranger tailor twin "
    "volunteer writer"
)
ADJECTIVES = split_words(
    "young old tall tired happy busy hungry cheerful careful strong quiet clever kind lonely "
    "famous patient proud shy friendly local brave curious nervous polite rich poor serious "
    "lazy bold calm elderly eager elegant funny foreign gentle graceful grumpy helpful honest "
    "jolly lively loud lucky merry modest muscular sleepy skilled slim sturdy stubborn talented "
    "thin thirsty tiny weary wise"
)
GARMENTS = split_words(
    "jacket shirt hat coat sweater scarf uniform cap dress apron cape hoodie kimono robe suit vest"
)
ADVERBS = split_words(
    "slowly quickly carefully quietly happily gently calmly proudly gladly secretly patiently "
    "bravely eagerly silently cheerfully suddenly nervously skillfully"
)
TIMES = (
    "in the morning",
    "in the afternoon",
    "in the evening",
    "at night",
    "at noon",
    "at dawn",
    "at sunset",
    "at midnight",
    "during the summer",
    "during the winter",
    "in the rain",
    "in the snow",
    "in the fog",
    "before the storm",
    "before lunch",
    "after breakfast",
    "during a break",
    "after the holiday",
    *(f"on {day}" for day in DAYS),
)

SCENES = (
    _scene(
        "chef cook baker waiter",
        "in the kitchen, at the restaurant, in the cafe, at the counter, at the hotel, in the tent",
        """
        cut: bread onion carrot cake lemon tomato / knife
        chop: garlic pepper cabbage celery / knife cleaver
        mix: dough batter salad sauce flour / spoon fork whisk
        fry: egg fish potato bacon mushroom / pan spatula
        stir: soup stew porridge coffee gravy / spoon ladle
        serve: snack dinner pasta pizza dessert / smile
        bake: pie cookie biscuit loaf muffin
        peel: apple orange pear cucumber / peeler knife
        wash: plate bowl cup pot kettle / sponge cloth
        taste: curry jam pudding broth / spoon
        """,
    ),
    _scene(
        "gardener farmer florist",
        "in the garden, on the farm, in the field, behind the barn, near the fence, by the pond",
        """
        water: flower rose lawn herb tulip / hose can bucket
        dig: hole ditch trench / shovel spade
        plant: tree seed bush bulb vine / trowel
        pick: strawberry grape cherry plum peach / ladder basket
        trim: hedge branch grass shrub / saw
        feed: chicken goat horse pig sheep cow / bucket
        rake: leaf hay straw soil / fork
        carry: wood basket crate pumpkin / wheelbarrow cart
        paint: gate bench birdhouse wall / brush roller
        gather: corn wheat nut bean / cart
        """,
    ),
    _scene(
        "teacher professor librarian child",
        "at school, in the library, in the classroom, at home, at the desk, in the hallway",
        """
        read: book story poem newspaper magazine letter
        write: essay diary note report email / pencil pen
        draw: map circle picture triangle portrait / crayon marker pencil
        explain: rule problem lesson experiment theory / chart diagram
        open: window box drawer locker folder / key
        study: history science grammar music geography / tutor
        clean: board table shelf computer / cloth sponge
        solve: puzzle riddle equation sum / calculator
        borrow: dictionary novel atlas guide
        count: coin stamp marble card
        """,
    ),
    _scene(
        "player coach athlete goalkeeper",
        "in the park, at the stadium, on the court, in the gym, on the beach, at the playground",
        """
        throw: ball frisbee javelin dart stone
        catch: baseball hoop ring disc / glove net
        kick: football bottle rock can / boot foot
        hit: target drum pin puck / racket bat stick
        watch: game match race contest fight
        win: medal trophy prize cup round
        lift: weight barbell bag dumbbell / belt
        chase: rival dog pigeon thief
        practice: dance kick karate yoga / instructor
        ride: bike scooter skateboard pony / helmet
        """,
    ),
    _scene(
        "sailor fisherman captain swimmer",
        "on the boat, at the harbor, by the lake, on the shore, near the river, on the pier",
        """
        pull: rope anchor chain net / winch
        catch: salmon crab trout shark lobster / net hook rod
        row: canoe raft kayak dinghy / paddle
        repair: sail engine mast hull / hammer wrench
        photograph: dolphin whale island wave lighthouse / camera
        cross: bay bridge strait channel
        collect: shell pebble driftwood seaweed / bucket
        feed: gull seal duck swan pelican
        load: barrel cargo ship container / crane
        rescue: passenger puppy surfer diver / rope
        """,
    ),
    _scene(
        "carpenter builder plumber mechanic",
        "in the workshop, in the garage, on the roof, at the factory, in the cellar, in the yard",
        """
        fix: pipe chair clock door radio / tool wrench
        build: house shed table cabin tower / hammer drill
        cut: plank board log wire / saw
        paint: ceiling room truck cabinet / brush spray
        move: sofa piano fridge statue / trolley
        polish: floor mirror silver car / cloth
        measure: frame beam tile doorway / ruler tape
        drill: brick metal concrete panel / machine
        push: cart van barrow motorcycle
        check: wheel brake lamp fuse battery / tester
        """,
    ),
    _scene(
        "singer dancer musician drummer",
        "on the stage, in the studio, at the concert, in the theater, at the club, in the church",
        """
        play: guitar piano violin flute trumpet harp / partner
        sing: song ballad anthem carol tune / choir microphone
        perform: dance trick play magic solo / partner
        tune: cello banjo instrument ukulele / fork
        beat: drum gong tambourine / stick mallet
        write: melody opera verse chorus / pen
        applaud: actor pianist clown orchestra
        hold: candle flag flower poster
        record: album voice podcast interview / microphone
        learn: waltz tango symphony chord / teacher
        """,
    ),
    _scene(
        "doctor nurse surgeon dentist",
        "at the hospital, in the clinic, in the ambulance, at the pharmacy, in the ward",
        """
        examine: knee tooth eye ear heart / lamp
        bandage: arm ankle wrist finger wound / strip
        take: pill medicine temperature pulse / thermometer
        visit: baby aunt grandson soldier / gift
        clean: needle sink tray instrument / brush cloth
        push: wheelchair bed stretcher
        write: prescription bill form label / pen
        brush: hair tooth beard / comb
        comfort: toddler widow victim infant / toy blanket
        carry: oxygen blood towel pillow / tray
        """,
    ),
    _scene(
        "shopkeeper customer cashier seller",
        "in the shop, at the market, at the mall, in the bakery, at the fair, in the store",
        """
        buy: ring lamp carpet phone toy / card coupon
        sell: vegetable honey cheese jewelry perfume
        pay: bill ticket rent fee / card
        wrap: gift present vase sandwich / paper ribbon
        weigh: rice sugar meat tea / scale
        try: shoe glove skirt boot belt
        carry: grocery package bag suitcase / trolley
        arrange: bouquet fruit display pottery / tongs
        compare: price brand label fabric
        return: blanket jacket toaster blender / receipt
        """,
    ),
    _scene(
        "driver pilot passenger traveler",
        "at the station, at the airport, on the road, on the train, on the platform, at the border",
        """
        drive: bus taxi tractor lorry / map
        board: plane ferry tram subway / ticket
        pack: suitcase backpack trunk wallet / strap
        show: passport ticket visa map / smile
        park: car van limousine caravan / sensor
        wave: flag hand hat handkerchief
        stop: bike cab truck convoy / whistle signal
        read: timetable sign guidebook novel / glasses
        follow: guide car arrow river / compass
        miss: flight connection exit turn
        """,
    ),
    _scene(
        "hiker camper ranger climber",
        "in the forest, on the mountain, in the valley, near the cave, in the desert",
        """
        climb: cliff hill rock tree / rope
        build: fire shelter tent snowman / stick
        spot: bear eagle deer fox wolf / telescope lens
        cross: stream bridge glacier meadow / pole
        carry: backpack lantern water rifle / strap
        cook: sausage rice stew bean / pan
        follow: path trail track footprint / map
        photograph: butterfly owl rainbow flower / camera
        light: torch candle lamp campfire / match
        explore: canyon tunnel ruin island / guide
        """,
    ),
    _scene(
        "cleaner maid parent babysitter",
        "in the bedroom, in the bathroom, on the balcony, in the yard, on the porch, in the attic",
        """
        sweep: floor stair path carpet / broom
        fold: shirt towel sheet napkin
        iron: trousers skirt curtain blouse / press
        wash: window baby sock blanket car / soap sponge
        hang: coat picture laundry curtain / hook
        rock: cradle baby chair
        tell: joke story secret / puppet
        feed: cat parrot rabbit hamster kitten / bottle spoon
        pet: dog puppy lamb donkey
        hug: daughter son doll bear
        """,
    ),
)
