"""Removes markup: thoughts of reasoning models, HTML, Markdown, code fences, LaTeX's dollar signs."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Literal

from engine.text.draft import Draft, Edit

_THOUGHT = re.compile(
    r"<(?P<close>/?)(?:think|thinking|thought|reasoning|script|style)(?:\s[^<>]{0,200})?>", re.IGNORECASE
)
_COMMENT = re.compile(r"<!--|-->")
_BLOCKS = (
    "address|article|aside|blockquote|br|dd|div|dl|dt|figcaption|figure|footer|form|h[1-6]"
    "|header|hr|li|main|nav|ol|p|pre|section|table|tbody|td|tfoot|th|thead|tr|ul|break|speak"
    "|s"
)
_INLINE = (
    "a|abbr|b|big|button|center|cite|code|del|details|dfn|em|font|i|iframe|img|input|ins|kbd"
    "|label|mark|meta|link|q|ruby|rt|rp|samp|small|span|strike|strong|sub|summary"
    "|sup|svg|time|u|var|video|audio|source|html|head|body|title|script|style|emphasis|phoneme|prosody|say-as|voice|think|thinking|thought|reasoning|!doctype"
)
_TAG = re.compile(rf"</?(?:(?P<block>{_BLOCKS})|(?:{_INLINE}))(?:\s[^<>]{{0,1000}}|/)?/?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_FENCE = re.compile(r"^[ \t]{0,12}(?P<fence>```+|~~~+)[^`\n]*$", re.MULTILINE)
_TABLE_RULE = re.compile(r"^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-*:?[ \t]*)+$")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)?[^\s<>@]{1,200}(?:://|@|\.)[^\s<>]{1,1000})>")
_IMAGE = re.compile(r"!\[(?P<text>[^\[\]\n]{0,500})\]\([^()\n]{0,1000}(?:\([^()\n]{0,200}\)[^()\n]{0,200})?\)")
_LINK = re.compile(
    r"\[(?P<text>[^\[\]\n]{0,500})\]\((?=[^()\n]*[/#.@:]|\))[^()\n]{0,1000}(?:\([^()\n]{0,200}\)[^()\n]{0,200})?\)"
)
_REFERENCE = re.compile(
    r"\[(?P<text>[^\[\]\n]{1,500})\]\[[^\[\]\n]{0,100}\]|\[\^[^\[\]\s]{1,40}\]:?"
    r"|^[ ]{0,3}\[[^\[\]\n]{1,100}\]:[ ]+\S+[^\n]*$",
    re.MULTILINE,
)
_TASK = re.compile(r"^(?P<bullet>[ \t]*[-*+][ ])\[[ xX]\][ ]", re.MULTILINE)
_MATHS = re.compile(
    r"\$\$?(?P<body>[^\s$](?:[^$\n]{0,300}[^\s$\\])?)\$\$?(?![0-9])|\\\((?P<round>[^\n]{1,300}?)\\\)|\\\[(?P<square>[^\n]{1,300}?)\\\]"
)
_IS_MATHS = re.compile(r"[=^_\\{}<>≤≥]|[A-Za-z0-9)][ ]?[+*/-][ ]?[A-Za-z(]|\A[A-Za-z](?:\([a-z]\))?\Z")
_LATEX = {
    "times": "×",
    "cdot": "×",
    "div": "÷",
    "pm": "±",
    "leq": "≤",
    "le": "≤",
    "geq": "≥",
    "ge": "≥",
    "neq": "≠",
    "ne": "≠",
    "approx": "≈",
    "infty": "infinity",
    "sum": "the sum of",
    "int": "the integral of",
    "to": "to",
    "ldots": "...",
    "dots": "...",
    "left": "",
    "right": "",
    "mathrm": "",
    "text": "",
    "mathbf": "",
    "quad": " ",
    "%": "%",
    ",": " ",
    "sqrt": "√",
}
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]{1,100})\}\{([^{}]{1,100})\}")
_COMMAND = re.compile(r"\\([A-Za-z]{1,20}|[%,;! ])")
_EMPHASIS = re.compile(r"(?<![0-9)])\*+|\*+(?![0-9(])|[`]|~~|\||\\(?![A-Za-z0-9])|(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])")
_SPACED_STAR = re.compile(r"(?<=[0-9)\]] )\*(?= [0-9(\[])")
_UNDERSCORE = re.compile(r"(?<=[A-Za-z0-9])_(?=[A-Za-z0-9])")


def strip_documents(draft: Draft, code_blocks: Literal["read", "skip"]) -> None:
    """Remove thoughts, fences, tags, links and tables."""
    text = draft.text
    if "<" in text:
        draft.apply(_hidden(text, _THOUGHT, "thought"))
        draft.apply(_hidden(draft.text, _COMMENT, "markup"))
    if "```" in text or "~~~" in text:
        draft.apply(_fences(draft.text, code_blocks == "skip"))
    if "<" in text and ">" in text:
        draft.substitute(_AUTOLINK, lambda match: match[1].removeprefix("mailto:"), "markup")
        draft.substitute(_TAG, lambda match: "\n" if match["block"] else "", "markup")
    if "&" in text:
        draft.substitute(_ENTITY, lambda match: html.unescape(match[0]), "markup")
    if "[" in text:
        draft.substitute(_TASK, lambda match: match["bullet"], "markup")
        draft.substitute(_IMAGE, lambda match: match["text"], "markup")
        draft.substitute(_LINK, lambda match: match["text"], "markup")
        draft.substitute(_REFERENCE, lambda match: match["text"] or "", "markup")
    if "|" in text:
        draft.apply(_tables(draft.text))
    if "$" in text or "\\" in text:
        draft.substitute(_MATHS, _maths, "markup")


def strip_emphasis(draft: Draft) -> None:
    """Remove asterisks, backticks and similar marks of emphasis."""
    draft.substitute(_SPACED_STAR, "×")
    draft.substitute(_EMPHASIS, " ", "")
    draft.substitute(_UNDERSCORE, " ", "")


def _hidden(text: str, tag: re.Pattern[str], rule: str) -> Iterator[Edit]:
    """Match from an opening mark to the next closing mark, and from the start to a first closing mark."""
    opened: int | None = None
    first = True
    for match in tag.finditer(text):
        closes = match[0].startswith(("</", "-->"))
        if closes and opened is not None:
            yield Edit(opened, match.end(), "\n", rule)
            opened = None
        elif closes and first and rule == "thought":
            yield Edit(0, match.end(), "", rule)
        elif not closes and opened is None:
            opened = match.start()
        first = False


def _fences(text: str, skip: bool) -> Iterator[Edit]:
    """Match fence lines, with their content if it is skipped. A fence without an end extends to the end of the text."""
    opened: re.Match[str] | None = None
    for match in _FENCE.finditer(text):
        if opened is None:
            opened = match
            if not skip:
                yield Edit(*match.span(), "", "code")
        elif match["fence"].startswith(opened["fence"][:3]) and match[0].strip() == match["fence"]:
            yield Edit(opened.start() if skip else match.start(), match.end(), "", "code")
            opened = None
    if opened and skip:
        yield Edit(opened.start(), len(text), "", "code")


def _tables(text: str) -> Iterator[Edit]:
    """Convert table rows to lines of cells with commas, without the separator line."""
    lines = text.split("\n")
    places, place = [], 0
    for line in lines:
        places.append(place)
        place += len(line) + 1
    in_table = False
    for index, line in enumerate(lines):
        following = lines[index + 1] if index + 1 < len(lines) else ""
        if "|" in line and _TABLE_RULE.match(line):
            yield Edit(places[index], places[index] + len(line), "", "markup")
            continue
        in_table = "|" in line and (in_table or ("|" in following and _TABLE_RULE.match(following) is not None))
        if in_table:
            cells = filter(None, (cell.strip() for cell in line.strip().strip("|").split("|")))
            row = ", ".join(cells)
            if row and row[-1].isalnum():
                row += "."
            yield Edit(places[index], places[index] + len(line), row, "markup")


def _maths(match: re.Match[str]) -> str:
    body = match["body"] or match["round"] or match["square"]
    if match["body"] and not _IS_MATHS.search(body):
        return match[0]
    body = _FRACTION.sub(r"\1 over \2", body)
    return (
        _COMMAND.sub(lambda command: _LATEX.get(command[1], f" {command[1]} "), body).replace("{", "").replace("}", "")
        if "\\" in body
        else body
    )
