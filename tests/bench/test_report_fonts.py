"""Fonts inside a PDF: TrueType with the outlines of the whole font, and nothing that lays text out."""

import io
import re
import zlib
from pathlib import Path

import pytest
from fontTools.subset import Options
from fontTools.ttLib import TTFont
from matplotlib.font_manager import FontProperties, findfont

from bench.report import style
from bench.report.figures import save
from bench.report.figures.fonts import LAYOUT

STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", flags=re.DOTALL)
TRUETYPE = b"\x00\x01\x00\x00"


def fonts_of(pdf: Path) -> list[TTFont]:
    streams = (zlib.decompress(part) for part in STREAM.findall(pdf.read_bytes()))
    return [TTFont(io.BytesIO(data)) for data in streams if data.startswith(TRUETYPE)]


def weight_of(font: TTFont) -> str:
    return "bold" if font["OS/2"].usWeightClass >= 600 else "normal"


@pytest.fixture(scope="module")
def fonts(tmp_path_factory) -> list[TTFont]:
    """The fonts of a figure: bold, and normal in several parts."""
    with style.page("Mamba-2 is 1.4× as fast.", "µs · AVAfi T¹·⁰³", width=5.0, body=1.0) as picture:
        pass
    (file,) = save(picture, tmp_path_factory.mktemp("figure") / "words", ("pdf",))
    found = fonts_of(file)
    assert {weight_of(font) for font in found} == {"bold", "normal"}
    return found


def test_fonts_in_a_pdf_hold_no_tables_for_layout(fonts):
    assert all(not set(LAYOUT) & set(font.keys()) for font in fonts)


def test_outlines_and_widths_in_a_pdf_are_those_of_the_font(fonts):
    for font in fonts:
        whole = TTFont(findfont(FontProperties(family="DejaVu Sans", weight=weight_of(font))))
        names = [name for name in font.getGlyphOrder() if not name.startswith(".")]  # ".notdef" is left empty
        assert names
        for name in names:
            points, *_ = font["glyf"][name].getCoordinates(font["glyf"])
            expected, *_ = whole["glyf"][name].getCoordinates(whole["glyf"])
            assert points == expected
            assert font["hmtx"][name][0] == whole["hmtx"][name][0]


def test_what_others_cut_from_their_fonts_stays_theirs(fonts):
    assert not {"GPOS", "GSUB"} & set(Options().drop_tables)
