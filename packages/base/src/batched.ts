/**
 * A listing that arises in batches. Iterating it gives the items one by one; whoever handles millions of them takes the batches, because
 * each item that passes through an asynchronous iterator costs more than most of what is done with it.
 */
export class Batched<T> implements AsyncIterable<T> {
  readonly batches: AsyncIterable<readonly T[]>

  constructor(batches: AsyncIterable<readonly T[]>) {
    this.batches = batches
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for await (const batch of this.batches) yield* batch
  }
}

/** The batches of a listing that has them, else batches of one. */
export async function* batchesOf<T>(items: AsyncIterable<T>): AsyncGenerator<readonly T[]> {
  if (items instanceof Batched) yield* (items as Batched<T>).batches
  else for await (const item of items) yield [item]
}

/** A listing of what `change` makes of each batch. */
export function mapBatches<T, U>(
  batches: AsyncIterable<readonly T[]>,
  change: (batch: readonly T[]) => readonly U[] | Promise<readonly U[]>,
): Batched<U> {
  return new Batched(changed(batches, change))
}

async function* changed<T, U>(
  batches: AsyncIterable<readonly T[]>,
  change: (batch: readonly T[]) => readonly U[] | Promise<readonly U[]>,
): AsyncGenerator<readonly U[]> {
  for await (const batch of batches) {
    const out = await change(batch)
    if (out.length > 0) yield out
  }
}

/**
 * Takes at most `depth` items more than the consumer has asked for, so that making them and using them overlap. A failure comes after the
 * items before it. Leaving early returns the source.
 */
export async function* readAhead<T>(source: AsyncIterable<T>, depth: number): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]()
  const waiting: Promise<IteratorResult<T>>[] = []
  const ask = () => {
    const step = iterator.next()
    // Whoever takes it sees it fail; nobody may, when the consumer leaves.
    step.catch(() => undefined)
    waiting.push(step)
  }
  try {
    while (true) {
      while (waiting.length <= depth) ask()
      const step = await (waiting.shift() as Promise<IteratorResult<T>>)
      if (step.done === true) return
      yield step.value
    }
  } finally {
    await iterator.return?.()
  }
}
