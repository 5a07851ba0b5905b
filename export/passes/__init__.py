"""Graph passes: each changes or counts one thing in place and returns how often it did, and its caller checks that."""
