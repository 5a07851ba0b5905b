"""Talking to a running Triton server: loading, roll-out, health, draining."""
