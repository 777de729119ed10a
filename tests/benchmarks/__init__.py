"""What takes long: each module is a command that measures bars, prints them, and exits 1 if one falls."""
