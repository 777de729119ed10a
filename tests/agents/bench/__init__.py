"""Tests of the benchmark harness, on small suites of our own in the layouts of the public ones."""
