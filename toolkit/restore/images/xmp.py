"""The XMP packet of a file: corrected for a larger image, with the provenance added.

Packets come from strangers. They are parsed by defusedxml, which refuses entities and so cannot be made to
expand a few lines into gigabytes. A packet is dropped if it is not well-formed, larger than `MAX_BYTES`, or
has more properties or namespaces than any program writes: each costs time.

Source: ISO 16684-1 (XMP), sections 7 and 8 for the names.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import defusedxml.ElementTree

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["MAX_BYTES", "cleared", "provenance_in", "with_provenance", "with_resolution"]

MAX_BYTES = 2**23
"""Size of the largest packet that is kept: 8 MiB."""

_MAX_PROPERTIES = 50_000  # elements and attributes; the longest editing histories have about 20,000
_MAX_NAMESPACES = 500
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XML = "http://www.w3.org/XML/1998/namespace"
_XMP = "http://ns.adobe.com/xap/1.0/"
_TIFF = "http://ns.adobe.com/tiff/1.0/"
_EXIF = "http://ns.adobe.com/exif/1.0/"
_OURS = "urn:restorekit:provenance:1#"
_DESCRIPTION = f"{{{_RDF}}}Description"
_ABOUT = f"{{{_RDF}}}about"
_CREATOR_TOOL = f"{{{_XMP}}}CreatorTool"
_ORIENTATION = f"{{{_TIFF}}}Orientation"
_PROVENANCE = f"{{{_OURS}}}provenance"
_REMOVED = frozenset(
    {
        f"{{{_XMP}}}Thumbnails",
        f"{{{_TIFF}}}ImageWidth",
        f"{{{_TIFF}}}ImageLength",
        f"{{{_EXIF}}}PixelXDimension",
        f"{{{_EXIF}}}PixelYDimension",
        "{http://ns.adobe.com/xmp/note/}HasExtendedXMP",  # JPEG keeps it elsewhere in the file
    }
)
_PREFIXES = {"adobe:ns:meta/": "x", _RDF: "rdf", _XMP: "xmp", _OURS: "restore"}
_HEAD = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_END = '<?xpacket end="w"?>'


def cleared(packet: bytes) -> bytes | None:
    """The packet without sizes, thumbnails and provenance, and with the orientation that is upright.

    >>> cleared(b"not XML") is None
    True
    """
    try:
        root, prefixes = _parsed(packet)
        for node in root.iter():
            for name in _REMOVED & node.attrib.keys():
                del node.attrib[name]
            node[:] = [child for child in node if child.tag not in _REMOVED and not _is_ours(child)]
        _replace(root, _ORIENTATION, "1")
        return _packet(root, prefixes)
    except (ValueError, RecursionError):
        return None


def with_resolution(packet: bytes, dpi: tuple[float, float]) -> bytes:
    """The packet with another resolution, in pixels per inch, if it has one; any other as it is."""
    try:
        root, prefixes = _parsed(packet)
        for name, value in (
            (f"{{{_TIFF}}}XResolution", f"{round(dpi[0] * 100)}/100"),
            (f"{{{_TIFF}}}YResolution", f"{round(dpi[1] * 100)}/100"),
            (f"{{{_TIFF}}}ResolutionUnit", "2"),
        ):
            _replace(root, name, value)
        return _packet(root, prefixes)
    except (ValueError, RecursionError):
        return packet


def with_provenance(packet: bytes | None, provenance: str, software: str) -> bytes:
    """The packet, or a new one, with the provenance as its last description.

    >>> packet = with_provenance(None, '{"model": "bicubic"}', "restorekit")
    >>> provenance_in(packet)
    '{"model": "bicubic"}'
    """
    if packet:
        with suppress(ValueError, RecursionError):
            return _with_provenance(*_parsed(packet), provenance, software)
    return _with_provenance(_empty(), {}, provenance, software)


def provenance_in(packet: bytes) -> str | None:
    """The provenance that `with_provenance` wrote."""
    if _OURS.encode() not in packet:
        return None
    try:
        found = _parsed(packet)[0].find(f".//{_PROVENANCE}")
    except (ValueError, RecursionError):
        return None
    return None if found is None else found.text


def _with_provenance(root: Element, prefixes: dict[str, str], provenance: str, software: str) -> bytes:
    rdf = _rdf(root)
    rdf[:] = [child for child in rdf if not _is_ours(child)]
    has_tool = any(_CREATOR_TOOL in node.attrib or node.tag == _CREATOR_TOOL for node in root.iter())
    description = ElementTree.SubElement(rdf, _DESCRIPTION, {_ABOUT: ""})
    if not has_tool:
        description.set(_CREATOR_TOOL, software)
    ElementTree.SubElement(description, _PROVENANCE).text = provenance
    return _packet(root, prefixes)


class _Builder(ElementTree.TreeBuilder):
    """Builds a tree of bounded size and collects the prefixes that its document declares."""

    def __init__(self) -> None:
        super().__init__()
        self.prefixes: dict[str, str] = {}  # namespace -> prefix
        self._properties = 0
        self._namespaces = 0

    def start(self, tag: str, attributes: dict[str, str]) -> Element:
        """Called by the parser for each element."""
        self._properties += 1 + len(attributes)
        if self._properties > _MAX_PROPERTIES:
            raise ValueError(f"the packet has more than {_MAX_PROPERTIES} properties")
        return super().start(tag, attributes)

    def start_ns(self, prefix: str, namespace: str) -> None:
        """Called by the parser for each declaration of a namespace."""
        self._namespaces += 1
        if self._namespaces > _MAX_NAMESPACES:
            raise ValueError(f"the packet declares more than {_MAX_NAMESPACES} namespaces")
        if prefix and prefix not in self.prefixes.values():
            self.prefixes.setdefault(namespace, prefix)


def _parsed(packet: bytes) -> tuple[Element, dict[str, str]]:
    """The root of a packet, and the prefixes of its namespaces.

    Raises:
        ValueError: it is too large, has too many parts, is not well-formed, declares entities, or has no RDF.
    """
    if len(packet) > MAX_BYTES:
        raise ValueError(f"the packet has more than {MAX_BYTES} bytes")
    wide = "utf-16" if packet[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    builder = _Builder()
    parser = defusedxml.ElementTree.DefusedXMLParser(target=builder)
    try:
        parser.feed(packet.rstrip(b"\0").decode(wide, errors="replace").lstrip("\ufeff"))
        root: Element = parser.close()
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from error
    _rdf(root)
    return root, builder.prefixes


def _rdf(root: Element) -> Element:
    """The element that holds the descriptions.

    Raises:
        ValueError: there is none.
    """
    found = next(root.iter(f"{{{_RDF}}}RDF"), None)
    if found is None:
        raise ValueError("the packet has no RDF")
    return found


def _empty() -> Element:
    root = ElementTree.Element("{adobe:ns:meta/}xmpmeta")
    ElementTree.SubElement(root, f"{{{_RDF}}}RDF")
    return root


def _is_ours(node: Element) -> bool:
    return node.tag == _DESCRIPTION and node.find(_PROVENANCE) is not None


def _replace(root: Element, name: str, value: str) -> None:
    """Set a simple property wherever it occurs, as attribute or element."""
    for node in root.iter():
        if name in node.attrib:
            node.set(name, value)
        if node.tag == name:
            node.text = value


def _packet(root: Element, prefixes: dict[str, str]) -> bytes:
    """The tree as a packet with the prefixes of its source.

    Names are spelled out here because ElementTree takes prefixes from a table of the whole process.
    """
    used = {_XML: "xml"}

    def spelled(name: str) -> str:
        namespace, brace, local = name[1:].rpartition("}")
        if not brace:
            return name
        if namespace not in used:
            wanted = prefixes.get(namespace) or _PREFIXES.get(namespace) or f"ns{len(used)}"
            used[namespace] = f"{wanted}{len(used)}" if wanted in used.values() else wanted
        return f"{used[namespace]}:{local}"

    for node in root.iter():
        node.tag = spelled(node.tag)
        node.attrib = {spelled(name): value for name, value in node.attrib.items()}
    del used[_XML]
    root.attrib |= {f"xmlns:{prefix}": namespace for namespace, prefix in used.items()}
    return f"{_HEAD}{ElementTree.tostring(root, encoding='unicode')}{_END}".encode()
