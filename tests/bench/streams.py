"""Many slow downloads at once: `streams.py PORT TARGET CREDENTIAL COUNT LENGTH`; prints how many came whole."""

import asyncio
import sys


async def one(port: int, request: bytes, length: int) -> bool:
    """Fetch it over a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    try:
        body = await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        body = error.partial
    writer.close()
    return head.startswith(b"HTTP/1.1 200 ") and len(body) == length


async def main(port: int, target: str, credential: str, count: int, length: int) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {credential}\r\n\r\n".encode()
    whole = await asyncio.gather(*(one(port, request, length) for _ in range(count)))
    print(sum(whole))


asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
