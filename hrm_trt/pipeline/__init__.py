"""The stages in order, what they are asked to do, and where their results are kept."""
