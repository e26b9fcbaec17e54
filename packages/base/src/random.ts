/** The one source of chance. */
export interface Random {
  /** Uniform in [0, 1). */
  float(): number
  /** Uniform integer in [0, limit). */
  int(limit: number): number
  bytes(length: number): Uint8Array
}

/** The system's chance; `bytes` is fit for keys. */
export const systemRandom: Random = {
  float: () => Math.random(),
  int: limit => Math.floor(Math.random() * limit),
  bytes: length => crypto.getRandomValues(new Uint8Array(length)),
}

/** Repeatable chance from a seed (mulberry32); for tests and simulations, never for keys. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const float = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const int = (limit: number) => Math.floor(float() * limit)
  return { float, int, bytes: length => Uint8Array.from({ length }, () => int(256)) }
}

/** A new array in random order. */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const out = [...items]
  for (let i = out.length - 1; i > 0; i--) {
    const j = random.int(i + 1)
    ;[out[i], out[j]] = [out[j] as T, out[i] as T]
  }
  return out
}
