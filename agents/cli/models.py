"""The mfm group: train, import, compile, run, profile and evaluate models."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agents.cli.designs import DESIGN_HELP, Set, design_at
from agents.cli.output import Json, print_json, show
from agents.cli.seeds import MOST, Seed

if TYPE_CHECKING:
    from rich.table import Table

    from hwlib.design import Design
    from mfm.compress.integer import IntegerGraph
    from mfm.program.program import Program
    from mfm.run.hosted import HostedModel
    from mfm.run.profile import Profile
    from verification.system.simulation import MemoryModel

app = typer.Typer(help="Train, import, compile, run, profile and evaluate models.", no_args_is_help=True)

MODEL_HELP = (
    "digits-vit, a trained model's .pt file, encoder-block[-SEQ-WIDTH-HEADS-FF], decode-step-..., or a Hugging Face "
    "checkpoint folder (or tiny-FAMILY), with :PART:ROWS (vision, encoder, decoder, step) after it."
)
PROGRAM_HELP = MODEL_HELP + " Or a program that `compile --out` wrote."
Model = Annotated[str, typer.Argument(help=MODEL_HELP)]
ModelOrProgram = Annotated[str, typer.Argument(help=PROGRAM_HELP)]
OnDesign = Annotated[str, typer.Option("--design", help=DESIGN_HELP)]
Latency = Annotated[int, typer.Option(help="Memory latency in cycles.")]


class Target(StrEnum):
    """What executes a program."""

    GOLDEN = "golden"
    CYCLES = "cycles"
    RTL = "rtl"


@app.command()
def train(
    seed: Seed = 0,
    epochs: Annotated[int | None, typer.Option(help="Default: the recipe's.")] = None,
    out: Annotated[Path | None, typer.Option(help="The .pt file; default: where digits-vit is looked for.")] = None,
    as_json: Json = False,
) -> None:
    """Train the vision transformer on scikit-learn's digits, deterministically."""
    from mfm import api

    found = api.train(seed, epochs, out)
    if as_json:
        print_json("mfm train", found.to_json())
        return
    show(f"Trained {found.epochs} epochs on {found.train_images} images; {100 * found.test_accuracy:.2f} % of "
         f"{found.test_images} test images right. Model: {found.path}")  # fmt: skip


@app.command("import")
def import_(model: Model = "digits-vit", as_json: Json = False) -> None:
    """Import MODEL through torch.export, quantize it to int8, and list its operations, the host's with modules."""
    from mfm import api

    graph = api.load_graph(model)
    rows = [_operation(op) for op in graph.ops]
    on_host = {op.out: [asdict(source) for source in op.host.sources] for op in graph.hosts}
    if as_json:
        figures = {"model": graph.name, "macs": graph.macs, "output": graph.output, "operations": rows, "host": on_host}
        print_json("mfm import", figures)
    else:
        show(_operation_table(graph, rows), f"{graph.macs:,} multiply-accumulates; output: {graph.output}",
             *(f"On the host, {op.out}: {op.where}" for op in graph.hosts))  # fmt: skip


def _operation(op: Any) -> dict[str, Any]:
    kind = type(op).__name__.removeprefix("Q").lower()
    reads = [str(getattr(op, name)) for name in ("a", "b") if hasattr(op, name)]
    reads += getattr(op, "reads", ())
    reads += [name for head in getattr(op, "heads", ()) for name in (head.q, head.k, head.v)]
    weights = getattr(op, "weight", getattr(op, "values", None))
    return {"out": op.out, "kind": kind, "reads": reads, "rows": getattr(op, "rows", None),
            "weights": None if weights is None else list(weights.shape)}  # fmt: skip


def _operation_table(graph: IntegerGraph, rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table("output", "operation", "rows", "weights", "reads", title=graph.name, title_justify="left")
    for row in rows:
        weights = " x ".join(str(size) for size in row["weights"] or ())
        table.add_row(row["out"], row["kind"], str(row["rows"] or ""), weights, ", ".join(row["reads"]))
    return table


@app.command()
def compile(
    model: Model,
    design: OnDesign = "expert",
    changes: Set = None,
    latency: Latency = 20,
    out: Annotated[Path | None, typer.Option(help="Write the program here.")] = None,
    listing: Annotated[Path | None, typer.Option(help="Write the program as text, a line an instruction.")] = None,
    as_json: Json = False,
) -> None:
    """Quantize, tile, allocate and schedule MODEL for DESIGN; search for the schedule with the fewest cycles."""
    from mfm import api

    program, found = api.compile_model(model, design_at(design, changes).manifest, _memory(latency).latency)
    _write_program(program, out, listing)
    if as_json:
        print_json("mfm compile", {"design": design, "program": out, "listing": listing} | found.to_json())
        return
    choices = ", ".join(f"{name} {value}" for name, value in found.choices.items())
    show(f"{found.name} for {design}: {found.cycles:,} cycles by the model, {100 * found.utilisation:.1f} % of MAC "
         f"slots; {found.instructions:,} instructions, {found.memory_bytes:,} bytes of memory",
         f"Best of {found.schedules_tried} schedules: {choices}",
         *(f"Written: {path}" for path in (out, listing) if path))  # fmt: skip


def _write_program(program: Program, out: Path | None, listing: Path | None) -> None:
    from agents.cli.output import write_page
    from hwlib.errors import InputError
    from mfm.program.assembly import disassemble

    if out is not None:
        try:
            program.save(out)
        except OSError as error:
            raise InputError(f"cannot write: {error.strerror}", str(out)) from None
    if listing is not None:
        write_page(listing, disassemble(program.instructions, program.layers))


def _memory(latency: int, stall: float = 0.0) -> MemoryModel:
    from verification.system.simulation import MemoryModel

    return MemoryModel(latency, stall)


def _program(word: str, design: Design, latency: int) -> Program | HostedModel:
    """The program in the file `word`, else the model `word` compiled for `design`, in parts if the host divides it."""
    from mfm import api
    from mfm.program.program import load_program

    if Path(word).is_file() and not word.endswith(".pt"):
        return load_program(Path(word))
    return api.prepare(word, design.manifest, latency)


@app.command()
def run(
    model: ModelOrProgram,
    on: Annotated[Target, typer.Option(help="The golden executor, the cycle model, or the design's RTL.")] = Target.RTL,
    design: OnDesign = "expert",
    changes: Set = None,
    image: Annotated[
        int, typer.Option(min=0, max=MOST, help="Test image of the digits (a seed for other models).")
    ] = 0,
    latency: Latency = 20,
    stall: Annotated[float, typer.Option(help="Chance, each cycle, that the memory stalls (RTL only).")] = 0.0,
    as_json: Json = False,
) -> int:
    """Run MODEL once. On the RTL, also compare every output with the golden machine; exit 1 if one differs."""
    from mfm import api

    memory, machine = _memory(latency, stall), design_at(design, changes)
    program = _program(model, machine, latency)
    done = api.run(program, on.value, machine, memory, image)
    equal = api.run(program, "golden", index=image).outputs == done.outputs if on is Target.RTL else None
    used = done.counters["mac"] / done.cycles if done.cycles else None
    if as_json:
        print_json("mfm run", {"design": design, "utilisation": used, "equal_to_golden": equal} | done.to_json())
    else:
        cycles = f": {done.cycles:,} cycles, {100 * used:.1f} % of MAC slots used" if done.cycles and used else ""
        show(f"{done.name} on {on.value}{cycles}", *_shown_outputs(done.outputs), *_shown_counters(done.counters))
        word = {True: "Every output equals", False: "Outputs DIFFER from", None: ""}[equal]
        show(*([f"{word} the golden machine's."] if word else []))
    return 1 if equal is False else 0


def _shown_outputs(outputs: dict[str, list[list[int]]]) -> list[str]:
    """A single row as it is, a larger matrix by its shape."""
    return [
        f"{name}: " + (str(rows[0]) if len(rows) == 1 else f"{len(rows)} x {len(rows[0])}")
        for name, rows in outputs.items()
    ]


def _shown_counters(counters: dict[str, int]) -> list[str]:
    return ["Counters: " + ", ".join(f"{name} {value:,}" for name, value in counters.items())] if counters else []


class Where(StrEnum):
    """What makes the logits of a generated text."""

    INTEGER = "integer"
    GOLDEN = "golden"
    RTL = "rtl"


@app.command()
def generate(
    model: Annotated[str, typer.Argument(help="A Hugging Face checkpoint folder, or tiny-FAMILY (random weights).")],
    prompt: Annotated[str, typer.Option(help="Text, or token numbers; <image> marks the place of the image.")],
    image: Annotated[Path | None, typer.Option(help="A PNG or JPEG file.")] = None,
    tokens: Annotated[int, typer.Option(min=1, max=4096, help="How many to generate.")] = 16,
    on: Annotated[Where, typer.Option(help="The integer graph alone, or beside it the golden machine or the RTL.")]
    = Where.RTL,
    design: OnDesign = "expert",
    changes: Set = None,
    bits: Annotated[int, typer.Option(help="Of the decoder's weights: 8, or 4.")] = 8,
    latency: Latency = 20,
    stall: Annotated[float, typer.Option(help="Chance, each cycle, that the memory stalls (RTL only).")] = 0.0,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Generate text greedily, token by token; on golden or rtl every logit is compared with the integer graph's."""
    from agents.cli.output import console
    from hwlib.errors import InputError
    from mfm.serve import generation

    if bits not in (4, 8):
        raise InputError(f"{bits} bits", "--bits", "give 8 or 4")
    machine, memory = design_at(design, changes), _memory(latency, stall)
    with console(stderr=True).status("quantizing and compiling") as status:
        found = generation.run(
            model, prompt, image, tokens, on.value, machine, memory, bits,
            lambda count, token: status.update(f"token {count} of {tokens}: {token}"),
        )  # fmt: skip
    if as_json:
        print_json("mfm generate", {"design": design} | found.to_json())
        return
    show(found.text, f"{len(found.tokens)} tokens of a model of {found.parameters:,} parameters, by {found.on[-1]}"
         + (", every logit equal to the integer graph's" if len(found.on) > 1 else ""))  # fmt: skip
    if found.cycles:
        prompt_cycles, steps = (found.cycles[:-tokens], found.cycles[-tokens:])
        show(f"Cycles: prompt {sum(prompt_cycles):,}, a token {round(sum(steps) / tokens):,}; simulated at "
             f"{sum(found.cycles) / found.seconds:,.0f} cycles/s")  # fmt: skip


@app.command()
def profile(
    model: ModelOrProgram,
    design: OnDesign = "expert",
    changes: Set = None,
    latency: Latency = 20,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the roofline, cycles by cause and scratchpad here (.svg or .png).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show where MODEL's modelled cycles and memory traffic go on DESIGN: by layer and cause, against what must be."""
    from mfm import api

    machine = design_at(design, changes)
    found = api.profile(_program(model, machine, _memory(latency).latency), machine.manifest, latency)
    if plot is not None:
        from agents.roofline import draw

        draw(found, plot, f"{model} on {design}")
    if as_json:
        print_json("mfm profile", {"model": model, "design": design, "plot": plot, "profile": found})
    else:
        show(*_profile_tables(found), *([f"Written: {plot}"] if plot else []))


def _profile_tables(found: Profile) -> list[Table | str]:
    busy = ", ".join(f"{name} {100 * cycles / found.cycles:.0f} %" for name, cycles in found.busy_cycles.items())
    lost = ", ".join(f"{name} {cycles:,}" for name, cycles in found.lost_cycles.items())
    held = found.occupancy
    return [
        f"{found.cycles:,} cycles, {100 * found.utilisation:.1f} % of MAC slots used; busy: {busy}",
        f"Cycles without a beat, by what the array waits for: {lost}",
        _layer_table(found),
        f"{found.bytes_moved:,} bytes moved, the program's own apart; any schedule moves at least {found.bytes_once:,}",
        _memory_table(found),
        f"Scratchpad in use: {100 * sum(held) / len(held):.0f} % on average, {100 * max(held):.0f} % at most",
        *(f"On the host, not counted: {where}" for where in found.host),
    ]


def _layer_table(found: Profile) -> Table:
    from rich.table import Table

    causes = list(found.lost_cycles)
    heads = (
        "layer",
        "array cycles",
        *(f"lost: {cause}" for cause in causes),
        "used",
        "bytes moved",
        "minimum",
        "again",
    )
    table = Table(*heads)
    for column in table.columns[1:]:
        column.justify = "right"
    for layer in found.layers:
        used = f"{100 * layer.utilisation:.1f} %" if layer.cycles else ""
        figures = (layer.mac_cycles, *layer.lost_cycles.values())
        moved = (layer.bytes_moved, layer.bytes_minimum, layer.bytes_again)
        name = f"{layer.name} (attention)" if layer.attention else layer.name
        table.add_row(name, *(f"{n:,}" for n in figures), used, *(f"{n:,}" for n in moved))
    return table


def _memory_table(found: Profile) -> Table:
    from rich.table import Table

    table = Table("memory", "name", "address", "bytes")
    for region in found.memory:
        table.add_row(region.kind, region.name, f"{region.addr:#x}", f"{region.size:,}")
    return table


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="digits-vit or a trained model's .pt file.")] = "digits-vit",
    design: Annotated[str, typer.Option("--design", help=DESIGN_HELP + " Default: no RTL.")] = "",
    changes: Set = None,
    images: Annotated[int, typer.Option(help="Test images to run on the RTL.")] = 64,
    latency: Latency = 20,
    as_json: Json = False,
) -> int:
    """Measure MODEL's test accuracy in float, as int8, and on DESIGN's RTL. Exit 1 if a logit is not the golden one."""
    from hwlib.errors import InputError
    from mfm import api

    if changes and not design:
        raise InputError("no design to change", "--set", "name one with --design")
    machine = design_at(design, changes) if design else None
    found = api.evaluate(model, machine, images, _memory(latency))
    if as_json:
        print_json("mfm evaluate", {"model": model, "design": design or None} | found.to_json())
    else:
        show(f"Of {found.test_images} test images right: float {100 * found.float_accuracy:.2f} %, "
             f"integer {100 * found.integer_accuracy:.2f} %")  # fmt: skip
    if found.rtl_accuracy is not None and not as_json:
        words = "every logit equals" if found.logits_equal else "logits DIFFER from"
        show(f"RTL of {design}, first {found.rtl_images}: {100 * found.rtl_accuracy:.2f} %, {words} the golden "
             f"executor's; {found.cycles_per_image:,.0f} cycles an image")  # fmt: skip
    return 1 if found.logits_equal is False else 0
