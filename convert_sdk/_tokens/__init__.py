"""Signed tokens that a visitor takes from one process to another."""
