"""What the documentation names is there."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, prose

NAMED = re.compile(r"`((?:benchmarks|configs|demo|docker|docs|engine|scripts|server|tests)/[\w./-]+)`")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            file = (page.parent / path) if path else page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), target


@every_page
def test_files_that_are_named_exist(page: Path) -> None:
    if page.name != "CHANGELOG.md":  # which names those of the past
        missing = [name for name in NAMED.findall(prose(page)) if not (ROOT / name).exists()]
        assert not missing


def test_the_readme_fits_on_two_screens() -> None:
    for name in ("README.md", "README.zh.md"):
        assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= 130
