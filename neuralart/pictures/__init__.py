"""Pictures in memory and in files: pixels, editing, reading, writing, and photos for training."""

import os

# libvips reads this when it is loaded. Threads of ours decode several pictures already.
os.environ.setdefault("VIPS_CONCURRENCY", "1")
