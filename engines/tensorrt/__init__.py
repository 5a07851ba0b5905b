"""The runtimes ``tensorrt`` and ``tensorrt-rtx``: one builder and one engine for both; what differs is data."""
