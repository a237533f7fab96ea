"""ONNX Runtime as an engine that paints: graphs as ONNX models, and what runs them."""
