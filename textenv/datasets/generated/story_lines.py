"""Lines of generated stories: how they begin, and sentences on each topic.

In them {name} and {other} are people, {he}, {He}, {his} and {His} the pronouns of the first.
"""

from __future__ import annotations

PLACES = (
    "a small house by the river",
    "an old cottage on the hill",
    "a quiet street behind the church",
    "a flat above the bakery",
    "a village near the coast",
    "a tall house with green doors",
    "a farm outside the town",
    "a room full of books",
)
STARTS = (
    "One {day} in {month}, {name} {last} woke up early.",
    "{name} {last} had lived in {town} since {month}.",
    "It was a {day} in {month}, and {name} {last} had nothing to do.",
    "Nobody in {town} knew {name} {last} well.",
    "{name} {last} came home to {town} on a {day}.",
    "On the last {day} of {month}, {name} {last} opened a letter.",
    "For years {name} {last} had wanted to leave {town}.",
)
OPENINGS = (
    "{He} lived in {place} and seldom spoke to anyone.",
    "In {place}, {his} friend {other} was waiting.",
    "{He} walked slowly through {town} and thought of {other}.",
    "{He} had promised {other} to come to {place}.",
    "{His} thoughts went back to {place}, where {other} grew up.",
    "From {place} {he} could see all of {town}.",
    "{other} had left a message on the door of {place}.",
)

LINES: dict[str, tuple[str, ...]] = {
    "weather": (
        "The wind grew stronger, and dark clouds covered the whole sky.",
        "A storm came up with thunder and lightning.",
        "The rain fell for hours from a dark sky, and the street became one long puddle.",
        "The forecast spoke of snow, and the temperature kept falling.",
        "{He} opened {his} umbrella, since the drizzle had turned into a downpour.",
        "Fog lay over the fields, and the frost had made the path icy.",
        "After the hail, a rainbow stood in the sky over the hills.",
        "The morning was sunny and warm, with hardly a breeze or a cloud.",
    ),
    "sport": (
        "{His} football team had a match against a strong opponent.",
        "The referee blew the whistle, and a striker ran for the ball.",
        "The coach told every player to wear a new jersey.",
        "{He} picked up {his} racket and went to play tennis in a small tournament.",
        "The goalkeeper held the penalty, and the whole stadium shouted.",
        "{other} had won a medal in the marathon and wanted the trophy, too.",
        "The league had never seen such a scorer, who made a goal in each match.",
        "They played hockey until halftime, and then {other} became a defender.",
    ),
    "cooking": (
        "{He} went into the kitchen, mixed flour with butter, and made dough.",
        "The soup was boiling in the pot, with onions and a little pepper.",
        "{other} had found a recipe for a pie with carrots and garlic.",
        "{He} took a knife and cut potatoes and tomatoes for the salad.",
        "The bread was baking in the oven, and the stew stood on the stove.",
        "They fried vegetables in a pan and stirred the sauce.",
        "A cake with sugar and cinnamon was to be the dessert.",
        "The chef put basil and salt into the pasta.",
    ),
    "music": (
        "{He} sat down at the piano and played a slow melody from a ballet or an opera.",
        "The band tuned the guitars, and the singer took the microphone.",
        "An orchestra was playing a symphony, and the conductor closed his eyes.",
        "{other} sang a ballad, and the choir joined in the chorus.",
        "They went to a concert to hear a duet for flute and harp.",
        "The drums kept the rhythm while a trumpet played the tune.",
        "{He} wrote a song with three chords and hummed its melody.",
        "A musician with a violin played jazz at the corner.",
    ),
    "travel": (
        "{He} packed a suitcase, took {his} passport, and went to the airport.",
        "The train left the station at noon, and {he} still had no ticket.",
        "A ferry took them to an island, where they found a hotel.",
        "{other} had planned the journey with a map and a long itinerary.",
        "Their flight was late, and the luggage went to another destination.",
        "They crossed the border with a backpack and a visa each.",
        "The voyage had begun, and every passenger looked back at the harbor.",
        "A tourist asked for the way to the railway and to the embassy.",
    ),
    "money": (
        "{He} went to the bank and asked for a loan to pay {his} debts.",
        "The rent was high, and {his} salary left nothing for savings.",
        "{other} had invested in stocks and made a large profit.",
        "{He} counted the coins in {his} wallet, eleven dollars in all.",
        "The tax had eaten up the budget, and the account was empty.",
        "A broker told them to put their cash into a fund.",
        "The price was a bargain, but {he} had neither cash nor credit.",
        "The mortgage and the insurance took half of {his} income.",
    ),
    "health": (
        "{He} had a fever and a cough, so {other} called a doctor.",
        "The nurse put a bandage on the wound and felt {his} pulse.",
        "An ambulance brought them to the hospital, where a surgeon was waiting.",
        "The clinic was full of patients with the same illness.",
        "{He} took a pill for {his} headache and stayed on a diet.",
        "The pharmacy had no medicine without a prescription.",
        "{other} was sick, and the symptoms looked like an infection.",
        "After the surgery and weeks of therapy, {he} began to recover.",
    ),
    "school": (
        "The teacher wrote the homework on the blackboard.",
        "{He} had an exam in geography and opened {his} textbook.",
        "The pupils sat in the classroom and had a lesson in grammar.",
        "{other} was a student at the university and went to every lecture.",
        "{He} took a pencil and a notebook and began an essay.",
        "The headmaster gave {other} the best grade in chemistry.",
        "A professor at the college offered {other} a scholarship.",
        "The quiz was about spelling, and each tutor had a schoolbag full of questions.",
    ),
}
