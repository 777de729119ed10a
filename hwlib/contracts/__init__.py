"""Contracts: what each block promises. `load(name)` reads one, `names()` lists them in assembly order."""

from hwlib.contracts.schema import Contract, Interface, Ordering, Port, load, names

__all__ = ["Contract", "Interface", "Ordering", "Port", "load", "names"]
