"""Sudoku: minimal puzzles with one solution, their symmetries, and the official collection."""
