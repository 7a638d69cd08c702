"""Markdown becomes text and HTML; Jinja goes through both unread."""

import pytest

from followup.templates.markup import (
    around_jinja,
    as_html,
    as_text,
    inline_styles,
    tidied,
    words_of,
)


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        pytest.param("one\ntwo", "one two", id="a paragraph is one line"),
        pytest.param("one\n\ntwo", "one\n\ntwo", id="paragraphs stay apart"),
        pytest.param("one\\\ntwo", "one\ntwo", id="hard break"),
        pytest.param("- one\n- two", "- one\n- two", id="a list keeps its lines"),
        pytest.param("# Title", "Title", id="heading"),
        pytest.param("**bold** and *soft*", "bold and soft", id="emphasis"),
        pytest.param("2 * 3 * 4", "2 * 3 * 4", id="no emphasis"),
        pytest.param("[Read](https://a.example)", "Read: https://a.example", id="link"),
        pytest.param("<https://a.example>", "https://a.example", id="bare link"),
        pytest.param("[988](tel:988)", "988", id="number to tap"),
        pytest.param(
            "[{{ clinic_phone }}](tel:{{ clinic_phone_e164 }})", "{{ clinic_phone }}", id="value"
        ),
        pytest.param("[Open]({{ link }})", "Open: {{ link }}", id="value as address"),
    ],
)
def test_text_has_no_marks(markdown: str, text: str) -> None:
    assert around_jinja(markdown, as_text) == text


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        pytest.param("**{{ when }}**", "<p><strong>{{ when }}</strong></p>\n", id="value"),
        pytest.param("{{ a * b * c }}", "<p>{{ a * b * c }}</p>\n", id="marks inside Jinja"),
        pytest.param('{{ a or "<b>" }}', '<p>{{ a or "<b>" }}</p>\n', id="quotes inside Jinja"),
        pytest.param("[x]({{ link }})", '<p><a href="{{ link }}">x</a></p>\n', id="address"),
        pytest.param("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>\n", id="HTML is words"),
        pytest.param("x{# note #}", "<p>x</p>\n", id="comment"),
        pytest.param(
            "{% if a %}\n\nx\n\n{% endif %}",
            "{% if a %}\n<p>x</p>\n{% endif %}\n",
            id="a condition around paragraphs",
        ),
    ],
)
def test_html_keeps_jinja_as_it_was(markdown: str, html: str) -> None:
    assert around_jinja(markdown, as_html) == html


def test_styles_move_into_the_elements_and_dark_mode_stays() -> None:
    page = (
        "<html><head><style>p { color: red } @media print { p { color: black } }</style></head>"
        "<body><p>{{ body }}</p></body></html>"
    )

    inlined = around_jinja(page, inline_styles)

    assert '<p style="color: red;">{{ body }}</p>' in inlined
    assert "@media print" in inlined


def test_words_keep_their_line_numbers() -> None:
    assert words_of("a\n{% if\nx %}b\n{{ c }}d").splitlines() == ["a", "", "b", "d"]


def test_what_an_unmet_condition_leaves_is_tidied_away() -> None:
    assert tidied("\na  \n\n\n\n b\n") == "a\n\nb"
