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
    if (known.size >= limit) known.clear()
    known.set(key, value)
    return value
  }
}
