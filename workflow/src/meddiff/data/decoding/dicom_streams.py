"""How large a compressed picture says it is, before a decoder takes memory for it."""

from __future__ import annotations

import struct

_JPEG_2000 = b"\xff\x4f\xff\x51"  # start of codestream, then its SIZ segment
_JPEG = b"\xff\xd8"
# Segments that begin a frame (T.81, table B.1; T.87 has 0xf7), which say height and width.
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


def stream_size(frame: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG, JPEG-LS or JPEG 2000 stream; None of others and where it does not say."""
    if frame[:4] == _JPEG_2000 and len(frame) >= 24:
        right, bottom, left, top = struct.unpack(">IIII", frame[8:24])
        return right - left, bottom - top
    if frame[:2] != _JPEG:
        return None
    position = 2
    while position + 9 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker in _FRAME_MARKERS:
            height, width = struct.unpack(">HH", frame[position + 5 : position + 9])
            return (width, height) if height and width else None
        if marker == 0xFF:  # padding
            position += 1
        else:
            position += 2 + int.from_bytes(frame[position + 2 : position + 4], "big")
    return None
