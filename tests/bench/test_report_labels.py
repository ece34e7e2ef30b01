"""Labels, units and colours: apart, readable, and the same everywhere."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from scipy.optimize import isotonic_regression

from bench.report import style, units
from bench.report.figures.lines import round_values, thinned
from bench.report.labels import spread

# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB
BLINDNESS = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# IEC 61966-2-1: linear sRGB to CIE XYZ under D65
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour, vision=None):
    """CIE 1976 L*a*b* of a hex colour, as seen with a kind of colour blindness."""
    encoded = np.array(to_rgb(colour))
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear if vision is None else np.array(BLINDNESS[vision]) @ linear, 0, 1)
    ratio = XYZ @ seen / XYZ.sum(axis=1)
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


PAIRS = list(itertools.combinations([look.colour for look in style.MIXERS.values()], 2))


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_known_mixers_stay_apart_in_grey_and_under_colour_blindness(one, other):
    assert abs(lab(one)[0] - lab(other)[0]) >= 8
    for vision in BLINDNESS:
        assert np.linalg.norm(lab(one, vision) - lab(other, vision)) >= 12


def test_label_text_is_readable_on_white():
    for look in (*style.MIXERS.values(), *style.EXTENSION):
        lightness = lab(look.text)[0]
        luminance = ((lightness + 16) / 116) ** 3  # CIE 1976, above L* = 8; darker is readable anyway
        assert 1.05 / (luminance + 0.05) >= 4.4


def test_a_new_mixer_changes_no_other_mixers_look():
    before, after = style.assign(["softmax"]), style.assign(["softmax", "mean", "hyena"])
    assert all(after[name] == look for name, look in before.items())
    assert after["hyena"] == style.EXTENSION[0]
    assert after["mean"] == style.EXTENSION[1]


def test_no_two_of_many_new_mixers_look_alike():
    looks = style.assign(f"new{i}" for i in range(20)).values()
    assert len({(look.colour, look.marker) for look in looks}) == len(style.MIXERS) + 20


def test_markers_differ_among_known_mixers_and_the_hybrid():
    looks = style.assign([])
    hybrid = style.system_look(("mamba2", "softmax"), "bidirectional", looks)
    trained = [look for name, look in looks.items() if name != "softmax_unfused"]
    assert len({look.marker for look in [*trained, hybrid]}) == len(trained) + 1
    assert hybrid.halves == (looks["mamba2"].colour, looks["softmax"].colour)


def test_causal_is_dashed_and_bidirectional_solid_in_one_hue():
    looks = style.assign([])
    causal, both = (style.system_look(("kda",), d, looks) for d in ("causal", "bidirectional"))
    assert (causal.dash, both.dash) == ("--", "-")
    assert causal.colour == both.colour


@given(st.lists(st.floats(-1, 2), min_size=1, max_size=20))
def test_spread_labels_keep_their_gap_and_their_range(positions):
    placed = np.array(spread(positions, gap=0.04, low=0.0, high=1.0))
    assert (placed >= -1e-9).all()
    assert (placed <= 1 + 1e-9).all()
    assert (np.diff(np.sort(placed)) >= 0.04 - 1e-9).all()


@given(st.lists(st.floats(0.2, 0.8), min_size=2, max_size=12))
def test_spread_keeps_the_order_and_moves_labels_least(positions):
    placed = np.array(spread(positions, gap=0.05, low=-10, high=10))
    order = np.argsort(positions, kind="stable")
    steps = 0.05 * np.arange(len(positions))
    expected = isotonic_regression(np.array(positions)[order] - steps).x + steps  # scipy's least squares
    np.testing.assert_allclose(placed[order], expected, atol=1e-9)


def test_labels_that_are_far_apart_stay_where_they_are():
    assert spread([0.9, 0.1, 0.5], gap=0.1, low=0, high=1) == pytest.approx([0.9, 0.1, 0.5])


def test_too_many_labels_share_the_room_evenly():
    assert spread([0.5] * 5, gap=0.9, low=0, high=1) == pytest.approx([0, 0.25, 0.5, 0.75, 1])


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (units.seconds(1), "1 s"),
        (units.seconds(10), "10 s"),
        (units.seconds(60), "1 min"),
        (units.seconds(400), "400 s"),
        (units.seconds(600), "10 min"),
        (units.seconds(3600), "1 h"),
        (units.seconds(0.5), "0.5 s"),
        (units.milliseconds(0.25), "250 µs"),
        (units.milliseconds(1), "1 ms"),
        (units.milliseconds(18.31), "18 ms"),
        (units.milliseconds(1000), "1 s"),
        (units.milliseconds(1530), "1.5 s"),
        (units.memory(1e6), "1 MB"),
        (units.memory(12.35e9), "12 GB"),
        (units.memory(999_999), "1 MB"),
        (units.memory(512), "512 B"),
        (units.percent(0.6232), "62.3"),
        (units.points(-0.012), "−1.2"),
        (units.points(0.0301), "+3.0"),
        (units.points(-0.0001), "0.0"),
        (units.points(float("nan")), "–"),
        (units.memory(float("nan")), "–"),
        (units.listing(["a", "b", "c"]), "a, b and c"),
        (units.counted(1, "seed"), "1 seed"),
        (units.counted(1440, "utterance"), "1,440 utterances"),
    ],
)
def test_quantities_read_as_people_write_them(written, text):
    assert written == text


@settings(deadline=None)
@given(st.floats(-6, 12), st.floats(0.2, 9))
def test_log_ticks_are_inside_the_axis_and_few(start, decades):
    low, high = 10**start, 10 ** (start + decades)
    ticks = round_values(low, high)
    assert all(low <= tick <= high for tick in ticks)
    assert 1 <= len(ticks) <= 10


def test_length_ticks_keep_their_distance_and_the_longest_length():
    kept = thinned([1, 3, 10, 30, 60, 120, 400, 1800, 3600], step=0.45)
    assert kept[-1] == 3600
    assert (np.diff(np.log10(kept)) >= 0.45).all()
