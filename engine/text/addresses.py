"""Reads URLs, file names and e-mail addresses: "abs at nvidia dot com"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from engine.text import chinese, english
from engine.text.draft import Draft, Edit
from engine.text.language import Language
from engine.text.script import CJK, is_chinese

LONGEST = 80  # characters of an address that are read; of a longer one, only the host is
_SIGNS = {
    ".": ("dot", "点"),
    "@": ("at", "艾特"),
    "/": ("slash", "斜杠"),
    "-": ("dash", "杠"),
    "_": ("underscore", "下划线"),
    ":": ("colon", "冒号"),
    "#": ("hash", "井号"),
    "?": ("question mark", "问号"),
    "=": ("equals", "等于"),
    "&": ("and", "和"),
    "+": ("plus", "加"),
    "%": ("percent", "百分号"),
    "~": ("tilde", "波浪号"),
    "\\": ("backslash", "反斜杠"),
    "*": ("star", "星号"),
    "$": ("dollar", "美元"),
    "!": ("exclamation mark", "叹号"),
    ",": ("comma", "逗号"),
}
_TOP = (
    "com|org|net|edu|gov|mil|int|io|ai|dev|app|co|info|biz|tv|cc|xyz|tech|cloud|online|site"
    "|shop|blog|wiki|news|page|link|store"
    "|cn|uk|de|fr|jp|eu|ru|nl|br|es|ch|pl|se|ca|au|in|kr|hk|tw|sg|us|it|at|me|fm|gg|ly|example|test|local|localhost"
)
# Country codes that are also words or sentence starts: accepted only after www or a name, or before a path.
_RISKY = "in|it|at|me|us|co|es|ly|test|local|example|page|link|news|store|shop|site|blog"
_FILES = (
    "txt|md|rst|pdf|docx?|xlsx?|pptx?|csv|tsv|json|ya?ml|toml|ini|cfg|conf|xml|html?|css|jsx?"
    "|tsx?|py|ipynb|rs|go|java|cpp|hpp|cs|rb|php|sh|bat|exe|dll|zip|tar|gz|tgz|7z|rar"
    "|png|jpe?g|gif|svg|webp|bmp|mp3|mp4|wav|flac|ogg|opus|avi|mkv|mov|log|sql|db|lock|env|gguf|safetensors|onnx|bin|iso|dmg|apk|deb|rpm|js|ts"
)
_URL = rf"(?:https?|ftp|wss?|file)://[^\s<>\"'`|(){{}}\[\]，。！？；：、（）【】《》“”{CJK}]+(?:\([^\s()]{{0,60}}\)[^\s<>\"'`|(){{}}\[\]，。！？；：、（）【】《》“”{CJK}]*)?"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})"
_REST = r"(?:/[A-Za-z0-9._~%!$&*+=@:/?#-]*)"
_ADDRESS = re.compile(
    rf"""(?P<url>(?<![A-Za-z0-9]){_URL})
    | (?P<email>(?<![A-Za-z0-9._%+-])(?>[A-Za-z0-9._%+-]{{1,64}})@(?:{_LABEL}\.){{1,8}}[A-Za-z]{{2,24}}(?![A-Za-z0-9@]))
    | (?P<host>(?<![A-Za-z0-9._@/\\-])(?:localhost|(?:{_LABEL}\.){{1,8}}(?P<top>[A-Za-z]{{2,9}}))
        (?P<port>:[0-9]{{2,5}})?(?![A-Za-z0-9@-])(?P<path>{_REST})?)
    | (?P<ip>(?<![A-Za-z0-9.])[0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}}
        (?P<ip_port>:[0-9]{{1,5}}|/[0-9]{{1,2}}(?![0-9]))?(?![0-9A-Za-z]|\.[0-9]){_REST}?)
    | (?P<hardware>(?<![A-Za-z0-9:])(?:[0-9A-Fa-f]{{2}}:){{5}}[0-9A-Fa-f]{{2}}(?![A-Za-z0-9:]))
    | (?P<path_alone>(?<![A-Za-z0-9._<>/~\\)\]{CJK}-])(?:~|\.{{1,2}})?
        (?:/(?:[A-Za-z0-9._+@-]|%[0-9A-F]{{2}}){{1,64}}){{2,24}}/?(?![A-Za-z0-9])
        | (?<![A-Za-z0-9])[A-Z]:\\[A-Za-z0-9._+\\-]{{1,200}})
    | (?P<name>(?<![A-Za-z0-9._/])@[A-Za-z_][A-Za-z0-9_]{{1,30}}(?![A-Za-z0-9@.][A-Za-z0-9]))
    | (?P<tag>(?<![A-Za-z0-9&/#_])\#[A-Za-z{CJK}_][A-Za-z0-9{CJK}_]{{1,60}}\#?)
    """,
    re.VERBOSE,
)
_MAY_HOLD = re.compile(r"[@:/\\#]|[A-Za-z]\.[A-Za-z]|[0-9]\.[0-9]")
_STOPS = ".,;:!?'\"”’…*_~"
_PART = re.compile(r"[0-9]+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]|.", re.DOTALL)
_TAG_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]|[0-9]+|[^A-Za-z0-9_]+")
_LINE = re.compile(r"[^\n]+")


def speak_addresses(draft: Draft, language: Language | None) -> None:
    """Replace every address by words."""
    if _MAY_HOLD.search(draft.text):
        draft.apply(_edits(draft.text, language))


def _edits(text: str, language: Language | None) -> Iterator[Edit]:
    otherwise = is_chinese(text) or language == "zh"
    for line in _LINE.finditer(text):
        if not _MAY_HOLD.search(line[0]):
            continue
        in_chinese = None
        for match in _ADDRESS.finditer(text, *line.span()):
            if in_chinese is None:
                without = _ADDRESS.sub(" ", line[0])
                in_chinese = is_chinese(without) if any(map(str.isalpha, without)) else otherwise
            written = match[0].rstrip(_STOPS)
            spoken = _speak(match, written, in_chinese)
            if spoken is not None:
                end = match.start() + len(written)
                yield Edit(match.start(), end, _apart(spoken, text, match.start(), end), "address")


def _apart(spoken: str, text: str, start: int, end: int) -> str:
    """Add spaces where the address touches words."""
    before, after = text[start - 1 : start] if start else "", text[end : end + 1]
    return " " * before.isalnum() + spoken + " " * after.isalnum()


def _speak(match: re.Match[str], written: str, in_chinese: bool) -> str | None:
    if match["url"]:
        return _url(written, in_chinese)
    if match["tag"]:
        words = " ".join(_TAG_PART.findall(written.strip("#")))
        return f"话题{words}" if in_chinese else f"hashtag {words}"
    if match["host"]:
        return _host(match, written, in_chinese)
    if match["path_alone"] and (written.count("/") + written.count("\\") < 2 or re.fullmatch(r"[0-9/.]+", written)):
        return None
    return spell(written, in_chinese)


def _url(written: str, in_chinese: bool) -> str:
    try:
        parts = urlsplit(written)
        host, rest = parts.netloc.rpartition("@")[2], unquote(parts.path)
    except ValueError:  # brackets that are no address of IPv6
        return spell(written.partition("://")[2][:LONGEST], in_chinese)
    if parts.scheme == "file":
        host = ""
    if len(written) > LONGEST:
        return spell(host or rest[:LONGEST], in_chinese)
    query = f"?{parts.query}" * bool(parts.query) + f"#{parts.fragment}" * bool(parts.fragment)
    return spell(host + rest.rstrip("/") + query, in_chinese)


def _host(match: re.Match[str], written: str, in_chinese: bool) -> str | None:
    """Read a host without a scheme, or a file name; None if it only resembles one."""
    host, top = written.partition("/")[0].partition(":")[0], (match["top"] or "").lower()
    labels = host.split(".")
    if host.lower() == "localhost":
        return spell(written, in_chinese) if match["port"] or match["path"] else None
    known = re.fullmatch(_TOP, top) is not None and (
        not re.fullmatch(_RISKY, top)
        or match["path"]
        or labels[0] == "www"
        or len(labels) > 2
        or (host.islower() and top in ("co", "me", "ly", "test", "local", "example"))
    )
    file = re.fullmatch(_FILES, top) is not None and not host[-len(top) :].istitle()
    if all(len(label) == 1 for label in labels) or any(label == "" for label in labels):
        return None
    if not known and not file and labels[0] != "www" and not (match["port"] and top.isalpha() and host.islower()):
        return None
    if known and not host.islower() and re.fullmatch(r"[A-Za-z]+\.[A-Z][a-z]+", host):
        return None  # the end of a sentence, and the next without a space
    if len(written) > LONGEST:
        written = host
    return spell(written.rstrip("/"), in_chinese)


def spell(address: str, in_chinese: bool) -> str:
    """Read words as words, digits one by one, signs by name: "a1@b.io" -> "a one at b dot io"."""
    words = []
    for part in _PART.findall(address):
        if part.isdecimal():
            words.append(chinese.digits(part) if in_chinese else english.digits(part))
        elif part.lower() == "www":
            words.append("W W W")
        elif part in _SIGNS:
            words.append(_SIGNS[part][in_chinese])
        elif part.isalnum():
            words.append(part)
    return " ".join(words)
