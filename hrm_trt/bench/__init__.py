"""What engines and runtimes are worth on this machine, measured side by side."""
