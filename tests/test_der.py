"""Elements written and read again; what is not DER is refused with the module's own error."""

import pytest
from helpers import der

from negotiate_wsgi.wire.der import (
    OID,
    SEQUENCE,
    DerError,
    Reader,
    by_beginning,
    context,
    element,
)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536, 2**20])
def test_what_is_written_is_read(size):
    content = bytes(size)
    written = element(SEQUENCE, content[:3], content[3:])
    assert written == der(SEQUENCE, content)
    reader = Reader(written)
    assert reader.next_is(SEQUENCE)
    assert reader.content(SEQUENCE) == content
    assert reader.is_at_end


def test_a_walk():
    written = element(
        SEQUENCE, element(2, b"\x05"), element(context(0), element(OID, b"abc")), b"end"
    )
    reader = Reader(written).enter(SEQUENCE)
    assert reader.integer() == 5
    assert reader.next_is(context(0))
    assert not reader.next_is(OID)
    inner = reader.enter(context(0))
    assert inner.content(OID) == b"abc"
    inner.finish()
    with pytest.raises(DerError, match="more elements"):
        reader.finish()
    reader.bare(b"end")
    reader.finish()


@pytest.mark.parametrize(
    ("content", "number"),
    [
        (b"\0", 0),
        (b"\x7f", 127),
        (b"\xff", -1),
        (b"\0\xff", 255),
        (bytes(7) + b"\1", 1),
    ],
)
def test_integers(content, number):
    assert Reader(element(2, content)).integer() == number


@pytest.mark.parametrize("content", [b"", bytes(9)], ids=["empty", "72 bits"])
def test_integers_that_are_none(content):
    with pytest.raises(DerError):
        Reader(element(2, content)).integer()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x31\x00",
        b"\x30\x01",
        b"\x30\x80\x00\x00",
        b"\x30\x81",
        b"\x30\x81\x7f" + bytes(127),
        b"\x30\x82\x00\xff" + bytes(255),
        b"\x30\x84\x00\x00\x00\x01\x00",
        b"\x30\xff" + bytes(300),
    ],
    ids=["nothing", "no length", "another tag", "cut off", "no definite length", "length cut off",
         "a long form for 127", "a leading zero", "four octets", "127 octets"],
)  # fmt: skip
def test_what_is_not_der(data):
    for read in (Reader.enter, Reader.content, Reader.skip):
        reader = Reader(data)
        with pytest.raises(DerError):
            read(reader, SEQUENCE)
        assert reader.at == 0


def test_an_element_does_not_reach_beyond_what_it_is_in():
    outer = Reader(b"\x30\x02\x04\x05hello")
    with pytest.raises(DerError, match="longer than what it is in"):
        outer.enter(SEQUENCE).skip(4)
    with pytest.raises(DerError, match="other bytes"):
        Reader(b"ab", end=1).bare(b"ab")


def test_a_beginning_is_read_once():
    calls = []

    @by_beginning
    def read(token):
        calls.append(token)
        return token[:70], 70

    alike = [bytes(70) + tail for tail in (b"a", b"b", b"c")]
    assert [read(token) for token in alike] == [bytes(70)] * 3
    assert calls == alike[:1]
    other = bytes(69) + b"\1a"  # differs behind what says which slot
    assert read(other) == other[:70]
    assert read(bytes(70) + b"longer") == bytes(70)
    assert len(calls) == 3


def test_what_is_not_to_be_remembered_is_read_again():
    calls = []

    @by_beginning
    def read(token):
        calls.append(token)
        return None, len(calls) // 2 * 2000

    for _ in range(4):  # nothing looked at, or more than is kept
        assert read(b"token") is None
    assert len(calls) == 4
