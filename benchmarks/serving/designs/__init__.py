"""What the orchestrator is measured against: rival designs and stand-in engines, written for the benchmark only."""
