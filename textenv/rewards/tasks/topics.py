"""Topics and their vocabularies: base forms of words that hardly belong to another of them."""

from __future__ import annotations

TOPICS: dict[str, frozenset[str]] = {
    topic: frozenset(words.split())
    for topic, words in {
        "weather": (
            "rain snow storm wind cloud sunshine thunder lightning fog hail breeze drizzle flood "
            "frost temperature umbrella weather sky forecast icy cloudy rainy sunny windy stormy "
            "blizzard hurricane tornado puddle heatwave humid thaw gust rainbow chilly overcast "
            "downpour barometer degree climate"
        ),
        "sport": (
            "football tennis hockey rugby boxing golf basketball baseball volleyball cricket goal "
            "player coach referee stadium match tournament championship athlete racket league "
            "scorer opponent penalty midfielder goalkeeper sprint marathon medal trophy wrestle "
            "jersey halftime defender striker gymnast relay swimmer sport team whistle"
        ),
        "cooking": (
            "cook bake boil fry roast recipe kitchen oven dough flour butter sugar salt pepper "
            "soup sauce onion garlic chef knife pan pot stove spice ingredient simmer stir "
            "vegetable carrot potato salad bread cake pie pasta stew basil whisk ladle grill "
            "delicious dessert tomato cinnamon"
        ),
        "music": (
            "music song melody piano guitar violin drum flute trumpet cello orchestra choir band "
            "singer musician concert chord rhythm tune chorus composer conductor symphony opera "
            "sing jazz ballad lyric harmony duet solo microphone harp pianist bass beat album"
        ),
        "travel": (
            "travel journey trip airport plane flight suitcase passport hotel luggage tourist "
            "train station ticket map border harbor ferry cruise island voyage hostel itinerary "
            "souvenir backpack sightseeing embassy abroad visa destination passenger customs "
            "departure railway tram"
        ),
        "money": (
            "money bank loan debt invest profit price salary wage tax budget coin dollar euro "
            "account cash credit mortgage stock dividend interest income wallet purse rent fee "
            "bargain economy broker savings cheque fund insurance customer bill finance"
        ),
        "health": (
            "doctor nurse hospital medicine pill fever cough illness disease patient clinic "
            "surgery surgeon bandage wound vaccine pharmacy diet headache prescription symptom "
            "therapy heal ambulance injection pulse dentist vitamin sick recover ache pneumonia "
            "allergy infection"
        ),
        "school": (
            "school teacher pupil student lesson homework classroom exam grade blackboard "
            "textbook library essay spelling grammar arithmetic geography chemistry professor "
            "university college semester lecture notebook pencil tutor scholarship kindergarten "
            "diploma headmaster quiz curriculum schoolbag"
        ),
    }.items()
}
