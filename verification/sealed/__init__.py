"""What the sealed gate judges with: points, scenarios and seeds that no designer sees before a submission.

Only `verification.gates.sealed` imports this; agents and prompts neither import nor read it.
"""
