"""The pictures and the page that `analyze` writes: grades, sentences, tables, nothing that a network has to give."""

import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from answering import Command
from commands import PICTURES, WEATHER, saved, weather_data
from PIL import Image

import lstm_convert
from lstm_convert.plots import drawing
from lstm_convert.plots.picture import Picture
from lstm_convert.plots.window import window

GRADE = re.compile(r"PROVEN|AT REST x = \(.+\)|MEASURED n = \d+.*")
VOID = {"meta", "img"}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_has_its_grade_in_its_title_and_colours(written: Path, name: str) -> None:
    svg = (written / f"{name}.svg").read_text("utf-8")
    assert re.search(r">(PROVEN:|AT REST x =|MEASURED n = \d+)", svg)
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
        self.alts: list[str] = []
        self.ids: list[str] = []
        self.counts: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.resources += [str(values[name]) for name in ("src", "href", "data", "srcset") if name in values]
        self.ids += [str(values["id"])] if "id" in values else []
        self.alts += [str(values["alt"])] if "alt" in values else []
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


def test_every_picture_says_its_grade_to_those_who_do_not_see_it(page: Page) -> None:
    assert len(page.alts) == len(PICTURES)
    assert all(re.match(r"(PROVEN|AT REST x = \(.+\)|MEASURED n = \d+.*): \w", alt) for alt in page.alts)


def test_every_table_has_its_grade_and_the_file_of_all_its_numbers(written: Path) -> None:
    text = (written / "report.html").read_text("utf-8")
    captions = re.findall(r'<div class="scroll"><table>\n<caption>(.+?)</caption>', text)
    assert len(captions) == len(PICTURES)
    for caption in captions:
        assert re.match(r'<span class="grade \w+">(PROVEN|AT REST|MEASURED).*</span> all numbers: ', caption)
        assert all((written / name).exists() for name in re.findall(r"\w+\.csv", caption))


def test_nothing_makes_the_page_wider_than_a_phone(written: Path) -> None:
    """Pictures shrink, words break, and a table too wide for the screen moves under the finger by itself."""
    text = (written / "report.html").read_text("utf-8")
    rules, _, body = text.partition("<style>")[2].partition("</style>")
    style = dict(re.findall(r"^([^{}@\n]+?) \{([^{}]+)\}", rules.partition("@media")[0], re.MULTILINE))
    assert "width: 100%" in style["figure img"]
    assert "overflow-x: auto" in style[".scroll"]
    assert body.count("<table>") == body.count('<div class="scroll"><table>')
    assert all("overflow-wrap: anywhere" in style[words] for words in ("h1", "h3", ".headline", "ul.said li", "dd"))
    assert re.findall(r"(?<!max-)width: ([^;]+)", rules) == ["100%", "min(26rem, 100%)"]


def test_a_long_title_is_broken_and_not_cut() -> None:
    picture = Picture("long", "proven", "PROVEN", "W" * 90 + " of a layer", "", (), (), "", (5.4, 2.0), lambda _: None)
    with Image.open(BytesIO(drawing.drawn(picture).png)) as image:
        ink = np.asarray(image.convert("L")) < 128
    assert ink.any()
    assert not ink[:, -8:].any()


def test_of_long_sequences_what_is_left_out_is_said_with_its_size() -> None:
    steps = list(range(-299, 1))
    values = np.where(np.arange(-299, 1) > -5, 1.0, 0.001)[None]
    seen = window(steps, values)
    assert seen.first == -24
    assert seen.said == (
        " Drawn from t-24 on: the 275 steps before it have each at most 0.001, and stand in the table's file."
    )
    assert window(steps[-20:], values[:, -20:]) == (-19, "")
    values[0, 99] = -0.5
    assert window(steps, values).first == -250
