"""WHAT is computed: graphs on ``mx.sym``, declared without memory or weights."""
