/** Keys read by one call of the engine, at most; a larger request is a call of its own. */
const MAX_GROUP_KEYS = 64

type Value = Uint8Array | undefined

interface Waiting {
  readonly keys: readonly Uint8Array[]
  readonly resolve: (values: readonly Value[]) => void
  readonly reject: (error: unknown) => void
}

/**
 * Reads that are asked for in the same turn of the event loop share a call of the engine: going to its thread and back costs ten times as
 * much as reading a row. A read waits for no other that is under way.
 */
export function groupReads(
  getMany: (keys: Uint8Array[]) => Promise<Value[]>,
): (keys: readonly Uint8Array[]) => Promise<readonly Value[]> {
  let waiting: Waiting[] = []
  let count = 0
  const flush = () => {
    const group = waiting
    waiting = []
    count = 0
    void readGroup(getMany, group)
  }
  return keys => {
    if (keys.length > MAX_GROUP_KEYS) return getMany([...keys])
    const { promise, resolve, reject } = Promise.withResolvers<readonly Value[]>()
    if (count + keys.length > MAX_GROUP_KEYS) flush()
    if (waiting.length === 0) setImmediate(() => waiting.length > 0 && flush())
    waiting.push({ keys, resolve, reject })
    count += keys.length
    return promise
  }
}

async function readGroup(
  getMany: (keys: Uint8Array[]) => Promise<Value[]>,
  group: readonly Waiting[],
): Promise<void> {
  try {
    const values = await getMany(group.flatMap(({ keys }) => keys))
    let from = 0
    for (const { keys, resolve } of group) resolve(values.slice(from, (from += keys.length)))
  } catch (error) {
    for (const { reject } of group) reject(error)
  }
}
