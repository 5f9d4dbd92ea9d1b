"""Chat templates are rendered as transformers renders them, and are bounded in what they take."""

from __future__ import annotations

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from textenv import chat_templates
from textenv.chat_templates import ChatTemplate
from textenv.errors import TokenizerError

MESSAGES = [
    {"role": "system", "content": "Be <brief>."},
    {"role": "user", "content": "Hi & 你好"},
    {"role": "assistant", "content": "Hello."},
]
LOOP = "{% for m in messages %}"
TEMPLATES = {
    "markers": LOOP + "<|im_start|>{{ m['role'] }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "special tokens": "{{ bos_token }}" + LOOP + "{{ m.content | trim + eos_token }}{% endfor %}",
    "generation blocks": LOOP + "{% generation %}{% set x = 1 %}{{ m.content }}{% endgeneration %}"
    "{{ x is defined }}{% endfor %}",
    "a loop that breaks": LOOP + "{{ m.role }}{% break %}{% endfor %}",
    "a namespace": "{% set n = namespace(k=0) %}" + LOOP + "{% set n.k = n.k + 1 %}{% endfor %}"
    "{{ n.k }}",
    "JSON": "{{ messages | tojson(indent=1) }}{{ dict(a=1) | tojson }}{{ '<é>' | tojson }}",
    "blocks on lines": LOOP
    + "\n    {% if true %}\n    {{ m.role }}\n    {% endif %}\n{% endfor %}",
    "nothing else": "{{ tools is none }}{{ documents is none }}{{ nothing is defined }}",
    "the year": "{{ strftime_now('%Y') }}",
}
TOKENS = '{"bos_token": "<s>", "eos_token": "</s>"}'


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("asks", [True, False])
def test_templates_are_rendered_as_transformers_renders_them(name, asks):
    expected, _ = render_jinja_template(
        [MESSAGES],
        chat_template=TEMPLATES[name],
        add_generation_prompt=asks,
        bos_token="<s>",
        eos_token="</s>",
    )
    assert ChatTemplate(TEMPLATES[name], TOKENS)(MESSAGES, asks) == expected[0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ 'a' * 10**10 }}", "more memory"),
        ("{{ 'a' | center(10**10) }}", "more memory"),
        ("{{ [1] * 10**9 }}", "more memory"),
        ("{% set n = namespace(x='aa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}"
         "{% endfor %}", "more memory"),
        ("{% for i in range(9999) %}{{ 'x' * 1000 }}{% endfor %}", "more than 1,000,000 char"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{% set n = namespace(__class__=1) %}", "no attribute"),
        ("{{ messages.append(1) }}", "unsafe|not safe"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{{ raise_exception('Only one turn.') }}", "^Only one turn.$"),
        ("{% if %}", "Expected an expression"),
    ],
)  # fmt: skip
def test_a_template_that_takes_too_much_or_fails_is_refused_in_words(source, message):
    with pytest.raises(TokenizerError, match=message):
        ChatTemplate(source, TOKENS)(MESSAGES)


def test_what_a_template_writes_can_be_encoded():
    assert ChatTemplate("{{ '\ud800' }}", TOKENS)(MESSAGES) == "\ufffd"


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ (9 ** 99999999) % 2 }}",  # one step of the interpreter
    ],
)
def test_a_template_that_never_ends_is_stopped_and_the_next_one_is_rendered(source, monkeypatch):
    monkeypatch.setattr(chat_templates, "TIME_LIMIT_S", 0.2)
    with pytest.raises(TokenizerError, match=r"longer than 0\.2 seconds"):
        ChatTemplate(source, TOKENS)(MESSAGES)
    monkeypatch.setattr(chat_templates, "TIME_LIMIT_S", 5.0)
    assert ChatTemplate("{{ messages[0].role }}", TOKENS)(MESSAGES) == "system"
