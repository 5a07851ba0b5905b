"""What preflight asks of engines, solvers and plans, each in a module."""
