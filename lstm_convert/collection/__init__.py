"""A collection: many files converted at once, by one process, many, or many machines, and what became of each."""
