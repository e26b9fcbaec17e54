/** What a Node process started with `--inspect` holds: heap, resident memory, handles. */

export interface ProcessSample {
  /** Bytes. */
  readonly heapUsed: number
  readonly rss: number
  /** Timers, sockets and so on, by kind. */
  readonly handles: Readonly<Record<string, number>>
}

/** Asks the process itself, after a full garbage collection. `log` holds the address that it printed. */
export async function inspectProcess(log: string): Promise<ProcessSample> {
  // A restarted process prints another one.
  const url = [...log.matchAll(/ws:\/\/\S+/g)].at(-1)?.[0]
  if (url === undefined) throw new Error('the process has no inspector')
  const socket = new WebSocket(url)
  try {
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve, { once: true })
      socket.addEventListener('error', reject, { once: true })
    })
    let lastId = 0
    const call = async (method: string, params: object = {}) => {
      const id = ++lastId
      const { promise, resolve } = Promise.withResolvers<unknown>()
      const onMessage = ({ data }: MessageEvent) => {
        const answer = JSON.parse(String(data)) as { id?: number; result?: unknown }
        if (answer.id === id) resolve(answer.result)
      }
      socket.addEventListener('message', onMessage)
      socket.send(JSON.stringify({ id, method, params }))
      return await promise
    }
    await call('HeapProfiler.collectGarbage')
    const expression =
      'JSON.stringify({ ...process.memoryUsage(), handles: Object.groupBy(process.getActiveResourcesInfo(), name => name) })'
    const result = (await call('Runtime.evaluate', { expression })) as { result: { value: string } }
    const value = JSON.parse(result.result.value) as {
      heapUsed: number
      rss: number
      handles: Record<string, string[]>
    }
    const handles = Object.fromEntries(
      Object.entries(value.handles).map(([name, list]) => [name, list.length]),
    )
    return { heapUsed: value.heapUsed, rss: value.rss, handles }
  } finally {
    socket.close()
  }
}
