interface Waiting<A, B> {
  readonly item: A
  readonly resolve: (answer: B) => void
  readonly reject: (error: unknown) => void
}

/**
 * Turns a question about many things into one about each: those asked in the same turn of the event loop go together, so that a busy peer
 * asks few times, and one that is not is as quick as before. No question waits for another that is under way.
 *
 * @param limit of one question.
 * @param askMany gives the answers in the order of the items; when it fails, all of them fail.
 */
export function gather<A, B>(
  limit: number,
  askMany: (items: readonly A[]) => Promise<readonly B[]>,
): (item: A) => Promise<B> {
  let waiting: Waiting<A, B>[] = []
  const flush = async () => {
    const group = waiting
    waiting = []
    try {
      const answers = await askMany(group.map(({ item }) => item))
      if (answers.length !== group.length) {
        throw new RangeError(`${answers.length} answers to ${group.length} questions`)
      }
      group.forEach(({ resolve }, i) => resolve(answers[i] as B))
    } catch (error) {
      for (const { reject } of group) reject(error)
    }
  }
  return item => {
    const { promise, resolve, reject } = Promise.withResolvers<B>()
    if (waiting.length >= limit) void flush()
    if (waiting.length === 0) setImmediate(() => waiting.length > 0 && void flush())
    waiting.push({ item, resolve, reject })
    return promise
  }
}

/** What it returns is true once in each turn of the event loop. */
export function firstOfTurn(): () => boolean {
  let isOver = true
  return () => {
    const isFirst = isOver
    if (isFirst) setImmediate(() => (isOver = true))
    isOver = false
    return isFirst
  }
}
