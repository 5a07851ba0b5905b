"""Low precision in a graph: which linears get it, with which scales, placed by passes that count what they did."""
