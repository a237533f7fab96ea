"""The picture formats that are read and written, by suffix."""

# Suffix: Pillow's name of the format.
WRITABLE = {
    ".avif": "AVIF", ".bmp": "BMP", ".heif": "HEIF", ".heic": "HEIF", ".jpe": "JPEG",
    ".jpeg": "JPEG", ".jpg": "JPEG", ".jp2": "JPEG2000", ".png": "PNG", ".ppm": "PPM",
    ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP",
}  # fmt: skip

LOSSY = frozenset(["AVIF", "HEIF", "JPEG", "WEBP"])
"""Those that are written with a quality of 1..100."""

READABLE = frozenset([*WRITABLE, ".dib", ".gif", ".mpo", ".pbm", ".pgm", ".pnm", ".ras", ".tga"])

# A header that claims more is taken for damaged or hostile. 120 megapixels are 360 MB of 8-bit RGB.
MAX_PIXELS = 120_000_000
