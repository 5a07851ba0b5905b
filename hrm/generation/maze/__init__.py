"""Mazes with their shortest way: new ones, and the official ones."""
