import pytest

from textenv.benchmark.adversary.offers import read_offers
from textenv.benchmark.adversary.strategies import Strategy, abstract, write_line
from textenv.examples import Turn


def offers_of(text, cut=None, candidates=()):
    return read_offers([Turn("user", text, cut)], candidates)


NEWS = offers_of("Summarize.\n\nBen Lane met 3 dogs in Rome. He fed the dogs.")
DATA = offers_of("Write a text.\n\nmodel: Vega X2\nprice: 955 dollars")
FIELDS = "The model is Vega X2 and the price is 955 dollars"
KEYWORDS = offers_of("Use all of these words: board, brown, plane")
CHOICE = offers_of(
    "Jane moved to Oslo. Paul lives in Rome.\n\n"
    "Question: Where is Paul?\nA) Oslo\nB) Rome\nChoose one.",
    cut=(0, 39),
)


def test_the_parts_of_a_prompt_have_names():
    assert NEWS.kind == "Summarize."
    assert NEWS.parts["sentence 2"] == NEWS.parts["last sentence"] == "He fed the dogs."
    assert (NEWS.parts["name 1"], NEWS.parts["number 1"]) == ("Ben Lane", "3")
    assert NEWS.parts["word 1"] == "dogs"
    assert (DATA.parts["key 2"], DATA.parts["value 1"]) == ("price", "Vega X2")
    assert [item["item"] for item in KEYWORDS.families["item"]] == ["board", "brown", "plane"]
    assert CHOICE.parts["option 2"] == CHOICE.parts["option after the question's name"] == "Rome"
    assert CHOICE.parts["option nearest to the question's name"] == "Oslo"
    assert CHOICE.parts["question"] == "Question: Where is Paul?"


def test_of_several_lists_only_the_first_is_left_out():
    offers = offers_of(
        "Do not use: acquired, hurried. Keep: Jo Fox, Rome.\n\nJo Fox, who had acquired, hurried."
    )
    assert offers.parts["source without the items"] == "Jo Fox, who had  ."
    assert offers.families["later item"] == ({"later item": "Jo Fox"}, {"later item": "Rome"})


def test_candidates_are_options_where_the_agent_sees_them():
    offers = offers_of("At 10 am.", candidates=["A taxi at 10 am.", "A train."])
    assert offers.parts["option most like the text"] == "A taxi at 10 am."
    assert offers.parts["longest option"] == "A taxi at 10 am."
    assert "option 1" not in offers_of("At 10 am.").parts


@pytest.mark.parametrize(
    ("line", "offers", "text"),
    [
        (("the", "{item 1}", "in", "the", "{item 3}", "."), KEYWORDS, "The board in the plane."),
        (
            ("{each field|The {key} is {value}|. }", "."),
            DATA,
            "The model is Vega X2. The price is 955 dollars.",
        ),
        (("{each item|{item}| and }",), KEYWORDS, "Board and brown and plane"),
        (("{item 9}", "x"), KEYWORDS, "X"),
        ((), KEYWORDS, ""),
    ],
)
def test_a_template_is_filled_from_the_prompt(line, offers, text):
    assert write_line(line, offers) == text


def test_a_text_becomes_a_template_by_what_it_took_from_its_prompt():
    line = abstract("Ben Lane fed 3 dogs.", NEWS)
    assert line == ("{name 1}", "fed", "{number 1}", "{word 1}", ".")
    assert write_line(line, NEWS) == "Ben Lane fed 3 dogs."
    other = offers_of("Summarize.\n\nAnn saw 7 cats and cats.")
    assert write_line(line, other) == "Ann fed 7 cats."


def test_turns_and_kinds_have_their_own_lines():
    strategy = Strategy((("one",), ("two",)), {"sad": (("three",),)})
    assert [strategy.write(KEYWORDS, turn) for turn in range(3)] == ["One", "Two", "Two"]
    assert strategy.write(KEYWORDS, 0, "sad") == "Three"
    assert Strategy((("a", "b"), ())).describe() == "a b / (nothing)"
    assert strategy.describe() == "'sad': three"
