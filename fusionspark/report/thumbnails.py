"""Small pictures for the page, as data addresses: the page loads nothing."""

from __future__ import annotations

import base64
import io

#: Pixels of the longer side, and most bytes of one thumbnail.
SIDE, MOST_BYTES = 72, 8_000


def data_uri(picture: bytes) -> str | None:
    """A JPEG thumbnail as ``data:image/jpeg;base64,...``, white where transparent; None if too large.

    Parameters
    ----------
    picture : bytes
        A picture that was decoded before.
    """
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as opened:
        small = opened.convert("RGBA")
    small.thumbnail((SIDE, SIDE))
    white = Image.new("RGBA", small.size, (255, 255, 255, 255))
    out = io.BytesIO()
    Image.alpha_composite(white, small).convert("RGB").save(out, "JPEG", quality=80)
    data = out.getvalue()
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}" if len(data) <= MOST_BYTES else None
