"""What hardware is: spec, design, contracts, ISA, numerics, templates and the expert reference."""
