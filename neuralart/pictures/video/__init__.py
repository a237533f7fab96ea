"""Videos in files: decoded and encoded by PyAV, which is imported when a video is painted."""
