import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.fetching.urls import RefusedUrlError, below, check_address, check_url, shown


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/a.wav",
        "data:audio/wav;base64,AAAA",
        "/etc/passwd",
        "--exec=touch",
        "https://",
        "https:///path",
        "https://example.org:port/",
        "https://example.org/a b",
        "https://example.org/a\r\nHost: other",
        "https://[::1",
        "https://b\u00fccher.example/",
    ],
)
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    with pytest.raises(RefusedUrlError):
        check_url(url, allow_private_hosts=True)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",  # metadata of most clouds
        "100.100.100.200",  # of another one, in the range of carriers
        "0.0.0.0",
        "224.0.0.1",
        "[::1]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ],
)
def test_an_address_that_is_not_public_is_refused_unless_allowed(host: str) -> None:
    with pytest.raises(RefusedUrlError, match="not public"):
        check_url(f"http://{host}/a.wav")
    check_url(f"http://{host}/a.wav", allow_private_hosts=True)


def test_public_addresses_and_names_pass() -> None:
    check_url("https://example.org/a%20b.wav?x=1")
    check_url("http://8.8.8.8:8080/a.wav")
    check_address("2001:4860:4860::8888", host="dns")


@given(st.ip_addresses())
def test_only_addresses_that_python_calls_global_pass(address) -> None:
    try:
        check_address(address, host="made up")
    except RefusedUrlError:
        return
    assert address.is_global
    assert not address.is_multicast


def test_a_login_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(RefusedUrlError) as caught:
        check_url("https://me:hunter2@example.org/a.wav")
    assert "hunter2" not in str(caught.value)
    assert "me" not in str(caught.value).split("example.org")[0].split()[0]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://me:pw@example.org:8443/a?sig=abc#part", "https://example.org:8443/a"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("http://[", "a malformed URL"),
    ],
)
def test_messages_show_neither_logins_nor_signatures(url: str, expected: str) -> None:
    assert shown(url) == expected


def test_names_are_quoted_below_a_folder() -> None:
    url = below("https://example.org/set/?token=x", "a/b c#1?.wav")
    assert url == "https://example.org/set/a/b%20c%231%3F.wav?token=x"


@pytest.mark.parametrize("name", ["../secret", "a/../../b", "/etc/passwd", "a\\b", "", "."])
def test_a_name_that_leaves_the_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        below("https://example.org/set", name)


@given(st.text(max_size=30))
def test_whatever_a_name_holds_its_url_lies_below_the_folder(name: str) -> None:
    try:
        url = below("https://example.org/set", name)
    except ValueError:
        return
    check_url(url)
    assert url.startswith("https://example.org/set/")
    assert not {"..", "."} & set(url.split("/"))
    assert "?" not in url
    assert "#" not in url
