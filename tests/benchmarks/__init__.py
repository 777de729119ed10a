"""What takes long: each module is a command that measures bars, prints a table (or `--json`) and exits 1 if one falls."""
