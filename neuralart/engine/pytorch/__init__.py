"""PyTorch runs the graphs, on cards that MXNet has no code for."""
