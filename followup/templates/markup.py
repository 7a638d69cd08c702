"""Turns the Markdown of a mail into plain text and into HTML with inlined styles.

All of it happens once, when a wording is read. What stands in it as Jinja passes through unread,
so that values meet only the escaping of the finished text or HTML, never the markup itself.
"""

import re
from collections.abc import Callable

import css_inline
from markdown_it import MarkdownIt

_MARKDOWN = MarkdownIt("commonmark", {"html": False})
_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False, keep_at_rules=True)

_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_STANDS_FOR = re.compile(r"jinja[es](\d+)z")


def around_jinja(source: str, transform: Callable[[str], str]) -> str:
    """`transform` applied to the words alone: each part in Jinja stands there as one plain word."""
    parts: list[str] = []

    def stand_in(match: re.Match[str]) -> str:
        if match[0].startswith("{#"):
            return ""
        parts.append(match[0])
        return f"jinja{'s' if match[0].startswith('{%') else 'e'}{len(parts) - 1}z"

    transformed = transform(_JINJA.sub(stand_in, source))
    return _STANDS_FOR.sub(lambda match: parts[int(match[1])], transformed)


def words_of(source: str) -> str:
    """The source without its Jinja, line by line as it was."""
    return _JINJA.sub(lambda match: "\n" * match[0].count("\n"), source)


def without_comments(source: str) -> str:
    """The source without what is said to its authors alone, line by line as it was."""
    return _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), source)


_ONLY_STATEMENTS = re.compile(r"<p>((?:jinjas\d+z\s*)+)</p>")


def as_html(markdown: str) -> str:
    rendered: str = _MARKDOWN.render(markdown)
    return _ONLY_STATEMENTS.sub(r"\1", rendered)


def inline_styles(page: str) -> str:
    """Mail programs drop style sheets; only what they can read nowhere else stays in one."""
    inlined: str = _INLINER.inline(page)
    return inlined


_SOFT_BREAK = re.compile(r"(?<!  )(?<!\\)\n *+(?![-*+>] |\d+[.)] |jinjas)")
_HARD_BREAK = re.compile(r"(?: {2,}|\\)\n")
_HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]*)\)")
_BARE_LINK = re.compile(r"<(https?://[^>]+)>")
_EMPHASIS = re.compile(r"(\*\*|\*)(?=\S)(.+?)(?<=\S)\1")


def as_text(markdown: str) -> str:
    """For people who read plain text: no marks, and the address after the words of a link.

    A paragraph is one line, whose length on screen is the reader's to choose.
    """
    blocks = re.split(r"\n\s*\n", markdown.strip())
    text = "\n\n".join(_HARD_BREAK.sub("\n", _SOFT_BREAK.sub(" ", block)) for block in blocks)
    text = _LINK.sub(_link_in_text, _HEADING.sub("", text))
    return _EMPHASIS.sub(r"\2", _BARE_LINK.sub(r"\1", text))


def _link_in_text(match: re.Match[str]) -> str:
    label, target = match[1], match[2]
    says_it_itself = target == label or target.startswith(("tel:", "sms:", "mailto:"))
    return label if says_it_itself else f"{label}: {target}"


def tidied(text: str) -> str:
    """Without what an `if` that did not apply leaves behind."""
    lines = (line.strip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
