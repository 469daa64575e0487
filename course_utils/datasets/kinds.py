"""One rule for each kind of picture on the way to a square of 8-bit RGB.

==========================  ====================================================================
kind of picture             what is done
==========================  ====================================================================
8-bit grey, RGB, CMYK       resized, then made RGB; a colour profile is not applied
palette, one bit, others    made RGB as Pillow does it, then resized
any with transparency       laid on white
16- and 32-bit grey, float  grey levels scaled to 0..255, see `_resized_grey`
several frames or pages     the first
turned by EXIF              turned upright; damaged EXIF is passed over
longer than 4:1             only its middle is looked at
==========================  ====================================================================

Refused: grey levels of an unknown range; 12-bit colours in a 16-bit file, of which Pillow keeps the
upper 8 bits, all but black.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from PIL import Image

RESIZE_RATIO = 256 / 224  # ImageNet's usual evaluation crop: shorter side 256, centre 224
GREY = (255, 4_095, 65_535)  # white in 8, 12 and 16 bits

TURNS = {  # what makes a picture upright, by EXIF's number for its orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Refused(Exception):
    """A picture that is not used. The message is the reason, as part of a sentence."""


def square(image: Image.Image, size: int) -> np.ndarray:
    """The centre of an opened picture, uint8 [3, size, size], RGB, by the rules above.

    Raises Refused, and whatever Pillow's decoders raise.
    """
    sixteen = ";16" in str(getattr(image, "tile", ""))  # Pillow forgets it when it loads
    image.load()
    if sixteen and image.mode[0] not in "IF" and 0 < np.max(image.getextrema()[:3]) < 16:
        raise Refused("its colours have 12 bits or fewer in a 16-bit file: scale them to 8 bits")
    try:
        turn = TURNS.get(image.getexif()[0x0112])
    except Exception:  # not there, or one of as many kinds as there are ways to damage EXIF
        turn = None
    small = _resized_rgb(image, round(size * RESIZE_RATIO))
    small = small if turn is None else small.transpose(turn)
    left, top = (small.width - size) // 2, (small.height - size) // 2
    return np.asarray(small.crop((left, top, left + size, top + size))).transpose(2, 0, 1)


def _resized_rgb(image: Image.Image, shorter: int) -> Image.Image:
    """Resized before it is converted where the mode allows: no second copy of the large one."""
    if image.mode[0] in "IF":
        return _resized_grey(image, shorter).convert("RGB")
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        small = _resized(image, shorter)  # hidden pixels do not count: Pillow weights by opacity
        white = Image.new("RGBA", small.size, "white")
        return Image.alpha_composite(white, small).convert("RGB")
    image = image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")
    return _resized(image, shorter).convert("RGB")


def _resized_grey(image: Image.Image, shorter: int) -> Image.Image:
    """Grey levels of 16 or 32 bits → 8 bits. White is 255, 4,095 or 65,535, the first that no pixel
    exceeds, and for floats 1 as well.

    A picture whose pixels all lie below a sixteenth of the range would be all but black in 16 bits,
    so it is taken for one of 12 (microscopes, X-ray scanners). The pictures of one device all fall
    on the same side, dark ones included.
    """
    if "transparency" in image.info:
        raise Refused("one of its 16-bit grey levels stands for transparent: save it as RGBA")
    image = image.convert("I") if image.mode.startswith("I;") else image
    low, high = cast(tuple[float, float], image.getextrema())
    whites = GREY if image.mode == "I" else (1, *GREY)
    white = next((white for white in whites if high <= white), None)
    if white is None or not low >= 0:
        expected = "0..1 (floats), 0..255, 0..4,095 or 0..65,535"
        raise Refused(f"its grey levels run from {low:g} to {high:g}; expected {expected}")
    levels = np.asarray(_resized(image, shorter), dtype=np.float32) * (255 / white)
    if not np.isfinite(levels).all():
        raise Refused("some of its grey levels are not numbers (NaN)")
    return Image.fromarray(levels.round().clip(0, 255).astype(np.uint8))


def _resized(image: Image.Image, shorter: int) -> Image.Image:
    """The shorter side at ``shorter`` pixels; of what is longer than 4:1 only the middle part."""
    side = min(image.size)
    ratio = shorter / side
    width, height = (min(length, 4 * side) for length in image.size)
    left, top = (image.width - width) / 2, (image.height - height) / 2
    target = max(shorter, round(width * ratio)), max(shorter, round(height * ratio))
    box = (left, top, left + width, top + height)
    return image.resize(target, Image.Resampling.BILINEAR, box=box)
