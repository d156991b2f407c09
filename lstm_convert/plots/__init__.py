"""Pictures of an analysis: each with its grade in the title, the sentence that says how to read it, and its table."""
