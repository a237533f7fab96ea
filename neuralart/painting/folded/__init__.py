"""The fast painter: a trained chain rewritten by exact algebra into fewer, faster operations."""
