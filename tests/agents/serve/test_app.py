"""What the server answers, and what it refuses."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil

import pytest

from textenv.benchmark.statistics import estimate_gain
from textenv.report.numbers import format_interval

RUN = re.compile(r'href="/runs/([0-9a-f]{16})"')


def ids_of(get):
    return RUN.findall(get("/").text)


def shown(page):
    texts = (t for path, t in page.texts if not {"script", "style", "title"} & set(path))
    return " ".join(" ".join(texts).split())


def test_the_list_tells_of_each_run_those_that_train_first(serve, make_run, read_page):
    make_run("done", best=(0.9,) * 4)
    make_run("going", parts=("before",))
    page = read_page(serve()("/").text)
    rows = [t for path, t in page.texts if "tbody" in path and t.strip()]
    text = " ".join(rows)
    assert text.index("going") < text.index("done")
    assert "32 of 32 episodes" in text
    assert "0.850 [0.750, 0.950]" in text  # validation
    gain = format_interval(estimate_gain((0.9,) * 4, (0.1, 0.2, 0.3, 0.2)), 3)
    assert f"+0.700 {gain}" in text  # that of the best agent
    assert "2 runs 1 training" in shown(page)
    assert text.replace("_ ", "_").count("token_f1") == 2


def test_a_page_is_sent_again_only_when_its_run_has_changed(serve, make_run, add_iteration):
    folder = make_run(parts=("before", "rollouts"))
    make_run("other")
    get = serve()
    run, other = ids_of(get)
    for path in ("/", f"/runs/{run}", f"/compare?run={run}&run={other}", "/texts"):
        first = get(path)
        assert first.status == 200
        tag = first.headers["etag"].replace('"', "&#34;")
        assert f'<meta name="etag" content="{tag}">' in first.text  # what the page asks with
        assert get(path, if_none_match=first.headers["etag"]).status == 304
    etags = {path: get(path).headers["etag"] for path in ("/", f"/runs/{run}", f"/runs/{other}")}
    add_iteration(folder, 5)
    assert get("/", if_none_match=etags["/"]).status == 200
    changed = get(f"/runs/{run}", if_none_match=etags[f"/runs/{run}"])
    assert changed.status == 200
    assert "5 iterations" in changed.text
    assert get(f"/runs/{other}", if_none_match=etags[f"/runs/{other}"]).status == 304


def test_a_run_has_the_page_of_its_report(serve, make_run, read_page):
    make_run("one", best=(0.9,) * 4)
    get = serve()
    page = read_page(get(f"/runs/{ids_of(get)[0]}").text)
    sections = [a["id"] for tag, a in page.elements if tag == "section"]
    assert sections == [
        *("verdict", "warnings", "curves", "progress", "answers", "rollouts", "setup", "data")
    ]
    assert "Training helped." in shown(page)
    assert len(set(page.ids())) == len(page.ids())


def test_a_run_that_trains_is_not_told_to_be_resumed(serve, make_run):
    make_run("going", parts=("before",))
    get = serve()
    text = get(f"/runs/{ids_of(get)[0]}").text
    assert "--resume" not in text
    assert "not finished</span>" not in text


def test_a_run_without_an_iteration_and_a_damaged_one_have_pages_that_say_so(serve, make_run):
    begun, damaged = make_run("begun", parts=()), make_run("damaged")
    (begun / "metrics.jsonl").unlink()
    (damaged / "samples.jsonl").write_text("{}\n[]\nno\n")
    (damaged / "result.json").write_text('{"iterations": 4}')
    get = serve()
    texts = [get(f"/runs/{id}").text for id in ids_of(get)]
    assert sum("has not finished an iteration yet" in text for text in texts) == 1
    assert sum("is not as textenv train writes it" in text for text in texts) == 1


def test_runs_are_compared_with_the_first(serve, make_run):
    make_run("a", after=(0.9, 0.8, 0.7, 0.6))
    make_run("b", after=(1.0, 0.9, 0.9, 0.7), seed=1)
    get = serve()
    query = "&".join(f"run={id}" for id in sorted(ids_of(get)))
    answer = get(f"/compare?{query}")
    assert answer.status == 200
    assert "On the same 4 examples of the test split" in answer.text
    assert get(f"/compare?{query}&agent=last").status == 200


def test_runs_that_cannot_be_compared_are_laid_over_each_other_with_the_reason(
    serve, make_run, read_page
):
    make_run("a")
    make_run("b", id="TextSummarize-v0")
    get = serve()
    page = read_page(get("/compare?" + "&".join(f"run={id}" for id in ids_of(get))).text)
    assert "The runs cannot be compared, since the environment differs" in shown(page)
    assert len(page.with_class("panel")) > 5
    assert [a for a in page.with_class("line") if "run2" in a["class"]]


def test_what_cannot_be_compared_yet_is_said(serve, make_run):
    make_run("a")
    make_run("going", parts=("before",))
    get = serve()
    ids = ids_of(get)
    text = get("/compare?" + "&".join(f"run={id}" for id in ids)).text
    assert "Still training: going." in text
    assert "Choose two runs or more" in get(f"/compare?run={ids[0]}").text
    assert "Choose two runs or more" in get("/compare").text
    assert get("/compare?run=0000").status == 404


def test_texts_are_shown_in_pages_and_saved_all(serve, make_run, read_page):
    make_run("a", best=(0.9,) * 4)
    make_run("b")
    get = serve()
    first, second = get("/texts"), get("/texts?page=2")
    assert "34 texts" in first.text  # 19 and 15
    assert first.text.count('<article class="sample">') == 20
    assert second.text.count('<article class="sample">') == 14
    assert "Page 2 of 2" in second.text
    saved = get("/texts.csv?stage=look&search=green")
    assert saved.headers["content-type"] == "text/csv; charset=utf-8"
    assert saved.headers["content-disposition"] == 'attachment; filename="texts.csv"'
    rows = list(csv.DictReader(io.StringIO(saved.text, newline="")))
    assert sorted((row["run"], row["stage"]) for row in rows) == [("a", "look"), ("b", "look")]
    refused = get("/texts?first=x")
    assert refused.status == 400
    assert "which is no whole number" in refused.text
    assert get("/texts.csv?first=x").status == 400
    forms = [
        a for tag, a in read_page(get("/texts?search=red&low=0.1").text).elements if "name" in a
    ]
    assert {(a["name"], a["value"]) for a in forms if a.get("value")} >= {
        ("search", "red"), ("low", "0.1")
    }  # fmt: skip


def test_the_server_only_reads(serve, make_run):
    folder = make_run("a")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    get = serve()
    paths = ["/", f"/runs/{ids_of(get)[0]}", "/texts", "/texts.csv", "/compare"]
    for path in paths:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT"):
            answer = get(path, method)
            assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
        assert get(path).status == 200
        assert get(path, "HEAD").status == 200
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8765", "127.0.0.1.evil.example:8765", "", "[::1]:8765"),
        *("localhost.evil", "localhost:80@evil.example", "localhost:", "localhost/x", "127.0.0.2"),
        *("localhost:8765, evil.example", "localhost evil.example", "0.0.0.0", "2130706433"),
    ],
)
def test_a_name_that_points_here_from_elsewhere_is_refused(serve, make_run, host):
    make_run("a")
    answer = serve()("/", host=host)
    assert answer.status == 400
    assert "table" not in answer.text


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1:8765", "LOCALHOST:1", "127.0.0.1"])
def test_this_machine_is_let_in_through_any_port(serve, make_run, host):
    make_run("a")
    assert serve()("/", host=host).status == 200


def test_every_answer_forbids_what_pages_do_not_need(serve, make_run):
    make_run("a")
    get = serve()
    for path in ("/", "/texts.csv", "/assets/serve.js", "/nothing"):
        headers = get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/runs/a", "/runs/..", "/runs/../config.yaml", "/runs//etc/passwd", "/assets/app.py",
        "/assets/../app.py", "/assets//etc/passwd", "/config.yaml", "/runs/a/metrics.csv",
    ],
)  # fmt: skip
def test_no_path_leads_to_a_file(serve, make_run, path):
    make_run("a")
    answer = serve()(path)
    assert answer.status == 404
    assert "TextQA" not in answer.text
    assert "root:" not in answer.text


def test_what_runs_hold_is_text_on_every_page(serve, make_run, read_page, hostile, add_iteration):
    name = "<img src=x onerror=alert(1)> =1"
    folder = make_run(name, text=hostile, best=(0.9,) * 4, dataset=hostile, model=hostile)
    other = make_run("b", text=hostile, reward=hostile, parts=("about", "looks"))
    metrics = other / "metrics.jsonl"
    metrics.write_text(metrics.read_text().replace("rollout/facts", "rollout/<img src=x>\\u202e"))
    (other / "about.json").write_text('{"ending": {"error": "<img src=x onerror=alert(2)>"}}')
    get = serve(folder.parent)
    ids = ids_of(get)
    paths = ["/", "/texts", "/texts?search=%3Cscript%3E", f"/texts?first={'%3Cimg%3E'}"]
    paths += [f"/runs/{id}" for id in ids] + ["/compare?" + "&".join(f"run={id}" for id in ids)]
    for path in paths:
        page = read_page(get(path).text)
        tags = [tag for tag, _ in page.elements]
        assert not {"img", "iframe", "object", "base", "embed"} & set(tags), path
        scripts = [a["src"] for tag, a in page.elements if tag == "script"]
        assert scripts == ["/assets/serve.js", "/assets/script.js"], path
        assert not [key for _, a in page.elements for key in a if key.startswith("on")], path
        assert not [a for _, a in page.elements if "style" in a], path
        addresses = [
            a[key] for _, a in page.elements for key in ("href", "src", "action") if key in a
        ]
        assert all(one.startswith(("/", "#", "data:,")) for one in addresses), path
    rows = list(csv.reader(io.StringIO(get("/texts.csv").text, newline="")))
    assert not [cell for row in rows for cell in row if cell[:1] in set("=+-@")]
    saved = get(f"/runs/{ids[0]}/metrics.csv").headers["content-disposition"]
    assert re.fullmatch(r'attachment; filename="[A-Za-z0-9_-]+\.csv"', saved)


def test_a_file_that_leads_out_of_its_folder_is_not_shown(serve, make_run, tmp_path):
    folder = make_run("linked")
    secret = tmp_path.parent / f"{tmp_path.name}-secret.yaml"
    secret.write_text("id: SECRET\n")
    get = serve()
    assert "linked" in get("/").text
    (folder / "config.yaml").unlink()
    (folder / "config.yaml").symlink_to(secret)
    assert "SECRET" not in serve()("/").text


def test_a_pipe_among_the_files_of_a_run_does_not_hold_the_page(serve, make_run):
    folder = make_run("piped")
    for name in ("result.json", "metrics.jsonl"):
        (folder / name).unlink()
        os.mkfifo(folder / name)
    assert serve()("/").status == 200


def test_any_name_of_a_folder_is_shown(serve, make_run):
    folder = make_run("plain")
    for name in (b"a\xff", "\u202eb".encode(), b"c\n\x1b[2J"):
        shutil.copytree(folder, folder.parent / os.fsdecode(name))
    get = serve()
    page = get("/").text
    assert "a\ufffd" in page
    assert len(ids_of(get)) == 4
    assert all(get(f"/runs/{id}").status == 200 for id in ids_of(get))
    assert all(get(f"/runs/{id}/metrics.csv").status == 200 for id in ids_of(get))


def test_no_address_leads_out_of_the_folders(serve, make_run):
    make_run("one")
    get = serve()
    for path in (
        *("/runs/../../etc/passwd", "/assets/../app.py", "/assets/%2e%2e%2fapp.py", "//etc/passwd"),
        *("/runs/%00", "/compare?run=../..", "/runs/..%2f..", "/assets/..\\app.py"),
    ):
        assert get(path).status in (400, 404)
