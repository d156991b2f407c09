"""The page: one HTML file that needs nothing else, with pictures inside, for a wide screen and for a narrow one."""

import base64
import html
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lstm_convert.analysis.engine import Analysis
from lstm_convert.analysis.tables import AT_REST, MEASURED, PROVEN
from lstm_convert.plots.picture import Picture

_GRADES = {
    PROVEN: ("PROVEN", "holds for every input of a stated box, by the weights alone"),
    AT_REST: ("AT REST", "exact for the network linearised where it comes to rest, or for its biases alone"),
    MEASURED: ("MEASURED", "found on the sequences that were handed in, and for those"),
}
_DIGITS = 3

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 44rem; background: #fff; color: #1c1c1c;
       font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { margin: 0 0 .25rem; font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 3rem 0 .75rem; font-size: 1.25rem; border-bottom: 1px solid #ddd; padding-bottom: .3rem; }
h3 { margin: 2.25rem 0 .5rem; font-size: 1.05rem; line-height: 1.35; overflow-wrap: anywhere; }
p { margin: .6rem 0; }
.headline { margin: 1.25rem 0; padding: 1rem 1.25rem; border-left: 5px solid #0072b2; background: #f2f7fb;
            font-size: 1.15rem; overflow-wrap: anywhere; }
.quiet { color: #555; }
.grade { display: inline-block; padding: 0 .45em; border-radius: .25em; font-size: .75rem; font-weight: 600; }
.proven { background: #d9efe6; color: #00513a; }
.at_rest { background: #fbe5d6; color: #7a3600; }
.measured { background: #dcecf7; color: #00486f; }
nav ul { columns: 17rem; margin: .5rem 0; padding: 0; list-style: none; }
nav li { padding: .15rem 0; break-inside: avoid; }
a { color: #00588a; }
figure { margin: 0; }
figure img { display: block; width: 100%; max-width: 40rem; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; min-width: min(26rem, 100%); margin: .5rem 0; font-size: .85rem;
        font-variant-numeric: tabular-nums; }
caption { padding: .3rem 0; text-align: left; color: #555; }
th, td { padding: .25rem .9rem .25rem 0; text-align: left; border-bottom: 1px solid #e5e5e5; white-space: nowrap; }
td.number, th.number { text-align: right; }
ul.said { list-style: none; padding: 0; }
ul.said li { margin: .7rem 0; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.2rem; }
dt { color: #555; }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 36rem) {
  body { padding: 1.25rem .9rem 3rem; }
  h1 { font-size: 1.35rem; }
  .headline { font-size: 1.05rem; padding: .8rem .9rem; }
  table { font-size: .8rem; }
  th, td { padding-right: .5rem; }
  th { white-space: normal; vertical-align: bottom; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .6rem; }
}
@media print { h3, figure { break-inside: avoid; } }
"""


def page(title: str, found: Analysis, shown: Iterable[tuple[Picture, bytes]], provenance: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        title: what was analyzed.
        found: the analysis.
        shown: the pictures, each with its PNG.
        provenance: what the last section says, by name.
    """
    grade, _, headline = found.headline.partition(": ")
    said = [each for each in found.sentences if each.text != found.headline]
    parts = [
        f"<h1>{_text(title)}</h1>",
        '<p class="quiet">What its gates say, and which steps its output depends on.</p>',
        f'<p class="headline">{_chip(MEASURED, grade)} {_text(headline)}</p>',
        *(_sentence(each.basis, each.text, "p") for each in said if each.topic == "result"),
        *_figures(list(shown)),
        '<h2 id="reading">How to read this, and what not to read from it</h2>',
        '<ul class="said">',
        *(_sentence(each.basis, each.text, "li") for each in said if each.topic != "result"),
        "</ul>",
        '<h2 id="grades">Three grades of answer</h2>',
        '<ul class="said">',
        *(f"<li>{_chip(basis, name)} {_text(meaning)}</li>" for basis, (name, meaning) in _GRADES.items()),
        "</ul>",
        '<h2 id="provenance">Where this is from</h2>',
        "<dl>",
        *(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in provenance.items()),
        "</dl>",
    ]
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def number(value: Any) -> str:
    """Return a value of a table as a reader wants it.

    Args:
        value: a number, a text, or None.
    """
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, float) and math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return str(value) if isinstance(value, int) else f"{value:.{_DIGITS}g}"


def grade_of(basis: str, text: str) -> tuple[str, str]:
    """Return the grade that is shown before a sentence, and the sentence without it; nothing is no proof.

    Args:
        basis: the sentence's grade.
        text: the sentence.
    """
    grade, _ = _GRADES[basis]
    return ("" if text.startswith("no ") else grade), text.removeprefix(f"{grade}: ")


def _figures(shown: Sequence[tuple[Picture, bytes]]) -> Iterator[str]:
    yield '<h2 id="figures">Pictures</h2>\n<nav>\n<ul>'
    yield from (f'<li><a href="#{_text(picture.name)}">{_text(picture.title)}</a></li>' for picture, _ in shown)
    yield "</ul>\n</nav>"
    yield from (_figure(picture, png) for picture, png in shown)


def _figure(picture: Picture, png: bytes) -> str:
    image = base64.b64encode(png).decode()
    chip = _chip(picture.basis, picture.grade)
    return "\n".join(
        [
            f'<h3 id="{_text(picture.name)}">{chip} {_text(picture.title)}</h3>',
            "<figure>",
            f'<img src="data:image/png;base64,{image}" alt="{_text(picture.full_title)}">',
            f"<figcaption><p>{_text(picture.sentence)}</p></figcaption>",
            "</figure>",
            _table(f"{chip} all numbers: {_text(picture.source)}", picture.header, picture.rows),
        ]
    )


def _table(caption: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    numeric = [all(not isinstance(row[at], str) for row in rows) for at in range(len(header))]
    marks = [' class="number"' if is_number else "" for is_number in numeric]
    head = "".join(f'<th scope="col"{mark}>{_text(name)}</th>' for name, mark in zip(header, marks, strict=True))
    body = "\n".join(
        "<tr>"
        + "".join(f"<td{mark}>{_text(number(each))}</td>" for each, mark in zip(row, marks, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table>\n<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _sentence(basis: str, text: str, tag: str) -> str:
    grade, rest = grade_of(basis, text)
    return f"<{tag}>{_chip(basis, grade) if grade else ''} {_text(rest)}</{tag}>"


def _chip(basis: str, text: str) -> str:
    return f'<span class="grade {basis}">{_text(text)}</span>'


def _text(value: Any) -> str:
    return html.escape(str(value))
