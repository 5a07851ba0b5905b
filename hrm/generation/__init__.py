"""Making data sets: new puzzles, official ones and a user's own, written in the official layout."""
