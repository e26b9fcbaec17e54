/** Maps items in order, some of them at a time; what was begun for those that nobody takes any more is left to end by itself. */
export async function* ahead<T, R>(
  items: AsyncIterable<T>,
  count: number,
  map: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const begun: Promise<R>[] = []
  for await (const item of items) {
    const result = map(item)
    // It may never be awaited, when the consumer leaves before.
    result.catch(() => undefined)
    begun.push(result)
    if (begun.length >= count) yield await (begun.shift() as Promise<R>)
  }
  for (const result of begun) yield await result
}
