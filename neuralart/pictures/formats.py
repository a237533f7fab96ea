"""The picture formats that are read and written, by suffix."""

# Suffix: Pillow's name of the format.
WRITABLE = {
    ".bmp": "BMP", ".jpe": "JPEG", ".jpeg": "JPEG", ".jpg": "JPEG", ".jp2": "JPEG2000",
    ".png": "PNG", ".ppm": "PPM", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP",
}  # fmt: skip

READABLE = frozenset([*WRITABLE, ".dib", ".gif", ".mpo", ".pbm", ".pgm", ".pnm", ".ras", ".tga"])

# A header that claims more is taken for damaged or hostile. 120 megapixels are 360 MB of 8-bit RGB.
MAX_PIXELS = 120_000_000
