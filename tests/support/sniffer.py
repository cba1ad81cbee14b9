"""What went over the loopback interface from one port, as it was on the wire: for whoever needs every reply."""

import os
import socket
import struct
import threading
from typing import Self

import pytest

IP = 0x0800
TCP = 6
SO_RCVBUFFORCE = 33  # linux/socket.h; packet(7)
BUFFER_BYTES = 256 * 1024 * 1024


class Sniffer:
    """Keeps every TCP segment that leaves a port of 127.0.0.1. Needs root."""

    def __init__(self, port: int) -> None:
        if os.getuid() != 0:
            pytest.skip("needs root, to listen to the loopback interface")
        self.port = port
        self._flows: dict[tuple[bytes, int], dict[int, bytes]] = {}
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(IP))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        self._socket.bind(("lo", IP))
        self._socket.settimeout(0.2)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._socket.close()

    def replies(self) -> bytes:
        """All that was sent from the port, one connection after the other; nothing is missing from it."""
        return b"".join(_joined(segments) for segments in self._flows.values())

    def _listen(self) -> None:
        while True:
            try:
                packet, address = self._socket.recvfrom(1 << 17)
            except TimeoutError:
                if self._done.is_set():
                    return
                continue
            if address[2] != socket.PACKET_OUTGOING:  # it is seen leaving and arriving
                self._keep(packet)

    def _keep(self, packet: bytes) -> None:
        header = 4 * (packet[0] & 15)
        if packet[9] != TCP:
            return
        source, target, number = struct.unpack_from("!HHI", packet, header)
        data = packet[header + 4 * (packet[header + 12] >> 4) : struct.unpack_from("!H", packet, 2)[0]]
        if source == self.port and data:
            self._flows.setdefault((packet[16:20], target), {})[number] = data


def _joined(segments: dict[int, bytes]) -> bytes:
    """The segments in order. A gap would mean that the test did not see everything."""
    first = next(iter(segments))
    ordered = sorted((number - first) % (1 << 32) for number in segments)
    joined = b""
    for offset in ordered:
        assert offset <= len(joined), "the sniffer lost a packet"
        joined = joined[:offset] + segments[(first + offset) % (1 << 32)]
    return joined
