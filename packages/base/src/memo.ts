/** Longer texts are computed each time: others choose them, and thousands of them may be remembered. UTF-16 units. */
const MAX_KEY_LENGTH = 1024

/**
 * Remembers the answers of a pure function for arguments that recur, such as the few peer ids in millions of pins.
 *
 * @param limit answers kept; at the limit all are forgotten, which costs one recomputation of each.
 */
export function memoize<K, V>(limit: number, compute: (key: K) => V): (key: K) => V {
  const known = new Map<K, V>()
  return key => {
    const hit = known.get(key)
    if (hit !== undefined) return hit
    const value = compute(key)
    if (typeof key === 'string' && key.length > MAX_KEY_LENGTH) return value
    if (known.size >= limit) known.clear()
    known.set(key, value)
    return value
  }
}
