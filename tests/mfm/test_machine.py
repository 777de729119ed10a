"""The golden machine against the matrix forms of the same arithmetic, addresses and strides included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwlib import isa
from hwlib.numerics import (
    RequantParams,
    accumulate,
    add_requantize,
    compact_param,
    encode_param,
    join_planes,
    mul_requantize,
    pack,
    pack_int4,
    requantize,
    rmsnorm,
    rope,
    split_planes,
    unpack_int4,
    unpack_matrix_int4,
)
from mfm.program.effects import Store
from mfm.run.machine import GoldenMachine
from tests.mfm.machines import machine

MANIFEST = machine(WORDS=64)
PARAMS = RequantParams(3, 5, 4)


def golden() -> GoldenMachine:
    """A machine with the same parameters in every entry and two 8x8 matrices in memory at 0 and 64."""
    made = GoldenMachine(MANIFEST, 4096)
    rng = np.random.default_rng(0)
    for address in (0, 64):
        made.write(address, pack(rng.integers(-128, 128, (8, 8)), 4, 4))
    for entries in made.params.values():
        entries[:] = encode_param(PARAMS)
    return made


def load(dram: int, local: int, **other: int) -> isa.Instruction:
    fixed = {"rows": 1, "row_words": 4, "dram_stride": 0, "local_stride": 0, "space": 0}
    return isa.Instruction("LOAD", {"dram_addr": dram, "local_addr": local} | fixed | other)


def product(*flags: str, **other: int) -> isa.Instruction:
    fixed = {"a_addr": 0, "b_addr": 4, "o_addr": 8, "m_tiles": 2, "n_tiles": 2, "k_words": 2, "gain": 0}
    fixed |= {"a_stride": 2, "b_stride": 2, "o_stride": 2, "p_addr": 0, "r_addr": 0, "act_table": 0, "o_high": 0}
    return isa.Instruction("GEMM", fixed | other, frozenset(flags))


def matrix(made: GoldenMachine, word: int, row_blocks: int = 2, words: int = 2) -> np.ndarray:
    tiles = made.scratchpad[word : word + row_blocks * words].astype(np.int64).reshape(row_blocks, words, 4, 4)
    return tiles.transpose(0, 2, 1, 3).reshape(row_blocks * 4, words * 4)


def run(*items: isa.Instruction) -> GoldenMachine:
    made = golden()
    for item in (load(0, 0), load(64, 4), *items):
        made.execute(item)
    return made


def expected(made: GoldenMachine) -> np.ndarray:
    acc = accumulate(matrix(made, 0), matrix(made, 4))
    return requantize(acc, *(np.int64(v) for v in (PARAMS.mult, PARAMS.bias, PARAMS.shift)))  # type: ignore[arg-type]


def test_a_product_and_its_transpose() -> None:
    made = run(product())
    assert np.array_equal(matrix(made, 8), expected(made))
    turned = run(product("TRANSPOSE"))
    assert np.array_equal(matrix(turned, 8), expected(made).T)


def test_accumulating_in_two_halves_is_one_product() -> None:
    one = {"m_tiles": 1, "n_tiles": 1, "k_words": 1}
    halves = run(product("HOLD", **one), product("KEEP", **one, a_addr=1, b_addr=5))
    assert np.array_equal(halves.scratchpad[8], expected(halves)[:4, :4])


def test_a_held_product_stores_nothing() -> None:
    made = run(product("HOLD", m_tiles=1, n_tiles=1))
    assert not made.scratchpad[8:].any()


def test_an_activation_follows_the_requantizer() -> None:
    made = golden()
    table = np.arange(256)[::-1].astype(np.uint8)
    made.write(1024, table.tobytes())
    for item in (load(0, 0), load(64, 4), load(1024, 0, row_words=16, space=3), product("ACT")):
        made.execute(item)
    assert np.array_equal(matrix(made, 8), table.view(np.int8)[expected(made) & 0xFF])


def test_transfers_follow_their_strides_both_ways() -> None:
    made = run(load(0, 20, rows=2, row_words=1, dram_stride=32, local_stride=3))
    assert np.array_equal(made.scratchpad[20], made.scratchpad[0])
    assert np.array_equal(made.scratchpad[23], made.scratchpad[2])
    back = {"dram_addr": 512, "local_addr": 20, "rows": 2, "row_words": 1, "dram_stride": 48, "local_stride": 3}
    made.execute(isa.Instruction("STORE", back | {"space": 0}))
    assert made.read(512, 16) == made.read(0, 16)
    assert made.read(560, 16) == made.read(32, 16)
    assert made.read(528, 32) == bytes(32)


def test_a_softmax_writes_the_scales_a_product_then_uses() -> None:
    v = {"a_addr": 0, "b_addr": 0, "o_addr": 12, "row_blocks": 2, "cols": 8, "frac": 4, "p_addr": 0, "r_addr": 1}
    made = run(
        isa.Instruction("SOFTMAX", v | {f"{n}_stride": 2 for n in "abo"}), product("ROWSCALE", a_addr=12, r_addr=1)
    )
    weights = 2.0 ** (matrix(made, 0) / 16)
    exact = weights / weights.sum(axis=1, keepdims=True) @ matrix(made, 4).T
    assert np.abs(matrix(made, 8) - exact).max() <= 2


def vector(op: str, *flags: str, **other: int) -> isa.Instruction:
    fixed = {"a_addr": 0, "b_addr": 4, "o_addr": 12, "row_blocks": 2, "cols": 8, "frac": 4, "p_addr": 0, "r_addr": 0}
    return isa.Instruction(op, fixed | {f"{n}_stride": 2 for n in "abo"} | {"span": 0} | other, frozenset(flags))


def test_int4_weights_are_pairs_of_words() -> None:
    made = golden()
    weight = np.random.default_rng(3).integers(-8, 8, (8, 12))
    made.write(2048, pack_int4(weight, 4, 4))
    for item in (load(0, 0), load(64, 4), load(2048, 20), product("W4", a_addr=0, b_addr=20, k_words=3, a_stride=4)):
        made.execute(item)
    acc = accumulate(matrix(made, 0, 2, 4)[:, :12], weight)
    p = [np.int64(v) for v in (PARAMS.mult, PARAMS.bias, PARAMS.shift)]
    assert np.array_equal(matrix(made, 8), requantize(acc, *p))  # type: ignore[arg-type]


@pytest.mark.parametrize("row", range(4))
def test_one_row_of_a_cache_is_written(row: int) -> None:
    plain = run(product("ROW", m_tiles=1, r_addr=row))
    wanted = np.zeros((8, 8), dtype=np.int64)
    wanted[row] = expected(plain)[row]
    assert np.array_equal(matrix(plain, 8), wanted)
    turned = run(product("ROW", "TRANSPOSE", m_tiles=1, r_addr=row))
    assert np.array_equal(matrix(turned, 8), wanted.T)


def test_a_column_of_a_word_wider_than_a_tile() -> None:
    made = GoldenMachine(machine(T=2, D=8), 64, np.random.default_rng(1))
    before, tiles = made.scratchpad.copy(), made.scratchpad
    v = {"a_addr": 0, "b_addr": 1, "o_addr": 8, "m_tiles": 1, "n_tiles": 2, "k_words": 1, "r_addr": 5, "p_addr": 0}
    v |= {"a_stride": 1, "b_stride": 1, "o_stride": 3, "act_table": 0, "gain": 0}
    made.execute(isa.Instruction("GEMM", v, frozenset({"ROW", "TRANSPOSE"})))
    changed = np.argwhere(tiles != before)
    assert {(int(w), int(d)) for w, _, d in changed} <= {(8, 5), (11, 5)}
    plain = GoldenMachine(machine(T=2, D=8), 64, np.random.default_rng(1))
    plain.execute(isa.Instruction("GEMM", v | {"r_addr": 0}))
    assert np.array_equal(tiles[[8, 11], :, 5].ravel(), plain.scratchpad[8, 1, :4])


def test_an_int4_product_and_its_transpose_share_words() -> None:
    made = run(product("O4", o_stride=1), product("O4", "TRANSPOSE", o_addr=16, o_stride=1))
    for word, wanted in ((8, expected(made)), (16, expected(made).T)):
        data = made.scratchpad[word : word + 2].tobytes()
        assert np.array_equal(unpack_matrix_int4(data, 8, 8, 4, 4), np.clip(wanted, -8, 7))
    late = unpack_int4(run(product("O4", o_high=1)).scratchpad[8:10].astype(np.int64))
    assert np.array_equal(late[0, 1], np.clip(expected(made)[:4, :4], -8, 7))
    assert not late[0, 0].any()


@pytest.mark.parametrize("row", range(4))
def test_one_row_of_an_int4_cache_is_written(row: int) -> None:
    """In its nibbles, and no other; a transposed row in those of the word that o_high chooses."""
    plain = run(product("ROW", "O4", m_tiles=1, r_addr=row))
    wanted = np.zeros((8, 8), dtype=np.int64)
    wanted[row] = np.clip(expected(plain)[row], -8, 7)
    assert np.array_equal(unpack_matrix_int4(plain.scratchpad[8:9].tobytes(), 4, 8, 4, 4), wanted[:4])
    turned = run(product("ROW", "TRANSPOSE", "O4", m_tiles=1, r_addr=row, o_high=1, o_stride=1))
    found = unpack_matrix_int4(turned.scratchpad[8:10].tobytes(), 8, 8, 4, 4)
    assert np.array_equal(found, np.roll(wanted.T, 4, axis=1))


@pytest.mark.parametrize("lane", [0, 2, 7])
def test_a_spread_load_writes_one_row_of_its_words_alone(lane: int) -> None:
    """Rows of memory are contiguous; a lane counts modulo T; what lies behind a row in memory is left out."""
    made = GoldenMachine(MANIFEST, 4096, np.random.default_rng(2))
    table = np.random.default_rng(3).integers(-128, 128, (3, 16))
    made.write(1024, table.astype(np.int8).tobytes())
    before = made.scratchpad.copy()
    item = load(1024, 5, rows=2, row_words=3, dram_stride=32, local_stride=8, lane=lane)
    made.execute(replace(item, flags=frozenset({"SPREAD"})))
    wanted = before.reshape(64, 4, 4)
    for row, word in ((0, 5), (2, 13)):
        wanted[word : word + 3, lane % 4] = table[row, :12].reshape(3, 4)
    assert np.array_equal(made.scratchpad, wanted)


def test_a_compact_load_widens_its_entries() -> None:
    made = golden()
    params = [RequantParams(7 * k - 20, (k - 4) << 18, 1 + k) for k in range(8)]
    compact = [compact_param(encode_param(item)) for item in params]
    made.write(1024, np.array(compact, dtype=np.uint32).tobytes())
    made.execute(replace(load(1024, 3, row_words=2, space=2), flags=frozenset({"COMPACT"})))
    assert made.params[Store.VECTOR_PARAMS][6:14].tolist() == [encode_param(item) for item in params]
    assert made.params[Store.VECTOR_PARAMS][14] == encode_param(PARAMS)


def test_normalisation_and_pairs_follow_their_definitions() -> None:
    made = run(vector("RMSNORM"), vector("MUL", o_addr=20), vector("ROPE", o_addr=28))
    a, b = matrix(made, 0), matrix(made, 4)
    p = [np.full(8, v) for v in (PARAMS.mult, PARAMS.bias, PARAMS.shift)]
    assert np.array_equal(matrix(made, 12), rmsnorm(a, *p))
    assert np.array_equal(matrix(made, 20), mul_requantize(a, b, PARAMS))
    assert np.array_equal(matrix(made, 28), rope(a, b, PARAMS))


def test_wide_sums_in_two_planes() -> None:
    made = run(vector("ADD", "WIDE_OUT", span=8), vector("ADD", "WIDE", "WIDE_OUT", a_addr=12, o_addr=32, span=8))
    a, b = matrix(made, 0), matrix(made, 4)
    once = add_requantize(a, b, PARAMS, PARAMS, wide_out=True)
    assert np.array_equal(join_planes(matrix(made, 12), matrix(made, 20)), once)
    twice = split_planes(add_requantize(once, b, PARAMS, PARAMS, wide_out=True))
    assert all(np.array_equal(matrix(made, at), plane) for at, plane in zip((32, 40), twice, strict=True))


def test_a_causal_softmax_leaves_later_columns_out() -> None:
    made = run(vector("SOFTMAX", "CAUSAL", span=2, cols=7))
    p = matrix(made, 12)
    assert all((p[r, c] > 0) <= (c < min(7, 2 + r)) for r in range(8) for c in range(8))
    alone = run(vector("SOFTMAX", cols=2))
    assert np.array_equal(p[0, :2], matrix(alone, 12)[0, :2])


def test_addresses_wrap_at_the_end_of_the_scratchpad() -> None:
    made = run(load(0, 62))
    assert np.array_equal(np.concatenate([made.scratchpad[62:], made.scratchpad[:2]]), golden_words(4))


def golden_words(count: int) -> np.ndarray:
    return np.frombuffer(golden().read(0, 16 * count), dtype=np.int8).reshape(count, 4, 4)


def test_end_does_nothing_and_unknown_operations_do_not_pass() -> None:
    made = golden()
    before = made.scratchpad.copy()
    made.execute(isa.Instruction("END", {}))
    assert np.array_equal(made.scratchpad, before)
    with pytest.raises(KeyError):
        made.execute(isa.Instruction("JUMP", {}))
