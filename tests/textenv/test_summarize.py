"""Laws of the summarisation task and of the generated set "news"."""

from __future__ import annotations

import re
from statistics import mean

import pytest
from rouge_score.rouge_scorer import RougeScorer

from textenv.datasets.news import NewsGenerator
from textenv.datasets.news_events import KINDS
from textenv.datasets.procedural import ProceduralDataset
from textenv.errors import DatasetError
from textenv.tasks.summarize import SummarizeTask

TASK = SummarizeTask()
ROW = {"document": "It rained. All stayed in.", "summary": "Rain kept all in."}


@pytest.fixture(scope="module")
def news():
    data = ProceduralDataset("news", NewsGenerator(), TASK, "test")
    return [data[i] for i in range(500)]


def sentences(document):
    return re.split(r'(?<=[.?!"]) (?=[A-Z0-9"])', document)


def test_the_opening_is_one_user_turn_whose_cut_is_exactly_the_document():
    (turn,) = TASK.opening(TASK.example("x", ROW))
    assert turn.role == "user"
    assert turn.text == "Summarize in one sentence.\n\nIt rained. All stayed in."
    assert turn.text[slice(*turn.cut)] == ROW["document"]


def test_gold_is_the_first_reference_and_the_episode_is_one_turn():
    example = TASK.example("x", {**ROW, "summary": ["First.", "Second.", "First."]})
    assert example.references == ("First.", "Second.")
    assert TASK.gold(example) == "First."
    assert TASK.reply(example, TASK.opening(example)) is None


def test_a_title_is_kept_but_not_shown():
    example = TASK.example("x", {**ROW, "title": "Wet"})
    assert example.metadata == {"title": "Wet"}
    assert "Wet" not in TASK.opening(example)[0].text
    assert TASK.example("x", ROW).metadata == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"document": None}, "'row 3' has no document"),
        ({"document": " \n"}, "'row 3' has an empty document"),
        ({"document": ["a", "b"]}, "document of type list; it must be a string"),
        ({"summary": None}, "'row 3' has no summary"),
        ({"summary": ""}, "'row 3' has an empty summary"),
        ({"summary": []}, "'row 3' has an empty summary"),
        ({"summary": ["fine", ""]}, "'row 3' has an empty summary"),
        ({"summary": ["fine", 3]}, "summary of type int"),
        ({"summary": 3}, "summary of type int; it must be a string or a list"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_in_plain_words(change, words):
    with pytest.raises(DatasetError, match=re.escape(words)):
        TASK.example("row 3", {**ROW, **change})


def test_news_are_short_reports_with_one_short_summary(news):
    for example in news:
        assert 4 <= len(sentences(example.prompt)) <= 6
        assert len(example.references) == 1
        assert 8 <= len(example.references[0].split()) <= 16
    assert 50 <= mean(len(example.prompt.split()) for example in news) <= 75


def test_every_name_and_number_of_a_summary_is_in_its_report(news):
    for example in news:
        report = set(re.findall(r"\w+", example.prompt.lower()))
        first, *rest = re.findall(r"\w+", example.references[0])
        facts = {word.lower() for word in rest if word[0].isupper() or word.isdigit()}
        assert facts <= report, example
        assert facts or first.isdigit()


def test_no_slot_of_a_template_is_left_unfilled(news):
    assert not any("{" in example.prompt + example.references[0] for example in news)


def test_the_same_report_never_has_two_summaries():
    # Nothing but what the report says may decide the summary: each of its slots stands in every
    # wording of the event, or of the detail that always goes with it.
    for kind in KINDS:
        for slot in re.findall(r"{(\w+)}", kind.summary):
            ways = kind.event if _in_all(slot, kind.event) else kind.detail
            assert ways, (kind.summary, slot)
            assert _in_all(slot, ways), (kind.summary, slot)


def _in_all(slot, templates):
    return all(f"{{{slot.lower()}}}" in template.lower() for template in templates)


def test_the_vocabulary_is_small():
    data = ProceduralDataset("news", NewsGenerator(), TASK)
    texts = (f"{data[i].prompt} {data[i].references[0]}" for i in range(10_000))
    assert len({word for text in texts for word in re.findall(r"\w+", text.lower())}) <= 900


def test_copying_the_first_sentence_is_far_from_the_best_that_can_be_done(news):
    scorer = RougeScorer(["rougeL"])

    def rouge_l(example, text):
        return scorer.score(example.references[0], text)["rougeL"].fmeasure

    lead = mean(rouge_l(example, sentences(example.prompt)[0]) for example in news)
    best = mean(max(rouge_l(e, s) for s in sentences(e.prompt)) for e in news)
    assert 0.2 < lead < 0.5
    assert lead + 0.1 < best < 0.75
    assert all(rouge_l(example, TASK.gold(example)) == 1.0 for example in news)
