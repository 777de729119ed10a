"""Prompts, one folder a role: system and user templates, version, JSON schema of the answer. Data, no code."""
