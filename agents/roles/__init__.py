"""The three roles of the LLM designer: what each must answer, and how it is asked."""
