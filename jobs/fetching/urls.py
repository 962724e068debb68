"""Which URLs are fetched, what addresses their hosts may have, and how they look in messages.

Catalogues and redirects are untrusted: a URL in them must not make this machine read its own files
or ask the services of its network, such as a cloud's metadata address.
"""

import ipaddress
from urllib.parse import quote, urlsplit, urlunsplit

from shardwriter.object_names import name_parts

_SCHEMES = ("http", "https")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class RefusedUrlError(Exception):
    """A URL that is not fetched, by our own rule."""


def check_url(url: str, *, allow_private_hosts: bool = False) -> None:
    """Refuse a URL that is not fetched, as far as its text tells; no name is looked up.

    Args:
        url: What is to be fetched.
        allow_private_hosts: Whether its host may have an address that is not public.

    Raises:
        RefusedUrlError: not http or https, no host, a login or a control character in it, or a
            host that is a private address.
    """
    if not url.isascii() or not url.isprintable() or " " in url:
        raise RefusedUrlError("the URL has spaces, control or non-ASCII characters: quote them")
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port  # a ValueError if it is none
    except ValueError as err:
        raise RefusedUrlError(f"not a URL: {err}") from err
    if parts.scheme not in _SCHEMES:
        raise RefusedUrlError(f"URLs are fetched by http and https, not by {parts.scheme!r}")
    if not host:
        raise RefusedUrlError(f"{shown(url)} names no host")
    if parts.username is not None or parts.password is not None:
        raise RefusedUrlError(f"{shown(url)} came with a login in it; URLs end up in logs")
    address = _as_address(host)
    if address is not None and not allow_private_hosts:
        check_address(address, host=host)


def check_address(address: str | IpAddress, *, host: str) -> None:
    """Refuse an address of a host that is not public.

    Raises:
        RefusedUrlError: it is private, loopback, link-local (cloud metadata), multicast or
            reserved, also inside an IPv6 address that stands for an IPv4 one.
    """
    if isinstance(address, str):
        address = ipaddress.ip_address(address.partition("%")[0])  # without an interface
    for one in (address, *_inner(address)):
        if not one.is_global or one.is_multicast or one.is_reserved:
            raise RefusedUrlError(
                f"{host} has the address {one}, which is not public; allow private hosts if this "
                "is meant"
            )


def shown(url: str) -> str:
    """Return a URL as messages may show it: without login, query (signatures) and fragment."""
    try:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        place = host if parts.port is None else f"{host}:{parts.port}"
    except ValueError:
        return "a malformed URL"
    return urlunsplit((parts.scheme, place, parts.path, "", ""))


def below(base_url: str, name: str) -> str:
    """Return the URL of a relative name below a folder's URL; the query of the base stays.

    Raises:
        ValueError: the name leaves the folder.
    """
    name = "/".join(name_parts(name))
    parts = urlsplit(base_url)
    path = f"{parts.path.removesuffix('/')}/{quote(name, errors='surrogateescape')}"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def _as_address(host: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _inner(address: IpAddress) -> list[IpAddress]:
    """Return the IPv4 addresses that an IPv6 address stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in inner if one is not None]
