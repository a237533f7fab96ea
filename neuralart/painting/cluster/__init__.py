"""Batches that several processes or machines paint, and pictures at addresses such as s3://."""
