"""Well-known data sets by name: each read through its entry, from a copy of the hub's layout."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import gymnasium as gym
import pytest
import yaml

import textenv  # noqa: F401 - registers the environments
from textenv.datasets import NAMED, SPLITS
from textenv.datasets.named import resolve_named
from textenv.datasets.reading import PARQUET_BRANCH
from textenv.errors import DatasetError, UnknownNameError
from textenv.registry import environment_row, registered_ids
from textenv.rewards import compute_rewards
from textenv.rollout import play_text
from textenv.tasks.loading import resolve_target

FIXTURES = Path(__file__).parent / "fixtures"

# Name -> the environment, a split, and every example of it: prompt and references.
EXPECTED = {
    "cnn_dailymail": (
        "TextSummarize-v0",
        "train",
        [
            (
                "(Daily Post) -- A ferry ran aground off Lindo on Monday. All 41 passengers walked "
                "ashore.",
                ("A ferry ran aground off Lindo .\nNobody was hurt .",),
            ),
            (
                "Bakers in Orly have gone on strike over night shifts, their union said.",
                ("Bakers in Orly strike over night shifts .",),
            ),
        ],
    ),
    "xsum": (
        "TextSummarize-v0",
        "validation",
        [("Two goats walked into a bank in Selby.", ("Goats visited a bank.",))],
    ),
    "samsum": (
        "TextSummarize-v0",
        "train",
        [
            (
                "Ann: Did you feed the cat?\nBo: Not yet\nAnn: Please do before six",
                ("Bo will feed the cat before six.",),
            )
        ],
    ),
    "scitldr": (
        "TextSummarize-v0",
        "validation",
        [("Nets forget. We remind them.", ("Reminding nets.", "A cure for forgetting in nets."))],
    ),
    "squad": (
        "TextQA-v0",
        "test",
        [("Where was salt mined?", ("Wieliczka", "in Wieliczka"))],
    ),
    "squad_v2": (
        "TextQA-v0",
        "test",
        [
            ("Where was salt mined?", ("Wieliczka", "in Wieliczka")),
            ("Who owned the mine?", ("unanswerable",)),
        ],
    ),
    "narrativeqa": (
        "TextQA-v0",
        "train",
        [
            ("What does the son bring home?", ("A bell", "a bell from Ghent")),
            ("Who sails?", ("The miller's son", "the son")),
        ],
    ),
    "wmt14": (
        "TextTranslate-v0",
        "train",
        [
            ("The dog is asleep.", ("Der Hund schläft.",)),
            ("It has been raining for days.", ("Es regnet seit Tagen.",)),
        ],
    ),
    "wmt16": ("TextTranslate-v0", "test", [("The gate is open.", ("Das Tor ist offen.",))]),
    "wmt19": ("TextTranslateZh-v0", "test", [("The gate is open.", ("门开着。",))]),
    "iwslt2017": ("TextTranslateZh-v0", "train", [("Thank you all.", ("谢谢大家。",))]),
    "opus100": ("TextTranslate-v0", "validation", [("No.", ("Nein.",))]),
    "daily_dialog": (
        "TextDialogue-v0",
        "train",
        [
            ("Is this seat taken ?", ("No , please sit down .", "You are welcome .")),
            ("See you tomorrow !", ("Good night .",)),
        ],
    ),
    "multi_woz": (
        "TextDialogue-v0",
        "train",
        [("I need a cheap room.", ("In which part of town?", "Booked. Bye."))],
    ),
    "schema_guided": (
        "TextDialogue-v0",
        "test",
        [("Find me a table.", ("For how many?", "There is one at Sino."))],
    ),
    "common_gen": (
        "TextKeywords-v0",
        "test",
        [
            (
                "field, stand, look",
                (
                    "A man stands and looks over the field.",
                    "She looks at a field where cows stand.",
                ),
            ),
            ("kid, room, dance", ("The kid dances in the room.",)),
        ],
    ),
    "totto": (
        "TextData-v0",
        "test",
        [
            (
                "page title: Ida Holm\nsection title: Films\nYear: 1961\nTitle: The Quarry",
                ("In 1961, Ida Holm starred in The Quarry.", "Ida Holm was in The Quarry (1961)."),
            )
        ],
    ),
    "e2e_nlg": (
        "TextData-v0",
        "validation",
        [
            (
                "name: The Oak\nfood: Thai\narea: riverside",
                (
                    "The Oak serves Thai food in the riverside area.",
                    "By the riverside, The Oak has Thai dishes.",
                ),
            ),
            ("name: Blue Inn\neatType: pub", ("Blue Inn is a pub.",)),
        ],
    ),
    "imdb": (
        "TextContinue-v0",
        "test",
        [
            (
                "We saw it on the night it opened, my brother and I and a full house",
                (
                    "that would not stop laughing. It is a delight: the songs are wonderful, "
                    "the actors a joy, and I loved every minute of it.",
                ),
            ),
            (
                "The trailer had promised a story about the sea, so I took the whole family to",
                (
                    "the early show. It is a horrible, boring mess, and my poor children hated the "
                    "ugly ending even more than I did.",
                ),
            ),
        ],
    ),
    "gsm8k": (
        "TextMath-v0",
        "test",
        [
            (
                "Ten birds sit on a wire. Three fly off. How many stay?",
                ("10-3=7 birds stay.\n#### 7",),
            )
        ],
    ),
    "math": (
        "TextMath-v0",
        "test",
        [("Solve $2x = 7$ for $x$.", (r"Halve it: $x = \boxed{\frac 72}$.",))],
    ),
    "svamp": (
        "TextMath-v0",
        "test",
        [
            (
                "A tram carries 145 people and 12 dogs. How many dogs does it carry?",
                ("#### 12.0",),
            )
        ],
    ),
    "asdiv": (
        "TextMath-v0",
        "train",
        [
            ("Ann has five hens. How many legs do they have?", ("#### 10 (legs)",)),
            ("Ben sold 4 of his 7 carts. How many are left?", ("#### 3 (carts)",)),
        ],
    ),
}


def card(configurations):
    """The YAML header by which a data set of the hub declares its files and their types."""
    return yaml.safe_dump(
        {
            "configs": [
                {
                    "config_name": config,
                    "data_files": [
                        {"split": split, "path": f"{config}/{split}-*"}
                        for split in content["splits"]
                    ],
                }
                for config, content in configurations.items()
            ],
            "dataset_info": [
                {"config_name": config, "features": content["features"]}
                for config, content in configurations.items()
            ],
        },
        allow_unicode=True,
    )


def write_copy(folder, name):
    """Writes a fixture as the hub lays the branch of the entry out: Parquet, and perhaps a card."""
    import datasets

    configurations = yaml.safe_load((FIXTURES / f"{name}.yaml").read_text(encoding="utf-8"))
    converted = NAMED[name].revision == PARQUET_BRANCH
    for config, content in configurations.items():
        features = datasets.Features._from_yaml_list(content["features"])
        for split, rows in content["splits"].items():
            where = f"{config}/{split}/0000" if converted else f"{config}/{split}-00000-of-00001"
            path = folder / f"{where}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            datasets.Dataset.from_list(rows, features=features).to_parquet(path)
    if not converted:
        text = f"---\n{card(configurations)}---\n# A card\n"
        (folder / "README.md").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Stands for the hub: ids lead to copies of fixtures; returns the calls that were made."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    ids = {entry.path: name for name, entry in NAMED.items()}
    load, calls = datasets.load_dataset, []

    def load_copy(path, *, revision=None, **arguments):
        assert "trust_remote_code" not in arguments
        if path not in ids:
            return load(path, **arguments)
        name = ids[path]
        assert revision == NAMED[name].revision
        folder = tmp_path / name
        if not folder.exists():
            write_copy(folder, name)
        calls.append((path, arguments))
        return load(str(folder), **arguments)

    monkeypatch.setattr(datasets, "load_dataset", load_copy)
    return calls


def make(id, dataset, **arguments):
    return gym.make(id, dataset=dataset, max_prompt_tokens=512, max_new_tokens=256, **arguments)


def examples(id, dataset, split, **arguments):
    core = make(id, dataset, split=split, **arguments).unwrapped.core
    found = core.dataset(split)
    return core, [found[index] for index in range(len(found))]


def read(id, dataset, split="train", **arguments):
    return [(e.prompt, e.references) for e in examples(id, dataset, split, **arguments)[1]]


def read_if_any(id, dataset, split):
    return [(e.prompt, e.references) for e in examples_if_any(id, dataset, split)]


def examples_if_any(id, dataset, split):
    try:
        return examples(id, dataset, split)[1]
    except DatasetError as error:
        if "is empty: none of" not in str(error):
            raise
        return []


def make_error(id, dataset, kind=DatasetError, **arguments):
    with pytest.raises(kind) as caught:
        make(id, dataset, **arguments)
    return str(caught.value)


def test_every_entry_has_a_fixture_and_suits_an_environment_that_reads_its_columns():
    assert set(EXPECTED) == set(NAMED) == {path.stem for path in FIXTURES.glob("*.yaml")}
    tasks = {environment_row(id).task for id in registered_ids()}
    for name, entry in NAMED.items():
        assert tasks & set(entry.tasks), name
        for target in entry.tasks:
            fields = {wanted.name for wanted in resolve_target(target).fields}
            assert fields & set(entry.columns), (name, target)


@pytest.mark.parametrize("name", NAMED)
def test_a_name_is_all_that_a_user_writes(name, hub):
    id, split, expected = EXPECTED[name]
    core, found = examples(id, name, split)
    assert [(e.prompt, e.references) for e in found] == expected
    assert hub[0][0] == NAMED[name].path
    for example in found:
        episode = play_text(core, example, core.task.gold)
        assert compute_rewards(core.reward, [episode]).total[0] == pytest.approx(1.0)


@pytest.mark.parametrize("streaming", [False, True])
def test_recorded_dialogues_that_leave_no_choice_are_left_out(hub, streaming):
    data = {"path": "daily_dialog", "streaming": streaming}
    _, found = examples("TextDialogueSelect-v0", data, "train")
    assert [e.references for e in found] == [("No , please sit down .",)]
    assert sorted(found[0].metadata["candidates"]) == [
        "No , please sit down .",
        "You are welcome .",
    ]
    assert len(read("TextDialogue-v0", data)) == 2


@pytest.mark.skipif(find_spec("math_verify") is None, reason="needs textenv[math]")
def test_math_has_numbers_alone_unless_the_task_takes_expressions(hub):
    arguments = {"task_kwargs": {"answer": "expression"}, "reward": "math"}
    core, found = examples("TextMath-v0", "math", "test", **arguments)
    assert [e.metadata["answer"] for e in found] == [r"\frac 72", r"2\sqrt{3}", "(-2,2)"]
    episodes = [play_text(core, example, core.task.gold) for example in found]
    assert compute_rewards(core.reward, episodes).total.tolist() == [1, 1, 1]
    assert len(read("TextMath-v0", "math", "test")) == 1


def test_splits_are_disjoint_and_those_without_labels_are_never_read(hub):
    for name, entry in NAMED.items():
        if entry.splits != {"train": "train", "test": "validation"}:
            continue
        id = EXPECTED[name][0]
        found = {s: {prompt for prompt, _ in read_if_any(id, name, s)} for s in SPLITS}
        assert found["test"] == {prompt for prompt, _ in EXPECTED[name][2]}
        assert not found["train"] & found["validation"]
        assert not found["test"] & (found["train"] | found["validation"])


def test_rows_of_one_article_of_squad_share_a_split(hub):
    parts = [
        {e.id: e.metadata["context"] for e in examples_if_any("TextQA-v0", "squad", split)}
        for split in ("train", "validation")
    ]
    assert sum(map(len, parts)) == 9
    assert not set(parts[0].values()) & set(parts[1].values())


def test_the_configuration_follows_the_languages_of_the_task(hub):
    assert read("TextTranslate-v0", "iwslt2017")[0][1] == ("Ich danke Ihnen allen.",)
    assert read("TextTranslateZh-v0", "iwslt2017")[0][1] == ("谢谢大家。",)
    assert read("TextTranslateZh-v0", "opus100")[0][1] == ("谁在那儿？",)
    assert read("TextTranslateFromZh-v0", "wmt19", "test") == [("门开着。", ("The gate is open.",))]
    french = {"source_language": "en", "target_language": "fr"}
    assert read("TextTranslate-v0", "wmt14", task_kwargs=french) == [
        ("It is raining.", ("Il pleut.",))
    ]


def test_a_configuration_can_be_chosen_and_a_wrong_one_is_answered_with_those_that_exist(hub):
    long = read("TextSummarize-v0", {"path": "scitldr", "name": "AIC"}, split="train")
    assert long == [("The long version.", ("It is long.",))]
    short = {"path": "iwslt2017", "name": "en-de"}
    assert read("TextTranslate-v0", short)[0][0] == "Thank you all."
    message = make_error("TextSummarize-v0", {"path": "scitldr", "name": "abstract"})
    assert "no configuration 'abstract', only Abstract, AIC, FullText" in message
    message = make_error("TextTranslate-v0", {"path": "wmt19", "name": "zh-en"})
    assert "holds zh and en, but the environment translates en into de" in message
    assert '"target_language": "en"' in message
    japanese = {"source_language": "en", "target_language": "ja"}
    message = make_error("TextTranslate-v0", "wmt19", task_kwargs=japanese)
    assert "no sentences in en and ja; it has cs-en, de-en" in message


def test_a_review_is_to_go_where_its_label_says(hub):
    _, found = examples("TextContinue-v0", "imdb", "test")
    assert [e.metadata["target"] for e in found] == ["positive", "negative"]


def test_questions_without_an_answer_are_answered_as_the_task_says(hub):
    said = {"unanswerable": "no answer"}
    core, found = examples("TextQA-v0", "squad_v2", "test", task_kwargs=said)
    assert [e.references for e in found] == [("Wieliczka", "in Wieliczka"), ("no answer",)]
    assert 'write "no answer"' in core.task.opening(found[1])[0].text


def test_keys_of_the_users_own_beat_those_of_the_entry(hub):
    swapped = {"path": "xsum", "columns": {"summary": "id"}}
    assert read("TextSummarize-v0", swapped)[0][1] == ("30001",)
    strict = {"path": "cnn_dailymail", "skip": None}
    assert "row 2 (id 'a2'): column 'article' has no value" in make_error(
        "TextSummarize-v0", strict
    )


def test_a_copy_is_read_like_the_set_itself(tmp_path, hub):
    import datasets

    expected = EXPECTED["scitldr"][2]
    folder = write_copy(tmp_path / "snapshot", "scitldr")
    assert read("TextSummarize-v0", {"path": folder, "like": "scitldr"}, "validation") == expected
    saved = datasets.load_dataset("allenai/scitldr", data_dir="Abstract", revision=PARQUET_BRANCH)
    saved.save_to_disk(tmp_path / "saved")
    copy = {"path": tmp_path / "saved", "like": "scitldr"}
    assert read("TextSummarize-v0", copy, "validation") == expected
    with_card = write_copy(tmp_path / "with_card", "cnn_dailymail")
    copy = {"path": with_card, "like": "cnn_dailymail"}
    assert read("TextSummarize-v0", copy) == EXPECTED["cnn_dailymail"][2]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in saved["validation"]))
    found = [
        pair
        for split in SPLITS
        for pair in read_if_any("TextSummarize-v0", {"path": file, "like": "scitldr"}, split)
    ]
    assert found == expected


def test_mistakes_with_names_are_answered_with_what_to_write(tmp_path):
    wrong = [
        ("cnn_dailymial", "no dataset 'cnn_dailymial'. Did you mean 'cnn_dailymail'"),
        ({"path": "sqaud"}, "Did you mean 'squad'"),
        ({"path": tmp_path, "like": "xsm"}, "no named dataset 'xsm'. Did you mean 'xsum'"),
    ]
    for dataset, message in wrong:
        assert message in make_error("TextSummarize-v0", dataset, UnknownNameError)
    missing = {"path": tmp_path / "copy.jsonl", "like": "xsum"}
    assert "no file or folder" in make_error("TextSummarize-v0", missing)
    assert 'needs a "path"' in make_error("TextSummarize-v0", {"like": "xsum"})


def test_a_set_of_another_task_is_answered_with_the_environments_that_it_suits():
    message = make_error("TextSummarize-v0", "squad")
    assert "'squad' is not for SummarizeTask: it suits TextQA-v0" in message
    assert '"path": "rajpurkar/squad", "columns"' in message
    message = make_error("TextQA-v0", "wmt19")
    assert "it suits TextTranslate-v0, TextTranslateZh-v0" in message


def test_a_task_of_the_users_own_kind_may_use_the_names_of_its_base(hub):
    from textenv.tasks.summarize import SummarizeTask

    class Headline(SummarizeTask):
        instruction = "Write a headline."

    spec = resolve_named({"path": "xsum"}, Headline())
    assert spec["columns"] == {"document": "document", "summary": "summary"}


def test_without_a_network_the_embedded_set_of_the_environment_is_named(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for id, dataset, embedded in [
        ("TextSummarize-v0", "cnn_dailymail", "news"),
        ("TextTranslateZh-v0", "wmt19", "phrases-en-zh"),
        ("TextQA-v0", {"path": "squad", "streaming": True}, "facts"),
    ]:
        message = make_error(id, dataset)
        assert f"use the embedded dataset '{embedded}'" in message
        name = dataset if isinstance(dataset, str) else dataset["path"]
        assert f'"like": "{name}"' in message
        assert "which knows the columns" not in message
    message = make_error("TextQA-v0", "rajpurkar/squad")
    assert "write dataset='squad', which knows the columns" in message
