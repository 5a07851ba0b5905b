"""The colours of tiles, shared by the figure and the terminal."""

ARC = (
    "#000000",
    "#0074D9",
    "#FF4136",
    "#2ECC40",
    "#FFDC00",
    "#AAAAAA",
    "#F012BE",
    "#FF851B",
    "#7FDBFF",
    "#870C25",
)
"""The colours 0 to 9 of the ARC testing interface (fchollet/ARC-AGI)."""
ARC_FIRST = 2
"""The token id of colour 0."""
ARC_DARK = frozenset({0, 1, 9})
"""The colours on which white is easier to read than black."""
