"""The golden arithmetic: exact where it says so, and within its stated error of float64 elsewhere."""

from __future__ import annotations

import contextlib
import inspect
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import ndtr

from hwlib import numerics
from hwlib.numerics import RequantParams
from hwlib.numerics.eltwise import WIDE_MAX
from hwlib.numerics.gemm import ACC_BITS, K_MAX
from hwlib.numerics.layernorm import inverse_sqrt
from hwlib.numerics.requantize import SHIFT_MAX
from hwlib.numerics.softmax import row_scale

Int = NDArray[np.int64]
Float = NDArray[np.float64]

SATURATED = 32 - 2**-10
FRACS = (2, 3, 4, 5)

int8 = st.integers(-128, 127)
int16 = st.integers(-(1 << 15), (1 << 15) - 1)
int32 = st.integers(-(1 << 31), (1 << 31) - 1)
int40 = st.integers(-(1 << 39), (1 << 39) - 1)
shifts = st.integers(1, SHIFT_MAX)
params = st.builds(RequantParams, int16, int40, shifts)
seeds = st.integers(0, 2**32 - 1)


def quick(examples: int) -> settings:
    return settings(derandomize=True, deadline=None, max_examples=examples)


def matrix(rows: int, cols: int, seed: int, low: int = -128, high: int = 127) -> Int:
    return np.random.default_rng(seed).integers(low, high + 1, (rows, cols))


@st.composite
def rows(draw: st.DrawFn) -> Int:
    """Rows of one length: short ones value by value, long ones in a random band with a few outliers."""
    if draw(st.booleans()):
        cols = draw(st.integers(1, 6))
        return np.array(draw(st.lists(st.lists(int8, min_size=cols, max_size=cols), min_size=1, max_size=3)))
    cols = draw(st.one_of(st.integers(1, 80), st.sampled_from([127, 128, 1023, 1024, 1025, 1026, 4095, 4096])))
    low, high = sorted((draw(int8), draw(int8)))
    x = matrix(2, cols, draw(seeds), low, high)
    outliers = draw(st.integers(0, min(3, cols)))
    x[:, :outliers] = draw(int8)
    return x


def corners(cols: int) -> Int:
    """Equal rows, single outliers, halves, ramps and full-range noise, `cols` wide."""
    ramp = np.linspace(-128, 127, cols).round().astype(np.int64)
    outlier = [np.where(np.arange(cols) == 0, a, b) for a in (-128, 0, 127) for b in (-128, -127, -1, 0, 1, 126, 127)]
    halves = [np.where(np.arange(cols) < cols // 2, a, b) for a, b in ((-128, 127), (0, 1), (127, -128))]
    return np.stack([*outlier, *halves, ramp, ramp[::-1], matrix(1, cols, cols)[0]])


def half_up(value: Fraction) -> int:
    """The rounding rule, then saturation to int8, in exact rationals."""
    return max(-128, min(127, math.floor(value + Fraction(1, 2))))


# Every function says how exact it is.


@pytest.mark.parametrize("name", [n for n in numerics.__all__ if inspect.isfunction(getattr(numerics, n))])
def test_every_function_states_exactness_or_error(name: str) -> None:
    text = (inspect.getdoc(getattr(numerics, name)) or "").lower()
    assert "exact" in text or "error" in text


# Products.


@quick(60)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 300), seeds)
def test_accumulate_is_the_exact_product(m: int, n: int, k: int, seed: int) -> None:
    a, b = matrix(m, k, seed), matrix(n, k, seed + 1)
    found = numerics.accumulate(a, b)
    assert found.dtype == np.int64
    assert found.tolist() == [[sum(map(int.__mul__, p, q)) for q in b.tolist()] for p in a.tolist()]


def test_the_accumulator_cannot_wrap_up_to_the_largest_k() -> None:
    ends = np.repeat(np.array([[-128], [127]]), K_MAX, axis=1)
    found = numerics.accumulate(ends, ends)
    assert found.tolist() == [[K_MAX * x * y for y in (-128, 127)] for x in (-128, 127)]
    assert np.array_equal(found, found.astype(np.int32))
    assert K_MAX * 128 * 128 < 1 << (ACC_BITS - 1)
    noise = matrix(2, K_MAX, 0)
    assert np.array_equal(numerics.accumulate(noise, noise), noise @ noise.T)


def test_a_longer_k_is_refused() -> None:
    longer = np.zeros((1, K_MAX + 1), dtype=np.int64)
    with pytest.raises(ValueError, match="K = 65536 exceeds 65535"):
        numerics.accumulate(longer, longer)


# Requantization.


@quick(400)
@given(int32, int16, int40, shifts)
def test_requantize_rounds_half_up_then_saturates(acc: int, mult: int, bias: int, shift: int) -> None:
    real = Fraction(acc * mult + bias, 1 << shift)
    found = int(numerics.requantize(np.array(acc), np.array(mult), np.array(bias), np.array(shift)))
    assert found == half_up(real)
    assert abs(found - min(max(real, Fraction(-128)), Fraction(127))) <= Fraction(1, 2)


@quick(200)
@given(int8, st.sampled_from([-1, 0, 1]), shifts, int16)
def test_requantize_at_exact_halves(y: int, nudge: int, shift: int, mult: int) -> None:
    """Sums one below, at and one above the middle of two results."""
    bias = (2 * y + 1) * (1 << (shift - 1)) + nudge - mult
    if abs(bias) < 1 << 39:
        wanted = half_up(Fraction(2 * y + 1, 2) + Fraction(nudge, 1 << shift))
        assert int(numerics.requantize(np.array(1), np.array(mult), np.array(bias), np.array(shift))) == wanted


@pytest.mark.parametrize("shift", [1, 2, 31, SHIFT_MAX])
def test_requantize_at_every_extreme(shift: int) -> None:
    ends = [(a, m, b) for a in (-(1 << 31), 0, (1 << 31) - 1) for m in (-32768, 0, 32767) for b in (-(1 << 39), 0)]
    ends += [(a, m, (1 << 39) - 1) for a, m, _ in ends]
    acc, mult, bias = np.array(ends).T
    found = numerics.requantize(acc, mult, bias, np.array(shift))
    assert found.tolist() == [half_up(Fraction(a * m + b, 1 << shift)) for a, m, b in ends]


def test_requantize_broadcasts_channels_and_takes_narrow_types() -> None:
    acc = matrix(3, 4, 0, -(1 << 31), (1 << 31) - 1)
    mult, shift = np.array([1, -32768, 32767, 7]), np.array([1, 40, 47, 30])
    bias = np.array([0, 5, -(1 << 39), 1 << 38])
    wide = numerics.requantize(acc, mult, bias, shift)
    assert wide.dtype == np.int64
    assert np.array_equal(wide, numerics.requantize(acc.astype(np.int32), mult.astype(np.int16), bias, shift))
    for col in range(4):
        assert np.array_equal(wide[:, col], numerics.requantize(acc[:, col], mult[col], bias[col], shift[col]))


@quick(300)
@given(int8, int8, params, params)
def test_a_sum_rounds_half_up_then_saturates(a: int, b: int, first: RequantParams, second: RequantParams) -> None:
    real = Fraction(a * first.mult + b * second.mult + first.bias, 1 << first.shift)
    found = numerics.add_requantize(np.array([a]), np.array([b]), first, second)
    assert (found.dtype, found.tolist()) == (np.int64, [half_up(real)])


@pytest.mark.parametrize("shift", [1, 23, SHIFT_MAX])
@pytest.mark.parametrize("bias", [-(1 << 39), 0, (1 << 39) - 1])
def test_a_sum_at_every_extreme(shift: int, bias: int) -> None:
    a, b = (v.ravel() for v in np.meshgrid([-128, 0, 127], [-128, 0, 127]))
    for first, second in ((-32768, -32768), (32767, 32767), (-32768, 32767), (0, 0)):
        found = numerics.add_requantize(a, b, RequantParams(first, bias, shift), RequantParams(second, 0, 1))
        wanted = [half_up(Fraction(p * first + q * second + bias, 1 << shift)) for p, q in zip(a, b, strict=True)]
        assert found.tolist() == wanted


# Multipliers and their entries.


@quick(500)
@given(st.floats(0.5, 1, exclude_max=True), st.integers(1, 16), st.data())
def test_a_multiplier_is_as_near_as_its_bits_allow(mantissa: float, bits: int, data: st.DataObject) -> None:
    """Over every octave of scales: exponents from where precision is lost to where the shift ends."""
    scale = math.ldexp(mantissa, data.draw(st.integers(bits - SHIFT_MAX, bits - 2)))
    assert scale >= 2.0 ** (bits - 1 - SHIFT_MAX)
    mult, shift = numerics.quantize_multiplier(scale, bits)
    assert 0 < mult < 1 << bits
    assert 1 <= shift <= SHIFT_MAX
    assert abs(Fraction(mult, 1 << shift) / Fraction(scale) - 1) <= Fraction(1, 1 << bits)


@quick(200)
@given(st.floats(0, 2.0 ** (14 - SHIFT_MAX)))
def test_below_its_range_a_multiplier_keeps_an_absolute_error(scale: float) -> None:
    mult, shift = numerics.quantize_multiplier(scale)
    assert abs(Fraction(mult, 1 << shift) - Fraction(scale)) <= Fraction(1, 1 << 48)
    assert (mult == 0) is (scale <= 2.0**-48)


@pytest.mark.parametrize(
    ("scale", "wanted"),
    [
        (1.0, (16384, 14)),
        (0.5, (16384, 15)),
        (1 - 2**-20, (16384, 14)),
        (2.0**-33, (16384, 47)),
        (2.0**-48, (0, 47)),
        (2.0**-48 * 1.001, (1, 47)),
        (0.0, (0, 1)),
        (16383.5, (32767, 1)),
    ],
)
def test_multipliers_at_the_ends(scale: float, wanted: tuple[int, int]) -> None:
    assert numerics.quantize_multiplier(scale) == wanted


def test_a_scale_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scale 16384\.0 is too large for a 15-bit multiplier"):
        numerics.quantize_multiplier(16384.0)


def test_the_largest_scales_are_refused_or_encodable() -> None:
    with contextlib.suppress(ValueError):
        assert numerics.quantize_multiplier(16383.9)[1] >= 1


@quick(300)
@given(params)
def test_a_parameter_entry_round_trips(item: RequantParams) -> None:
    entry = numerics.encode_param(item)
    assert 0 <= entry < 1 << 64
    assert numerics.decode_param(entry) == item
    assert numerics.decode_param(entry | 0xC00000) == item


@quick(200)
@given(st.integers(0, (1 << 64) - 1))
def test_an_entry_has_its_fields_where_they_are_documented(word: int) -> None:
    item = numerics.decode_param(word)
    assert (item.mult & 0xFFFF, item.bias & (1 << 40) - 1, item.shift) == (word & 0xFFFF, word >> 24, word >> 16 & 63)
    assert -(1 << 15) <= item.mult < 1 << 15
    assert -(1 << 39) <= item.bias < 1 << 39
    if 1 <= item.shift <= SHIFT_MAX:
        assert numerics.encode_param(item) == word & ~0xC00000


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (RequantParams(1 << 15, 0, 1), "mult 32768 does not fit int16"),
        (RequantParams(-(1 << 15) - 1, 0, 1), "mult -32769 does not fit int16"),
        (RequantParams(0, 1 << 39, 1), "bias 549755813888 does not fit int40"),
        (RequantParams(0, -(1 << 39) - 1, 1), "bias -549755813889 does not fit int40"),
        (RequantParams(0, 0, 0), r"shift 0 is not in 1\.\.47"),
        (RequantParams(0, 0, 48), r"shift 48 is not in 1\.\.47"),
    ],
)
def test_an_entry_that_does_not_fit_is_refused(item: RequantParams, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        numerics.encode_param(item)


@quick(300)
@given(int16, st.integers(-512, 511), shifts)
def test_a_compact_entry_expands_to_the_one_it_was_made_of(mult: int, steps: int, shift: int) -> None:
    entry = numerics.encode_param(RequantParams(mult, steps << 18, shift))
    compact = numerics.compact_param(entry)
    assert compact == mult & 0xFFFF | shift << 16 | (steps & 1023) << 22
    assert numerics.expand_param(compact) == entry


@pytest.mark.parametrize("bias", [1, 1 << 17, -1, (1 << 18) + 1, 1 << 27, -(1 << 27) - (1 << 18), 1 << 38])
def test_other_biases_have_no_compact_entry(bias: int) -> None:
    assert numerics.compact_param(numerics.encode_param(RequantParams(5, bias, 20))) is None


def test_int4_saturates_at_its_ends() -> None:
    assert numerics.saturate_int4(np.array([-128, -9, -8, -1, 0, 7, 8, 127])).tolist() == [-8, -8, -8, -1, 0, 7, 7, 7]


# Layout.


@quick(100)
@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4, 8]), seeds)
def test_a_matrix_survives_its_layout(rows: int, cols: int, tile: int, dot: int, seed: int) -> None:
    x = matrix(rows, cols, seed)
    data = numerics.pack(x, tile, dot)
    words = -(-cols // dot)
    assert len(data) == -(-rows // tile) * words * tile * dot
    placed = bytearray(len(data))
    for r, c in np.ndindex(rows, cols):
        placed[((r // tile) * words + c // dot) * tile * dot + r % tile * dot + c % dot] = x[r, c] & 0xFF
    assert data == placed
    for tail in (b"", b"\x55" * 7):
        found = numerics.unpack(data + tail, rows, cols, tile, dot)
        assert found.dtype == np.int64
        assert np.array_equal(found, x)


# Tables.


@quick(50)
@given(seeds, st.lists(int8, min_size=1, max_size=20))
def test_a_table_is_read_at_the_unsigned_byte(seed: int, x: list[int]) -> None:
    table = matrix(1, 256, seed)[0]
    found = numerics.apply_table(np.array([x]), table.astype(np.int8))
    assert (found.dtype, found.tolist()) == (np.int64, [[table[v if v >= 0 else v + 256] for v in x]])


@quick(200)
@given(st.floats(2**-12, 8), st.floats(2**-12, 8), int8, int8)
def test_gelu_is_within_half_an_output_unit(in_scale: float, out_scale: float, in_zero: int, out_zero: int) -> None:
    value = np.arange(-128, 128)
    x = (value - in_zero) * in_scale
    wanted = np.clip(x * ndtr(x) / out_scale + out_zero, -128, 127)
    found = numerics.apply_table(value, numerics.gelu_table(in_scale, out_scale, in_zero, out_zero))
    assert np.abs(found - wanted).max() <= 0.5 + 1e-9


def test_gelu_has_256_int8_entries_and_keeps_zero() -> None:
    table = numerics.gelu_table(0.05, 0.04)
    assert (table.shape, table.dtype) == ((256,), np.int64)
    assert np.array_equal(table, table.astype(np.int8))
    assert table[0] == 0
    assert numerics.gelu_table(0.05, 0.04, 0, -100)[0] == -100
    assert numerics.gelu_table(0.05, 0.04, 7, 0)[7] == 0
    assert numerics.gelu_table(8, 2**-12)[[1, 127, 128]].tolist() == [127, 127, 0]


# Layer normalisation.


def normalised(x: Int) -> Float:
    """Float64 rows of zero mean and unit deviation; 0 where all values are equal."""
    centred = x - x.mean(axis=1, keepdims=True)
    deviation = x.std(axis=1, keepdims=True)
    return np.divide(centred, deviation, out=np.zeros(x.shape), where=np.ptp(x, axis=1, keepdims=True) > 0)


def check_normalised(x: Int) -> None:
    found, y = numerics.layernorm_normalised(x), normalised(x)
    assert np.array_equal(found, found.astype(np.int16))
    error = np.abs(found / 1024 - np.clip(y, -32, SATURATED))
    assert (error <= 2**-11 + 2**-15 * np.abs(y) + 1e-12).all()


@quick(200)
@given(rows())
def test_normalised_rows_are_within_their_error(x: Int) -> None:
    check_normalised(x)


@pytest.mark.parametrize("cols", [1, 2, 3, 16, 17, 64, 1024, 1025, 1026, 4095, 4096])
def test_normalised_corner_rows_are_within_their_error(cols: int) -> None:
    check_normalised(corners(cols))


@pytest.mark.parametrize("cols", [1, 2, 5, 4096])
@pytest.mark.parametrize("value", [-128, -1, 0, 127])
def test_equal_rows_normalise_to_zero(cols: int, value: int) -> None:
    assert not numerics.layernorm_normalised(np.full((2, cols), value)).any()


def test_only_rows_of_more_than_1024_columns_saturate() -> None:
    low, high = (np.where(np.arange(4096) == 0, a, -a - 1)[None] for a in (-128, 127))
    assert numerics.layernorm_normalised(high)[0, 0] == 32767
    assert numerics.layernorm_normalised(low)[0, 0] == -32768
    assert numerics.layernorm_normalised(high[:, :1024])[0, 0] < 32767


@pytest.mark.parametrize("bits", range(40))
def test_inverse_square_roots_are_within_their_error(bits: int) -> None:
    """All small variances, else the ends of each octave and a sample within it."""
    low, high = 1 << bits, (1 << bits + 1) - 1
    sample = np.random.default_rng(bits).integers(low, high + 1, 500).tolist()
    ends = [v for d in range(3) for v in (low + d, high - d) if low <= v <= high]
    for variance in range(low, high + 1) if bits < 12 else [*ends, *sample]:
        r, h = inverse_sqrt(variance)
        assert 1 << 15 <= r < 1 << 16
        assert h % 2 == 0
        assert abs(math.ldexp(r, h // 2 - 31) * math.sqrt(variance) - 1) < 2**-15


@quick(150)
@given(rows(), int16, int40, shifts, seeds)
def test_layernorm_is_within_its_error(x: Int, mult: int, bias: int, shift: int, seed: int) -> None:
    """Wild parameters on column 0, ordinary ones on the others."""
    rng = np.random.default_rng(seed)
    cols = x.shape[1]
    mults, biases = rng.integers(-(1 << 15), 1 << 15, cols), rng.integers(-(1 << 26), 1 << 26, cols)
    shift_of = rng.integers(16, 24, cols)
    mults[0], biases[0], shift_of[0] = mult, bias, shift
    found = numerics.layernorm(x, mults, biases, shift_of)
    assert np.array_equal(found, found.astype(np.int8))
    y = normalised(x)
    wanted = np.clip((np.clip(y, -32, SATURATED) * 1024 * mults + biases) / 2.0**shift_of, -128, 127)
    bound = 0.5 + (0.5 + np.abs(y) / 32) * np.abs(mults) / 2.0**shift_of
    assert (np.abs(found - wanted) <= bound + 1e-9).all()


# Softmax.


def check_softmax(scores: Int, frac: int) -> None:
    """Probabilities, totals and both together against float64, for every row."""
    p, scale = numerics.softmax(scores, frac)
    assert np.array_equal(p, numerics.softmax_probabilities(scores, frac))
    assert 0 <= p.min() <= p.max() <= 127
    assert (p.max(axis=1) >= 64).all()
    assert scale.mult.shape == scale.shift.shape == scores.shape[:1]
    cols = scores.shape[1]
    power = 2.0 ** (15 + scores / 2**frac - np.ceil(scores.max(axis=1, keepdims=True) / 2**frac))
    total = numerics.softmax_total(scores, frac)
    assert 1 << 14 <= total.min() <= total.max() <= 1 << 27
    error = total - power.sum(axis=1)
    assert (-cols < error).all()
    assert (error <= cols / 2).all()
    q = power / power.sum(axis=1, keepdims=True)
    found = p * scale.mult[:, None] / 2.0 ** scale.shift[:, None]
    bound = (1 + cols * q / 256 + 2**-14 * p) * 256 / total[:, None]
    assert (np.abs(found - q) <= bound + 1e-12).all()


@quick(200)
@given(rows(), st.sampled_from(FRACS))
def test_softmax_is_within_its_error(scores: Int, frac: int) -> None:
    check_softmax(scores, frac)


@pytest.mark.parametrize("frac", FRACS)
@pytest.mark.parametrize("cols", [1, 2, 3, 17, 64, 4096])
def test_softmax_corner_rows_are_within_their_error(cols: int, frac: int) -> None:
    check_softmax(corners(cols), frac)


@pytest.mark.parametrize("frac", FRACS)
@pytest.mark.parametrize("cols", [2, 17, 64, 4096])
def test_softmax_is_within_its_error_for_one_score_above_many(cols: int, frac: int) -> None:
    """Every distance of one maximum above a row of equals, and of a row of maxima above one."""
    distance = np.arange(256)[:, None]
    one = np.arange(cols) == 0
    for scores in (np.where(one, 127, 127 - distance), np.where(one, 127 - distance, 127)):
        check_softmax(scores, frac)


def test_softmax_loses_columns_more_than_fifteen_octaves_down() -> None:
    """The case its error names: the row's maximum in the lowest sixteenth of its octave, all others just too low."""
    scores = np.where(np.arange(4096) == 0, 113, -113)[None]
    p, scale = numerics.softmax(scores, 4)
    assert (p[0, 1:] == 0).all()
    assert math.isclose(p[0, 0] * scale.mult[0] / 2.0 ** scale.shift[0], 1, rel_tol=2**-7)
    assert 0.81 < 1 / (1 + 4095 * 2 ** (-226 / 16)) < 0.82


@pytest.mark.parametrize("frac", FRACS)
def test_unnormalised_probabilities_at_every_distance(frac: int) -> None:
    """Below a maximum on its octave, and one above the octave before."""
    for top in (3 << frac, (2 << frac) + 1):
        scores = np.arange(-128, top + 1)
        p = numerics.softmax_probabilities(np.stack([np.full(scores.size, top), scores], axis=1), frac)[:, 1]
        below = 3 - scores / 2**frac
        error = np.abs(p - 128 * 2.0**-below)
        assert error[below > 0].max() <= 0.5 + 2**-8
        assert (p[below == 0] == 127).all()
        assert (p[below <= 8] > 0).all()
        assert not p[below > 8].any()


def one_by_one(row: Int, frac: int, counted: NDArray[np.bool_]) -> tuple[int, int]:
    """The maximum in octaves and the total of a row, column by column as a machine takes them."""
    top, total = 0, 0
    for x in row[counted].tolist():
        octave = math.ceil(Fraction(x, 1 << frac))
        if total == 0 or octave > top:
            total, top = total >> max(0, octave - top) if total else 0, octave
        u = ((top << frac) - x) << (5 - frac)
        total += numerics.EXP2_TABLE[u & 31] >> (u >> 5)
    return top, total


@quick(150)
@given(rows(), st.sampled_from(FRACS), seeds, st.sampled_from([0.02, 0.5, 1.0]))
def test_totals_are_those_of_columns_taken_in_order(scores: Int, frac: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    counted = rng.random(scores.shape) < share
    counted[:, rng.integers(0, scores.shape[1])] = True
    for row, total, counts in zip(scores, numerics.softmax_total(scores, frac, counted), counted, strict=True):
        assert one_by_one(row, frac, counts)[1] == total


def test_totals_depend_on_the_order_of_columns() -> None:
    """Two columns 16 octaves below a third: together one unit, which is lost where they come behind it."""
    before, behind = numerics.softmax_total(np.array([[0, 0, 64], [64, 0, 0]]), 2)
    assert (before, behind) == (32769, 32768)


def test_softmax_depends_on_differences_of_whole_octaves_only() -> None:
    scores = matrix(4, 30, 0, -60, 60)
    for frac in FRACS:
        wanted, scale = numerics.softmax(scores, frac)
        found, shifted = numerics.softmax(scores + 64, frac)
        assert np.array_equal(found, wanted)
        assert np.array_equal(scale.mult, shifted.mult)
        assert not np.array_equal(numerics.softmax_probabilities(scores + 1, frac), wanted)


def test_exp2_table_is_within_half_a_unit() -> None:
    table = numerics.EXP2_TABLE
    assert len(table) == 32
    assert all(16384 < value <= 32768 for value in table)
    assert max(abs(value / 32768 - 2 ** (-i / 32)) for i, value in enumerate(table)) <= 2**-16


def test_row_scales_are_within_their_error() -> None:
    """Totals of every size, all of the smallest, and those about the powers of two."""
    every = np.arange(1 << 14, 1 << 18)
    about = (1 << np.arange(18, 28))[:, None] + np.arange(-300, 301)
    sizes = np.geomspace(1 << 18, 1 << 27, 20000).astype(np.int64)
    total = np.concatenate([every, about[about <= 1 << 27].ravel(), sizes])
    scale = row_scale(total)
    assert isinstance(scale, numerics.RowScale)
    assert 1 << 14 <= scale.mult.min() <= scale.mult.max() <= 32767
    assert (scale.shift.min(), scale.shift.max()) == (21, 34)
    assert np.abs(scale.mult / 2.0**scale.shift * total / 256 - 1).max() <= 2**-14


# What decoders add.


@quick(200)
@given(st.integers(-(1 << 15), (1 << 15) - 1), int8, params, params)
def test_a_wide_sum_rounds_half_up_then_saturates(a: int, b: int, first: RequantParams, second: RequantParams) -> None:
    exact = Fraction(a * first.mult + b * second.mult + first.bias, 1 << first.shift) + Fraction(1, 2)
    wanted = min(max(math.floor(exact), -WIDE_MAX), WIDE_MAX - 1)
    assert numerics.add_requantize(np.array([[a]]), np.array([[b]]), first, second, wide_out=True) == wanted


@quick(200)
@given(int8, int8, params)
def test_a_product_rounds_half_up_then_saturates(a: int, b: int, first: RequantParams) -> None:
    exact = Fraction(a * b * first.mult + first.bias, 1 << first.shift) + Fraction(1, 2)
    wanted = min(max(math.floor(exact), -128), 127)
    assert numerics.mul_requantize(np.array([[a]]), np.array([[b]]), first) == wanted


@quick(60)
@given(st.integers(1, 40), seeds)
def test_rope_turns_pairs_as_complex_numbers(pairs: int, seed: int) -> None:
    x = matrix(3, 2 * pairs, seed, -90, 90)
    angles = np.random.default_rng(seed).uniform(-np.pi, np.pi, (3, pairs))
    table = np.empty(x.shape, dtype=np.int64)
    table[:, 0::2], table[:, 1::2] = np.rint(127 * np.cos(angles)), np.rint(127 * np.sin(angles))
    mult, shift = numerics.quantize_multiplier(1 / 127)
    y = numerics.rope(x, table, RequantParams(mult, 0, shift))
    turned = (x[:, 0::2] + 1j * x[:, 1::2]) * (table[:, 0::2] + 1j * table[:, 1::2]) / 127
    assert np.abs(y[:, 0::2] - np.clip(turned.real, -128, 127)).max() <= 0.5 + 2**-8
    assert np.abs(y[:, 1::2] - np.clip(turned.imag, -128, 127)).max() <= 0.5 + 2**-8


@quick(100)
@given(rows(), seeds)
def test_rmsnorm_is_within_its_error(x: Int, seed: int) -> None:
    y = numerics.layernorm_normalised(x, rms=True) / 2**10
    scale = np.sqrt((x.astype(np.float64) ** 2).mean(axis=1, keepdims=True))
    wanted = np.divide(x, scale, out=np.zeros(x.shape), where=scale > 0)
    inside = np.abs(wanted) < SATURATED
    assert (np.abs(y - wanted) <= 2**-11 + 2**-15 * np.abs(wanted))[inside].all()


def test_rmsnorm_is_its_normalised_row_requantized() -> None:
    x = matrix(3, 50, 2)
    one = np.ones(50, dtype=np.int64)
    y = numerics.rmsnorm(x, 3000 * one, -5 * one, 17 * one)
    assert (y == numerics.requantize(numerics.layernorm_normalised(x, rms=True), 3000 * one, -5 * one, 17 * one)).all()


@quick(60)
@given(st.integers(1, 12), st.integers(1, 12), seeds, st.integers(2, 5))
def test_softmax_over_counted_elements_is_softmax_of_those_alone(cols: int, valid: int, seed: int, frac: int) -> None:
    scores = matrix(3, cols, seed)
    counted = numerics.causal(3, cols, valid)
    p, scale = numerics.softmax(scores, frac, counted)
    for row in range(3):
        count = min(cols, valid + row)
        alone, alone_scale = numerics.softmax(scores[row : row + 1, :count], frac)
        assert p[row].tolist() == alone[0].tolist() + [0] * (cols - count)
        assert (scale.mult[row], scale.shift[row]) == (alone_scale.mult[0], alone_scale.shift[0])


@quick(100)
@given(st.lists(st.integers(-32896, 32639), min_size=1, max_size=20))
def test_planes_are_int8_and_join_again(values: list[int]) -> None:
    x = np.array(values)
    low, high = numerics.split_planes(x)
    assert {bool((plane.min() >= -128) & (plane.max() <= 127)) for plane in (low, high)} == {True}
    assert (numerics.join_planes(low, high) == x).all()
    assert np.abs(high - x / 256).max() <= 0.5


@quick(60)
@given(st.integers(1, 20), st.integers(1, 40), st.sampled_from([2, 4, 8]), st.sampled_from([1, 4, 8]), seeds)
def test_an_int4_matrix_survives_its_layout(rows: int, cols: int, tile: int, dot: int, seed: int) -> None:
    x = matrix(rows, cols, seed, -8, 7)
    data = numerics.pack_int4(x, tile, dot)
    assert len(data) == -(-rows // tile) * -(-cols // (2 * dot)) * tile * dot
    words = np.frombuffer(data, dtype=np.int8).astype(np.int64).reshape(-(-rows // tile), -1, tile, dot)
    full = numerics.unpack_int4(words).reshape(words.shape[0], -1, tile, dot).transpose(0, 2, 1, 3)
    assert (full.reshape(words.shape[0] * tile, -1)[:rows, :cols] == x).all()
    assert (numerics.unpack_matrix_int4(data + b"\x55" * 7, rows, cols, tile, dot) == x).all()
