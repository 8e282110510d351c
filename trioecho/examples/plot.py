"""A live plot: a sensor in a trio program, and a page that draws it in every browser that opens it."""

import math
import random

import trio

import trioecho

PORT = 7890

PAGE = b"""<!doctype html><title>Live</title><canvas width="800" height="300"></canvas>
<script>
const canvas = document.querySelector("canvas"), pen = canvas.getContext("2d"), values = []
const socket = new WebSocket(`ws://${location.host}/sensor?last=100`)
socket.onmessage = ({ data }) => {
  values.push(Number(data))
  if (values.length > 200) values.shift()
  pen.clearRect(0, 0, 800, 300)
  pen.beginPath()
  values.forEach((value, at) => pen.lineTo(at * 4, 150 - value * 100))
  pen.stroke()
}
</script>"""


async def page(request: trioecho.Request) -> trioecho.Response:
    return trioecho.Response(200, PAGE, "text/html; charset=utf-8")


async def sensor(hub: trioecho.Hub) -> None:
    while True:
        value = math.sin(trio.current_time()) + random.gauss(0, 0.1)
        await hub.publish("/sensor", f"{value:.3f}")
        await trio.sleep(0.1)


async def main() -> None:
    async with trioecho.open_hub(when_slow="drop-oldest") as hub, trio.open_nursery() as nursery:
        nursery.start_soon(sensor, hub)
        print(f"Open http://127.0.0.1:{PORT}/plot", flush=True)
        await trioecho.serve(hub=hub, port=PORT, http_handlers={"/plot": page})


if __name__ == "__main__":
    trio.run(main)
