"""Many slow downloads at once: `streams.py PORT TARGET CREDENTIAL COUNT LENGTH`; prints how many came whole.

They begin within a second, one after the other. Begun together, they stay together: nginx's limit of a rate sends a part to
all of them in the same moment of each second, and a small request waits for that at nginx, whoever is in between.
"""

import asyncio
import sys


async def one(port: int, request: bytes, length: int, delay: float) -> bool:
    """Fetch it over a connection of its own, after some seconds."""
    await asyncio.sleep(delay)
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
    whole = await asyncio.gather(*(one(port, request, length, number / count) for number in range(count)))
    print(sum(whole))


asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
