"""WHAT COMPUTES: the executor's contract, and MXNet, which fulfils it."""
