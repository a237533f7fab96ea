"""Converts a symbol and its parameters to ONNX, and runs ONNX models."""
