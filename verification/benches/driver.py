"""The one cocotb module: applies scenarios to a block's interfaces and writes down what it saw.

Runs inside the simulator, in the sandbox, and imports nothing of ours: `stimulus.json` (see `exchange.py`) says what to
do, `observations.jsonl` gets one line a scenario. Nothing here knows what is right; the judge is outside.

A cycle: inputs change while the clock is low, everything settles, all interfaces are sampled, the clock rises. A
transfer is recorded in the cycle it was accepted in; cycle 0 is the first with `rst_n` high.
"""

from __future__ import annotations

import json
import random
from collections import deque
from typing import Any

import cocotb
from cocotb.handle import Immediate
from cocotb.triggers import Timer

RESET_CYCLES = 4
HALF_PERIOD_STEPS = 5
MAX_VIOLATIONS = 20
PAGE = 4096


class Pin:
    """A port: writes only when the value changes, reads as an integer (-1 if any bit is X or Z)."""

    def __init__(self, handle: Any, width: int) -> None:
        self.handle, self.width, self.value = handle, width, -1
        self.read_bits = handle._handle.get_signal_val_binstr

    def write(self, value: int) -> None:
        if value != self.value:
            self.value = value
            bits = value if self.width <= 31 else format(value, f"0{self.width}b")
            self.handle.set(Immediate(bits))

    def read(self) -> int:
        try:
            return int(self.read_bits(), 2)
        except ValueError:
            return -1


class Channel:
    """A stream or flow: offers or takes one payload a cycle and keeps the record of its transfers."""

    def __init__(self, dut: Any, spec: dict[str, Any]) -> None:
        self.name, self.inward = spec["name"], spec["direction"] == "in"
        self.stream = spec["kind"] == "stream"
        self.fields = [name for name, _, _ in spec["fields"]]
        self.pins = [Pin(getattr(dut, port), width) for _, port, width in spec["fields"]]
        self.valid = Pin(getattr(dut, spec["stem"] + "valid"), 1)
        self.ready = Pin(getattr(dut, spec["stem"] + "ready"), 1) if self.stream else None
        self.may_withdraw = False
        self.restart()

    def restart(self) -> None:
        self.transfers: list[tuple[int, list[int]]] = []
        self.waits = 0
        self.beat: list[int] | None = None
        self.held: list[int] | None = None

    def quiet(self) -> None:
        """Nothing offered, nothing taken."""
        if self.inward:
            self.valid.write(0)
            for pin in self.pins:
                pin.write(0)
        elif self.ready:
            self.ready.write(0)

    def offer(self, payload: list[int]) -> None:
        self.beat = payload
        self.valid.write(1)
        for pin, value in zip(self.pins, payload, strict=True):
            pin.write(value)

    def idle(self, rng: random.Random) -> None:
        """Offer nothing; each field turns to noise or stays, so that a block that reads it without valid shows."""
        if self.valid.value != 0:
            self.valid.write(0)
            for pin in self.pins:
                noise = rng.getrandbits(pin.width + 1)
                if noise & 1 or pin.value < 0:
                    pin.write(noise >> 1)

    def sample(self, bench: Bench) -> list[int] | None:
        """The payload accepted in this cycle, if any; faults of the block's side become violations."""
        payload = self._sample_inward(bench) if self.inward else self._sample_outward(bench)
        if payload is not None:
            self.transfers.append((bench.cycle, payload))
            bench.progress(self.name)
        return payload

    def _sample_inward(self, bench: Bench) -> list[int] | None:
        if self.beat is None:
            return None
        taken = self.ready.read() if self.ready else 1
        if taken < 0:
            bench.violate(self.name, "ready is X while valid")
        if taken != 1:
            self.waits += 1
            return None
        payload, self.beat = self.beat, None
        return payload

    def _sample_outward(self, bench: Bench) -> list[int] | None:
        valid = self.valid.read()
        if valid < 0:
            bench.violate(self.name, "valid is X")
        if valid != 1:
            if self.held is not None and not self.may_withdraw:
                bench.violate(self.name, "valid was withdrawn before ready")
            self.held = None
            return None
        payload = self._read_payload()
        if -1 in payload:
            bench.violate(self.name, f"{self.fields[payload.index(-1)]} has X bits while valid")
        if self.held is not None and self.held != payload and not self.may_withdraw:
            changed = next(f for f, a, b in zip(self.fields, self.held, payload, strict=True) if a != b)
            bench.violate(self.name, f"{changed} changed while valid waited for ready")
        accepted = self.ready is None or self.ready.value == 1
        self.held = None if accepted else payload
        self.waits += not accepted
        return payload if accepted else None

    def _read_payload(self) -> list[int]:
        """Field values; data bits without strobe mean nothing and read as zero."""
        if "strb" not in self.fields or "data" not in self.fields:
            return [pin.read() for pin in self.pins]
        at, strobes = self.fields.index("data"), self.pins[self.fields.index("strb")].read()
        values = [pin.read() for index, pin in enumerate(self.pins) if index != at]
        mask = strobe_mask(max(strobes, 0), self.grain())
        bits = self.pins[at].read_bits()
        if self.pins[at].read() < 0:
            kept = format(mask, f"0{len(bits)}b")
            bits = "".join(bit if keep == "1" else "0" for bit, keep in zip(bits, kept, strict=True))
        values.insert(at, int(bits, 2) & mask if set(bits) <= {"0", "1"} else -1)
        return values

    def grain(self) -> int:
        """Bits of data to a strobe."""
        data, strobes = (self.pins[self.fields.index(name)].width for name in ("data", "strb"))
        return data // strobes


class Wires:
    """Ports without handshake: inputs are driven, outputs counted in the cycles they are not zero."""

    def __init__(self, dut: Any, spec: dict[str, Any]) -> None:
        self.name, self.inward = spec["name"], spec["direction"] == "in"
        self.pins = {name: Pin(getattr(dut, port), width) for name, port, width in spec["fields"]}
        self.restart()

    def restart(self) -> None:
        self.high = dict.fromkeys(self.pins, 0)

    def quiet(self) -> None:
        if self.inward:
            for pin in self.pins.values():
                pin.write(0)

    def sample(self, bench: Bench) -> None:
        for name, pin in self.pins.items():
            value = pin.read()
            if value < 0:
                bench.violate(self.name, f"{name} is X")
            elif value:
                self.high[name] += 1
                bench.progress(f"{self.name}.{name}")


class Agent:
    """What acts on interfaces: `drive` before the clock rises, `observe` with the cycle's transfers after sampling."""

    def __init__(self, bench: Bench, spec: dict[str, Any], seed: str) -> None:
        self.bench, self.spec, self.rng = bench, spec, random.Random(seed)

    def drive(self) -> None:
        """Set this cycle's inputs."""

    def observe(self, taken: dict[str, list[int]]) -> None:
        """See what was accepted in this cycle, by interface."""

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.rng.random() < probability


class Drive(Agent):
    """Beats in order, each after its conditions, with random bubbles before it."""

    def __init__(self, bench: Bench, spec: dict[str, Any], seed: str) -> None:
        super().__init__(bench, spec, seed)
        self.channel = bench.channels[spec["interface"]]
        self.beats = spec["beats"]
        self.next = self.paused = 0

    def drive(self) -> None:
        if self.channel.beat is not None:
            return
        if self.next < len(self.beats) and self._due() and not self.chance(self.spec["gap"]):
            self.channel.offer([int(word, 16) for word in self.beats[self.next][0]])
            self.next += 1
            self.paused = 0
        else:
            self.channel.idle(self.rng)

    def _due(self) -> bool:
        if not self.bench.reached(self.beats[self.next][1]):
            return False
        self.paused += 1
        return bool(self.paused > self.spec["pause"])


class Accept(Agent):
    """Takes beats, refusing at random."""

    def drive(self) -> None:
        self.bench.refuse(self.spec["interface"], self.chance(self.spec["stall"]))


class Wave(Agent):
    """One payload a cycle on wires, the last held."""

    def drive(self) -> None:
        values, pins = self.spec["values"], self.bench.wires[self.spec["interface"]].pins
        if values:
            row = values[min(self.bench.cycle, len(values) - 1)]
            for pin, word in zip(pins.values(), row, strict=True):
                pin.write(int(word, 16))


class Respond(Agent):
    """A pulse for each beat of the cause, never two in one cycle."""

    def __init__(self, bench: Bench, spec: dict[str, Any], seed: str) -> None:
        super().__init__(bench, spec, seed)
        self.pin = bench.wires[spec["interface"]].pins[spec["wire"]]
        self.name = f"{spec['interface']}.{spec['wire']}"
        self.due: list[int] = []
        self.pulses = bench.pulses.setdefault(self.name, [])

    def drive(self) -> None:
        ready = [cycle for cycle in self.due if cycle <= self.bench.cycle]
        if ready:
            self.due.remove(ready[0])
            self.pulses.append((self.bench.cycle, []))
        self.pin.write(1 if ready else 0)

    def observe(self, taken: dict[str, list[int]]) -> None:
        if self.spec["cause"] in taken:
            self.due.append(self.bench.cycle + self.rng.randint(*self.spec["delay"]))


class Memory(Agent):
    """Words behind request/response read ports and write ports. A read sees writes accepted in earlier cycles."""

    def __init__(self, bench: Bench, spec: dict[str, Any], seed: str) -> None:
        super().__init__(bench, spec, seed)
        self.words = {address: int(word, 16) for address, word in spec["image"]}
        self.pending: dict[str, deque[tuple[int, int]]] = {request: deque() for request, _ in spec["reads"]}
        bench.memories[spec["name"]] = self.words

    def drive(self) -> None:
        for request, response in self.spec["reads"]:
            self.bench.refuse(request, self.chance(self.spec["stall"]))
            queue, channel = self.pending[request], self.bench.channels[response]
            if queue and queue[0][0] <= self.bench.cycle:
                channel.offer([queue.popleft()[1]])
            else:
                channel.idle(self.rng)
        for write in self.spec["writes"]:
            self.bench.refuse(write, self.chance(self.spec["stall"]))

    def observe(self, taken: dict[str, list[int]]) -> None:
        for request, queue in self.pending.items():
            if request in taken:
                address = self.bench.field(request, taken[request], "addr") % self.spec["words"]
                queue.append((self.bench.cycle + self.rng.randint(*self.spec["latency"]), self.words.get(address, 0)))
        for name in self.spec["writes"]:
            if name in taken:
                self._write(name, taken[name])

    def _write(self, name: str, payload: list[int]) -> None:
        address = self.bench.field(name, payload, "addr") % self.spec["words"]
        data, mask = self.bench.field(name, payload, "data"), (1 << 8 * self.spec["word_bytes"]) - 1
        channel = self.bench.channels[name]
        if "strb" in channel.fields:
            mask = strobe_mask(self.bench.field(name, payload, "strb"), channel.grain())
        self.words[address] = (self.words.get(address, 0) & ~mask) | (data & mask)


class AxiMemory(Agent):
    """Bytes behind AXI4 channels. Bursts of one id answer in order; other ids may go first, at burst boundaries."""

    def __init__(self, bench: Bench, spec: dict[str, Any], seed: str) -> None:
        super().__init__(bench, spec, seed)
        self.size = spec["data_bytes"]
        self.bytes: dict[int, int] = {}
        for start, run in spec["image"]:
            self.bytes.update(enumerate(bytes.fromhex(run), start))
        bench.memories[spec["name"]] = self.bytes
        self.reads: list[tuple[int, int, int, int]] = []
        self.burst: deque[dict[str, int]] = deque()
        self.writes: deque[list[int]] = deque()
        self.answers: deque[tuple[int, dict[str, int]]] = deque()

    def drive(self) -> None:
        for role in ("ar", "aw", "w"):
            if self.spec[role]:
                self.bench.refuse(self.spec[role], self.chance(self.spec["stall"]))
        if self.spec["r"]:
            self._drive_read(self.bench.channels[self.spec["r"]])
        if self.spec["b"]:
            self._drive_answer(self.bench.channels[self.spec["b"]])

    def _drive_read(self, channel: Channel) -> None:
        if channel.beat is not None:
            return
        if not self.burst:
            self._begin_burst()
        if self.burst and not self.chance(self.spec["stall"]):
            beat = self.burst.popleft()
            channel.offer([beat.get(name, 0) for name in channel.fields])
        else:
            channel.idle(self.rng)

    def _begin_burst(self) -> None:
        heads: dict[int, tuple[int, int, int, int]] = {}
        for read in self.reads:
            heads.setdefault(read[3], read)
        due = [read for read in heads.values() if read[0] <= self.bench.cycle]
        if not due:
            return
        read = self.rng.choice(due)
        self.reads.remove(read)
        _, address, count, label = read
        for index in range(count):
            at = address + index * self.size
            data = int.from_bytes(bytes(self.bytes.get(at + k, 0) for k in range(self.size)), "little")
            self.burst.append({"id": label, "data": data, "resp": self._response(at), "last": int(index == count - 1)})

    def _drive_answer(self, channel: Channel) -> None:
        if channel.beat is not None:
            return
        if self.answers and self.answers[0][0] <= self.bench.cycle and not self.chance(self.spec["stall"]):
            answer = self.answers.popleft()[1]
            channel.offer([answer.get(name, 0) for name in channel.fields])
        else:
            channel.idle(self.rng)

    def _response(self, address: int) -> int:
        return 2 if self.spec["error_low"] <= address < self.spec["error_high"] else 0

    def observe(self, taken: dict[str, list[int]]) -> None:
        spec = self.spec
        if spec["ar"] in taken:
            address, beats, label = self._burst_of(spec["ar"], taken[spec["ar"]])
            self.reads.append((self.bench.cycle + self.rng.randint(*spec["latency"]), address, beats, label))
        if spec["aw"] in taken:
            address, beats, label = self._burst_of(spec["aw"], taken[spec["aw"]])
            self.writes.append([address, beats, label, 0])
        if spec["w"] in taken:
            self._write(taken[spec["w"]])

    def _burst_of(self, name: str, payload: list[int]) -> tuple[int, int, int]:
        """(address, beats, id) of an address beat, checked against AXI4's rules."""
        beat = dict(zip(self.bench.channels[name].fields, payload, strict=True))
        address, beats = beat["addr"], beat["len"] + 1
        if address % self.size:
            self.bench.violate(name, f"address 0x{address:x} is not a multiple of {self.size}")
        if address % PAGE + beats * self.size > PAGE:
            self.bench.violate(name, f"a burst of {beats} beats at 0x{address:x} crosses a 4 KiB boundary")
        if 1 << beat.get("size", self.size.bit_length() - 1) != self.size or beat.get("burst", 1) != 1:
            self.bench.violate(name, "size or burst is not a full-width INCR")
        return address, beats, beat.get("id", 0)

    def _write(self, payload: list[int]) -> None:
        beat = dict(zip(self.bench.channels[self.spec["w"]].fields, payload, strict=True))
        if not self.writes:
            self.bench.violate(self.spec["w"], "data before its address")
            return
        burst = self.writes[0]
        address, left, label, response = burst
        if beat.get("last", int(left == 1)) != int(left == 1):
            self.bench.violate(self.spec["w"], "last is not on the burst's final beat")
        strobes = beat.get("strb", (1 << self.size) - 1)
        for k in range(self.size):
            if strobes >> k & 1:
                self.bytes[address + k] = beat["data"] >> 8 * k & 0xFF
        burst[:] = [address + self.size, left - 1, label, response | self._response(address)]
        if left == 1:
            self.writes.popleft()
            due = self.bench.cycle + self.rng.randint(*self.spec["latency"])
            self.answers.append((due, {"id": label, "resp": burst[3]}))


AGENTS: dict[str, type[Agent]] = {
    "Drive": Drive, "Accept": Accept, "Wave": Wave, "Respond": Respond, "Memory": Memory, "AxiMemory": AxiMemory,
}  # fmt: skip


class Bench:
    """One block under one scenario at a time."""

    def __init__(self, dut: Any, interfaces: list[dict[str, Any]]) -> None:
        self.clk, self.rst_n = Pin(dut.clk, 1), Pin(dut.rst_n, 1)
        self.channels = {i["name"]: Channel(dut, i) for i in interfaces if i["kind"] != "wires"}
        self.wires = {i["name"]: Wires(dut, i) for i in interfaces if i["kind"] == "wires"}
        self.outward = [w for w in self.wires.values() if not w.inward]
        self.half = Timer(HALF_PERIOD_STEPS, "step")

    def progress(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def violate(self, interface: str, what: str) -> None:
        if len(self.violations) < MAX_VIOLATIONS:
            self.violations.append(f"cycle {self.cycle}: {interface}: {what}")

    def refuse(self, name: str, refused: bool) -> None:
        """Set an outward stream's ready; a flow has none."""
        ready = self.channels[name].ready
        if ready is not None:
            ready.write(0 if refused else 1)

    def field(self, name: str, payload: list[int], field: str) -> int:
        return payload[self.channels[name].fields.index(field)]

    async def clock(self) -> None:
        """Let inputs settle, then a rising edge. Sampling goes between the two halves, see `step`."""
        await self.half
        self.clk.write(1)
        await self.half
        self.clk.write(0)

    async def reset(self, scenario: dict[str, Any]) -> None:
        """Reset the block and start every agent over."""
        self.cycle = 0
        self.counts: dict[str, int] = {}
        self.violations: list[str] = []
        self.memories: dict[str, dict[int, int]] = {}
        self.pulses: dict[str, list[tuple[int, list[int]]]] = {}
        for channel in self.channels.values():
            channel.quiet()
            channel.restart()
        for wires in self.wires.values():
            wires.quiet()
            wires.restart()
        for name in scenario["may_withdraw"]:
            self.channels[name].may_withdraw = True
        self.clk.write(0)
        self.rst_n.write(0)
        for _ in range(RESET_CYCLES):
            await self.clock()
        self.rst_n.write(1)
        seeds = (f"{scenario['seed']}:{index}" for index in range(len(scenario["agents"])))
        self.agents = [AGENTS[a["type"]](self, a, s) for a, s in zip(scenario["agents"], seeds, strict=True)]

    async def step(self) -> None:
        """One cycle."""
        for agent in self.agents:
            agent.drive()
        await self.half
        taken: dict[str, list[int]] = {}
        for channel in self.channels.values():
            payload = channel.sample(self)
            if payload is not None:
                taken[channel.name] = payload
        for wires in self.outward:
            wires.sample(self)
        if taken:
            for agent in self.agents:
                agent.observe(taken)
        self.clk.write(1)
        await self.half
        self.clk.write(0)
        self.cycle += 1

    def reached(self, goals: list[list[Any]]) -> bool:
        return all(self.counts.get(name, 0) >= count for name, count in goals)

    async def run(self, scenario: dict[str, Any]) -> dict[str, Any]:
        """The whole scenario; what is reported follows the last reset."""
        await self.reset(scenario)
        again, finished, before = scenario["reset_after"], False, None
        drain = scenario["drain"]
        while self.cycle < scenario["max_cycles"] and drain > 0:
            await self.step()
            if again and self.reached([again]):
                again, before = None, dict(self.counts)
                await self.reset(scenario)
                continue
            finished = finished or (again is None and self.reached(scenario["until"]))
            drain -= finished
        return self.report(scenario["name"], finished) | {"before_reset": before}

    def report(self, name: str, finished: bool) -> dict[str, Any]:
        seen = {c.name: c.transfers for c in self.channels.values()} | self.pulses
        transfers = {name: [[n, [f"{v:x}" for v in p]] for n, p in beats] for name, beats in seen.items()}
        memories = {m: [[a, f"{v:x}"] for a, v in sorted(words.items())] for m, words in self.memories.items()}
        return {
            "name": name,
            "transfers": transfers,
            "memories": memories,
            "wires": {w.name: w.high for w in self.outward},
            "waits": {c.name: c.waits for c in self.channels.values()},
            "violations": self.violations,
            "cycles": self.cycle,
            "finished": finished,
        }


def strobe_mask(strobes: int, grain: int) -> int:
    """A mask with `grain` ones for each strobe."""
    mask, index, ones = 0, 0, (1 << grain) - 1
    while strobes >> index:
        mask |= ones << grain * index if strobes >> index & 1 else 0
        index += 1
    return mask


@cocotb.test()
async def scenarios(dut: Any) -> None:
    """Run every scenario of the stimulus, one after another on the same simulation.

    With `choices`, pairs of a value of the input `choice` and a scenario's number, run these pairs instead.
    """
    with open("stimulus.json") as file:
        stimulus = json.load(file)
    bench = Bench(dut, stimulus["interfaces"])
    await bench.half  # Icarus forgets what is written at time 0
    with open("observations.jsonl", "w") as out:
        choice = Pin(dut.choice, 16) if "choices" in stimulus else None
        every = [(0, number) for number in range(len(stimulus["scenarios"]))]
        for value, number in stimulus.get("choices", every):
            scenario = stimulus["scenarios"][number]
            if choice:
                choice.write(value)
            for channel in bench.channels.values():
                channel.may_withdraw = False
            report = await bench.run(scenario)
            out.write(json.dumps(report) + "\n")
            out.flush()
