"""Files of phones and cameras: HEIC and AVIF, which Pillow learns to read, and raw, refused.

The kind of a file is told by its first bytes, and raw files that look like TIFF by their tags.
"""

from __future__ import annotations

from typing import BinaryIO

from PIL import features

from neuralart.errors import EngineError, ImageError
from neuralart.machine.installation import install_command
from neuralart.pictures.exif import tags_of

# Brands of "ftyp" boxes (ISO/IEC 23008-12, annex B; AV1 Image File Format, section 6.3).
_HEIF = {
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1",
}  # fmt: skip
_AVIF = {b"avif", b"avis"}

# First bytes of raw files: CR2, CRW, ORF (three), RW2, RAF, MRW, X3F.
_RAW = (
    b"II*\0\x10\0\0\0CR", b"II\x1a\0\0\0HEAPCCDR", b"IIRO", b"IIRS", b"MMOR", b"IIU\0",
    b"FUJIFILMCCD-RAW", b"\0MRM", b"FOVb",
)  # fmt: skip
_CR3 = b"crx "

# Raw files that begin as TIFF. Their first picture is a small preview.
_RAW_SUFFIXES = {
    ".3fr", ".arw", ".cr2", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".k25", ".kdc", ".mef", ".mos",
    ".nef", ".nrw", ".pef", ".sr2", ".srf", ".srw",
}  # fmt: skip
_TIFF = (b"II*\0", b"MM\0*")

# Tags of TIFF: DNGVersion (DNG 1.7, page 22), and the private directory of a DNG.
_DNG_TAGS = {0xC612, 0xC634}


def check_kind(file: BinaryIO, suffix: str) -> str | None:
    """Pillow's name of a HEIC or AVIF file, made ready to be read; None for other files.

    Raises ImageError for a camera's raw file, or if the library for the file is not installed.
    """
    file.seek(0)
    head = file.read(64)
    file.seek(0)
    brands = _brands(head)
    if head.startswith(_RAW) or _CR3 in brands or _is_raw_tiff(file, head, suffix):
        raise ImageError("is a camera's raw file; export it as TIFF or JPEG first")
    if not brands & (_AVIF | _HEIF):
        return None
    try:
        return prepare("AVIF" if brands & _AVIF else "HEIF")
    except EngineError as error:
        raise ImageError(str(error)) from None


def _brands(head: bytes) -> set[bytes]:
    """The brands of a file of boxes; none for other files."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(len(head), int.from_bytes(head[:4], "big"))
    return {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}


def _is_raw_tiff(file: BinaryIO, head: bytes, suffix: str) -> bool:
    if not head.startswith(_TIFF):
        return False
    if suffix.lower() in _RAW_SUFFIXES:
        return True
    tags = tags_of(file)
    file.seek(0)
    return bool(tags & _DNG_TAGS)


def prepare(kind: str) -> str:
    """Make Pillow read and write ``HEIF`` or ``AVIF``; return ``kind``.

    Raises EngineError if the library is not installed.
    """
    if kind == "AVIF" and not features.check("avif"):
        raise EngineError("AVIF needs Pillow 11.3 or later; pip install 'pillow>=11.3'")
    if kind == "HEIF":
        try:
            import pillow_heif
        except ImportError as error:
            if error.name != "pillow_heif":
                raise
            raise EngineError(f"HEIC needs pillow-heif; {install_command('heic')}") from None
        pillow_heif.register_heif_opener(thumbnails=False)
    return kind
