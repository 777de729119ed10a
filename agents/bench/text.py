"""Verilog text looked at word by word: comments and strings taken out, modules and ports found, names changed."""

from __future__ import annotations

import re

_LEXEMES = re.compile(r"//[^\n]*|/\*.*?\*/|/\*.*|\"(?:\\.|[^\"\\\n])*\"?", re.DOTALL)
_WORD = r"[A-Za-z_][\w$]*"
_NUMBER = re.compile(
    r"(?:(?<![\w$])\d[\d_]*\s*)?'[sS]?(?:[bB]\s*[01xXzZ?_]+|[oO]\s*[0-7xXzZ?_]+|[dD]\s*[\dxXzZ?_]+|[hH]\s*[\da-fA-FxXzZ?_]+)"
    r"|(?<![\w$])\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?"
)
_MODULE = re.compile(rf"\b(?:module|macromodule)\s+(?:static\s+|automatic\s+)?({_WORD})")
_PARAMETERS = r"#\s*\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)\s*"
_INSTANCE = re.compile(rf"(?<![\w$`.])({_WORD})\s*(?:{_PARAMETERS})?({_WORD})\s*(?:\[[^\]]*\]\s*)?\(")
KEYWORDS = frozenset(
    """
    alias always always_comb always_ff always_latch and assert assign assume automatic begin bind bit buf bufif0 bufif1
    byte case casex casez class const continue cover deassign default defparam disable do edge else end endcase endclass
    endfunction endgenerate endinterface endmodule endpackage endtask enum event export extern final for force foreach
    forever fork function generate genvar if iff ifnone import initial inout input inside int integer interface join
    join_any join_none localparam logic longint macromodule modport module nand negedge new nmos nor not notif0 notif1
    or output package packed parameter pmos posedge primitive priority property pulldown pullup real realtime ref reg
    release repeat return scalared shortint shortreal signed specify static string struct supply0 supply1 table task
    time timeprecision timeunit tri tri0 tri1 triand trior trireg type typedef union unique unsigned uwire var vectored
    virtual void wait wand while wire wor xnor xor
    """.split()  # noqa: SIM905  # words read better than a list
)


def bare(text: str) -> str:
    """`text` without comments, and with empty strings; every line keeps its number."""
    return _LEXEMES.sub(lambda match: _blank(match[0]), text)


def uncommented(text: str) -> str:
    """`text` without comments; strings and line numbers stay."""
    return _LEXEMES.sub(lambda match: match[0] if match[0].startswith('"') else _blank(match[0]), text)


def _blank(lexeme: str) -> str:
    return '""' if lexeme.startswith('"') else " " + "\n" * lexeme.count("\n")


def odd_strings(text: str) -> bool:
    """Whether a string has an escape or no end, or three quotes stand together: tools differ on where those end."""
    strings = [match[0] for match in _LEXEMES.finditer(text) if match[0].startswith('"')]
    return any(not re.fullmatch(r'"[^"\\\n]*"', string) for string in strings) or '"""' in uncommented(text)


def words(text: str) -> set[str]:
    """Every name in `text`."""
    return set(re.findall(_WORD, bare(text)))


def modules(text: str) -> list[str]:
    """The modules defined in `text`, in order."""
    return _MODULE.findall(bare(text))


def instantiated(text: str) -> list[str]:
    """The modules that `text` instantiates, in order."""
    found = [kind for kind, name in _INSTANCE.findall(bare(text)) if not {kind, name} & KEYWORDS]
    return list(dict.fromkeys(found))


def top_module(text: str) -> str:
    """The last module defined in `text` that it does not instantiate itself; empty if there is none."""
    used = set(instantiated(text))
    tops = [name for name in modules(text) if name not in used]
    return tops[-1] if tops else ""


def renamed(text: str, names: dict[str, str]) -> str:
    """`text` with names changed, outside comments and strings too: references are the suite's and mean one thing."""
    if not names:
        return text
    return re.sub(rf"(?<![\w$`])({'|'.join(map(re.escape, names))})(?![\w$])", lambda match: names[match[0]], text)


def without_numbers(text: str) -> str:
    """`text` with every number a lone 0: in ``#8'h1tb.x`` the number ends where the next name begins."""
    return _NUMBER.sub(" 0 ", text)


def module_text(text: str, module: str) -> str:
    """What stands between the name of `module` and its end, without comments; empty if it is not defined."""
    found = re.search(rf"\b(?:module|macromodule)\s+{re.escape(module)}\b(.*?)\bendmodule\b", bare(text), re.DOTALL)
    return found[1] if found else ""


def outputs_and_inputs(text: str, module: str) -> tuple[set[str], set[str]]:
    """Names `module` declares as output or inout, and as input: in its header if that says so, else in its body."""
    header, _, body = module_text(text, module).partition(";")
    where = header if re.search(r"\b(input|output|inout)\b", header) else body
    parts = re.split(r"\b(input|output|inout)\b", where)
    driven, read = set[str](), set[str]()
    for direction, declared in zip(parts[1::2], parts[2::2], strict=True):
        names = set(re.findall(_WORD, re.sub(r"\[[^\]]*\]", " ", declared.partition(";")[0]))) - KEYWORDS
        (read if direction == "input" else driven).update(names)
    return driven, read
