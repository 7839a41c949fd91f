"""The XMP packet of a file: cleared of what a larger picture makes wrong, and told what made it.

Packets come from strangers, and an XML parser can be made to exhaust the memory by a few lines: they are
searched and changed as text, which also keeps whatever else is in them as it was.

Source: ISO 16684-1 (XMP), sections 7 and 8 for the names.
"""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr, unescape

__all__ = ["cleared", "provenance_in", "with_provenance", "with_resolution"]

_NAMESPACE = "urn:restorekit:provenance:1#"
_END = "</rdf:RDF>"
_EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    f'{_END}</x:xmpmeta><?xpacket end="w"?>'
)
_SIZES = ("tiff:ImageWidth", "tiff:ImageLength", "exif:PixelXDimension", "exif:PixelYDimension")
_THUMBNAILS = re.compile(r"<(xmp|xap):Thumbnails\b.*?</\1:Thumbnails>", re.DOTALL)
_OURS = re.compile(r'<rdf:Description rdf:about="" xmlns:restore=.*?</rdf:Description>', re.DOTALL)
_PROVENANCE = re.compile(r"<restore:provenance>(.*?)</restore:provenance>", re.DOTALL)


def cleared(packet: bytes | None) -> bytes | None:
    """Upright, without sizes, thumbnails and our own words; ``None`` for what is no packet."""
    text = _text(packet)
    if text is None:
        return None
    text = _OURS.sub("", _THUMBNAILS.sub("", text))
    for name in _SIZES:
        text = re.sub(rf'\s{name}="[^"]*"|\s{name}=\'[^\']*\'|<{name}>[^<]*</{name}>', "", text)
    return _replaced(text, "tiff:Orientation", "1").encode()


def with_resolution(packet: bytes, dpi: tuple[float, float] | None) -> bytes:
    """The resolution where the packet tells one."""
    text = _text(packet)
    if text is None or dpi is None:
        return packet
    for name, value in zip(("tiff:XResolution", "tiff:YResolution"), dpi, strict=True):
        text = _replaced(text, name, f"{round(value * 100)}/100")
    return _replaced(text, "tiff:ResolutionUnit", "2").encode()


def with_provenance(packet: bytes | None, provenance: str, software: str) -> bytes:
    """The packet, or a new one, in which our own words are the last."""
    text = _text(packet) or _EMPTY
    tool = "" if "CreatorTool" in text else f" xmp:CreatorTool={quoteattr(software)}"
    ours = (
        f'<rdf:Description rdf:about="" xmlns:restore="{_NAMESPACE}" '
        f'xmlns:xmp="http://ns.adobe.com/xap/1.0/"{tool}>'
        f"<restore:provenance>{escape(provenance)}</restore:provenance></rdf:Description>"
    )
    before, after = _OURS.sub("", text).rsplit(_END, 1)
    return f"{before}{ours}{_END}{after}".encode()


def provenance_in(packet: bytes) -> str | None:
    """What `with_provenance` wrote."""
    found = _PROVENANCE.search(packet.decode(errors="replace"))
    return unescape(found[1]) if found else None


def _text(packet: bytes | None) -> str | None:
    """The packet, if it has the parts that are needed."""
    if not packet:
        return None
    wide = "utf-16" if packet[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    text = packet.rstrip(b"\0").decode(wide, errors="replace")
    return text if _END in text else None


def _replaced(text: str, name: str, value: str) -> str:
    """The same with another value of a simple property, as attribute or element."""
    return re.sub(rf"({name}(?:=\"|='|>))[^\"'<]*", rf"\g<1>{value}", text)
