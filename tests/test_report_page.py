"""The pictures and the page that `analyze` writes: grades, sentences, tables, nothing that a network has to give."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from commands import PICTURES, WEATHER, Command, saved, weather_data

import lstm_convert

GRADE = re.compile(r"PROVEN|AT REST x = \(.+\)|MEASURED n = \d+.*")
VOID = {"meta", "img"}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_has_its_grade_in_its_title_and_colours(written: Path, name: str) -> None:
    svg = (written / f"{name}.svg").read_text("utf-8")
    assert re.search(r">(PROVEN:|AT REST x =|MEASURED n = \d+)", svg)
    from PIL import Image  # noqa: PLC0415 (matplotlib brings it)

    with Image.open(written / f"{name}.png") as image:
        assert image.width > 900
        assert len(image.convert("RGB").getcolors(1 << 20) or [0] * 100) > 10


class Page(HTMLParser):
    """Every tag of a page, closed where it was opened, and its words."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.resources: list[str] = []
        self.texts: list[str] = []
        self.chips: list[str] = []
        self.ids: list[str] = []
        self.counts: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.resources += [str(values[name]) for name in ("src", "href", "data", "srcset") if name in values]
        self.ids += [str(values["id"])] if "id" in values else []
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data.strip())
        if self.open and self.open[-1] == "span":
            self.chips.append(data)


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    found = Page()
    found.feed((written / "report.html").read_text("utf-8"))
    found.close()
    return found


def test_the_page_is_well_formed_and_needs_nothing_else(written: Path, page: Page) -> None:
    text = (written / "report.html").read_text("utf-8")
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    inside = [resource for resource in page.resources if resource.startswith("data:image/png;base64,")]
    assert len(inside) == page.counts["img"] == len(PICTURES)
    assert [f"#{name}" for name in PICTURES] == [each for each in page.resources if each not in inside]
    words = re.sub(r"base64,[^\"]+", "", text)
    assert not re.search(r"https?:|//|url\(|@import|<script|<link", words)
    assert 'name="viewport"' in text


def test_every_figure_has_its_grade_its_sentence_and_its_table(page: Page) -> None:
    assert set(PICTURES) <= set(page.ids)
    assert page.counts["figcaption"] == page.counts["table"] == len(PICTURES)
    assert page.chips
    assert all(GRADE.fullmatch(chip) or chip in ("MEASURED", "AT REST") for chip in page.chips)


def test_the_page_says_where_it_is_from_and_what_not_to_read_from_it(page: Page) -> None:
    text = "\n".join(page.texts)
    for said in (
        "weather.h5", lstm_convert.load(WEATHER).provenance.sha256, "60 sequences of 5 steps",
        "the rest of the model, dense_1, dense_2",
        "99 % of the effect lies within k =", "write time, not input time", "b_f alone", "no certificate (rho =",
        "AT REST x = (",
    ):  # fmt: skip
        assert said in text
    assert "irrelevant" not in text.lower()


@pytest.mark.usefixtures("undrawn")
def test_what_a_file_calls_itself_is_no_part_of_the_page(command: Command) -> None:
    lstm_convert.save(lstm_convert.load(WEATHER), "<b>&.npz", lstm_only=True)
    assert command("analyze", "<b>&.npz", "--data", saved("x.npy", weather_data()), "-o", "out")[0] == 0
    text = Path("out/report.html").read_text("utf-8")
    assert "&lt;b&gt;&amp;.npz" in text
    assert "<b>" not in text
