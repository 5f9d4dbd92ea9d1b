"""Laws of the summarisation task and of the generated set "news"."""

from __future__ import annotations

import re
from statistics import mean

import pytest
from rouge_score.rouge_scorer import RougeScorer

from textenv.datasets.generated.news import KINDS, TABLES, NewsGenerator
from textenv.datasets.generated.procedural import ProceduralDataset
from textenv.datasets.generated.words import FIRST_NAMES, LAST_NAMES, TOWNS
from textenv.errors import DatasetError, UnknownNameError
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


def test_a_document_may_be_a_list_of_sentences():
    example = TASK.example("x", {**ROW, "document": ["It rained. ", " ", "All stayed in."]})
    assert example == TASK.example("x", ROW)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"document": None}, "'row 3' has no document"),
        ({"document": " \n"}, "'row 3' has an empty document"),
        ({"document": 3.0}, "document of type float; it must be a string"),
        ({"document": []}, "'row 3' has an empty document"),
        ({"document": ["a", True]}, "document of type bool; it must be a string"),
        ({"document": [" ", "\n"]}, "'row 3' has an empty document"),
        ({"summary": None}, "'row 3' has no summary"),
        ({"summary": ""}, "'row 3' has an empty summary"),
        ({"summary": []}, "'row 3' has an empty summary"),
        ({"summary": [None, ""]}, "'row 3' has an empty summary"),
        ({"summary": ["fine", False]}, "summary of type bool"),
        ({"summary": {"a": 3}}, "summary of type dict; it must be a string"),
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


def reports(difficulty, n=300):
    data = ProceduralDataset("news", NewsGenerator(difficulty), TASK, "train")
    return [data[i] for i in range(n)]


def test_easy_reports_are_short_and_begin_with_the_event():
    scorer = RougeScorer(["rouge1"])
    scores = []
    for example in reports("easy"):
        told = sentences(example.prompt)
        assert 2 <= len(told) <= 3
        recalls = [scorer.score(example.references[0], s)["rouge1"].recall for s in told]
        scores.append(recalls[0] == max(recalls))
    assert mean(scores) > 0.97  # a detail may hold the number and a longer name


def test_hard_reports_tell_two_events_and_the_summary_joins_both():
    for example in reports("hard"):
        assert 8 <= len(sentences(example.prompt)) <= 10
        (summary,) = example.references
        assert ", and " in summary
        assert len(sentences(summary)) == 1
        assert 16 <= len(summary.split()) <= 34
        report = set(re.findall(r"\w+", example.prompt.lower()))
        rest = re.findall(r"\w+", summary)[1:]
        assert {word.lower() for word in rest if word[0].isupper() or word.isdigit()} <= report
        assert "{" not in example.prompt + summary


def test_the_two_events_of_a_hard_report_share_no_name():
    names = set(FIRST_NAMES + LAST_NAMES + TOWNS)
    for example in reports("hard"):
        one, two = example.references[0].split(", and ")
        assert not names & set(re.findall(r"\w+", one)) & set(re.findall(r"\w+", two))


def test_the_second_event_opens_in_lower_case_unless_with_a_name():
    names = set(FIRST_NAMES + LAST_NAMES + TOWNS + TABLES.orgs)
    openings = {e.references[0].split(", and ")[1].split()[0] for e in reports("hard")}
    assert {"a", "police", "mayor"} <= openings
    for word in openings:
        assert word.islower() or word.isdigit() or word in names


def test_hard_reports_hardly_ever_repeat_and_splits_share_none():
    train = {example.prompt for example in reports("hard", 2000)}
    data = ProceduralDataset("news", NewsGenerator("hard"), TASK, "test")
    assert len(train) == 2000
    assert not train & {data[i].prompt for i in range(200)}


def test_an_unknown_difficulty_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'easy'"):
        NewsGenerator("eazy")
