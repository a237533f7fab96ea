"""Pictures in memory and in files: pixels, editing, reading, writing, and photos for training."""

import os

# OpenCV reads this when it is imported. It would report a damaged photo beside our own error.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
