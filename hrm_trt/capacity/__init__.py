"""How many machines keep a promise, and what they cost: from a benchmark's document, by simulation."""
