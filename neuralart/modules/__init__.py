"""Graphs WITH memory: bound ``mx.mod.Module`` objects that hold weights and make gradients."""
