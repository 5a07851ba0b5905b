"""The report of a gate: one HTML file that needs nothing beside it."""
