/**
 * Salsa20 as a WebAssembly module that works on four blocks at a time, a lane of 32 bits of every vector for each. The module is put together here
 * from its instructions (WebAssembly 2.0, binary format), so that nothing has to be compiled beforehand.
 */

/** Where the caller puts the 16 words of the state, little-endian; the block counter is words 8 and 9. */
export const STATE_OFFSET = 0
/** The 16 words of the state, each four times. */
const LANES_OFFSET = 64
/** Where the caller puts what is to be encrypted, and finds it encrypted. */
export const DATA_OFFSET = 1024
/** Bytes of four blocks. */
export const STEP_BYTES = 256
const BLOCK_BYTES = 64
const VECTOR_BYTES = 16
const DOUBLE_ROUNDS = 10
const PAGE_BYTES = 65_536

export interface SalsaModule {
  readonly memory: Uint8Array
  /** Encrypts `steps` times four blocks from `DATA_OFFSET`, with the state at `STATE_OFFSET`, which stays as it is. */
  readonly encrypt: (steps: number) => void
}

/** @param dataBytes room for data. `undefined` where there is no WebAssembly with vectors. */
export function instantiateSalsa(dataBytes: number): SalsaModule | undefined {
  try {
    const bytes = moduleBytes(Math.ceil((DATA_OFFSET + dataBytes) / PAGE_BYTES))
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes))
    const { memory, encrypt } = exports as { memory: WebAssembly.Memory; encrypt: (steps: number) => void }
    return { memory: new Uint8Array(memory.buffer), encrypt }
  } catch {
    // A processor without these vectors, or a process that may not compile: the caller has another way.
    return undefined
  }
}

const TYPE = { i32: 0x7f, i64: 0x7e, v128: 0x7b } as const

/** Its one function: parameter `steps`, result none. */
function moduleBytes(pages: number): Uint8Array<ArrayBuffer> {
  const name = (text: string) => vector(text.length, new TextEncoder().encode(text))
  const body = encryptCode()
  const magic = [0x00, 0x61, 0x73, 0x6d]
  const version = [1, 0, 0, 0]
  return Uint8Array.from(
    code(
      magic,
      version,
      section(1, vector(1, code(0x60, vector(1, [TYPE.i32]), vector(0, [])))),
      section(3, vector(1, [0])),
      section(5, vector(1, code(1, unsigned(pages), unsigned(pages)))),
      section(7, vector(2, code(name('memory'), 2, 0, name('encrypt'), 0, 0))),
      section(10, vector(1, vector(body.length, body))),
    ),
  )
}

const LOCAL = { steps: 0, at: 1, rounds: 2, counter: 3, word: 4, sum: 20, spare: 21 } as const
const COUNTER_LOW = 8
const COUNTER_HIGH = 9

function encryptCode(): number[] {
  return code(
    vector(4, [2, TYPE.i32, 1, TYPE.i64, 16, TYPE.v128, 4, TYPE.v128]),
    words(i => code(constant(0), constant(0), loadWord(STATE_OFFSET + 4 * i), splat, storeLanes(i))),
    code(constant(0), loadLong(STATE_OFFSET + 4 * COUNTER_LOW), set(LOCAL.counter)),
    code(constant(DATA_OFFSET), set(LOCAL.at)),
    loop(
      countLanes(),
      words(i => code(constant(0), loadLanes(i), set(LOCAL.word + i))),
      code(constant(DOUBLE_ROUNDS), set(LOCAL.rounds)),
      loop(doubleRound(), countDown(LOCAL.rounds)),
      words(i => code(get(LOCAL.word + i), constant(0), loadLanes(i), add, set(LOCAL.word + i))),
      [0, 4, 8, 12].flatMap(encryptRow),
      code(get(LOCAL.at), constant(STEP_BYTES), I32_ADD, set(LOCAL.at)),
      code(get(LOCAL.counter), I64_CONST, 4, I64_ADD, set(LOCAL.counter)),
      countDown(LOCAL.steps),
    ),
    END,
  )
}

/** The counters of the next four blocks into the lanes of words 8 and 9. */
function countLanes(): number[] {
  const long = (value: number) => [value, 0, 0, 0, 0, 0, 0, 0]
  const pair = (first: number) =>
    code(get(LOCAL.counter), longSplat, simd(0x0c), long(first), long(first + 1), longAdd)
  const both = code(get(LOCAL.sum), get(LOCAL.spare))
  return code(
    code(pair(0), set(LOCAL.sum), pair(2), set(LOCAL.spare)),
    code(constant(0), both, shuffle(0, 2, 4, 6), storeLanes(COUNTER_LOW)),
    code(constant(0), both, shuffle(1, 3, 5, 7), storeLanes(COUNTER_HIGH)),
  )
}

/** Columns, then rows (specification of Salsa20, 2005). */
function doubleRound(): number[] {
  const columns = [
    [0, 4, 8, 12],
    [5, 9, 13, 1],
    [10, 14, 2, 6],
    [15, 3, 7, 11],
  ] as const
  const rows = [
    [0, 1, 2, 3],
    [5, 6, 7, 4],
    [10, 11, 8, 9],
    [15, 12, 13, 14],
  ] as const
  // Step by step for all four, as the steps of one wait for each other.
  return [columns, rows].flatMap(quarters =>
    code(
      quarters.flatMap(([a, b, , d]) => step(b, a, d, 7)),
      quarters.flatMap(([a, b, c]) => step(c, b, a, 9)),
      quarters.flatMap(([, b, c, d]) => step(d, c, b, 13)),
      quarters.flatMap(([a, , c, d]) => step(a, d, c, 18)),
    ),
  )
}

/** `target ^= (left + right) <<< bits` */
function step(target: number, left: number, right: number, bits: number): number[] {
  const word = LOCAL.word + target
  return code(
    code(get(LOCAL.word + left), get(LOCAL.word + right), add, tee(LOCAL.sum)),
    code(constant(bits), shiftLeft, get(word), xor),
    code(get(LOCAL.sum), constant(32 - bits), shiftRight, xor, set(word)),
  )
}

/** Four words of four blocks: from a vector for each word to one for each block, and those into the data. */
function encryptRow(first: number): number[] {
  const word = (i: number) => get(LOCAL.word + first + i)
  const [low1, low2, high1, high2] = [LOCAL.sum, LOCAL.spare, LOCAL.spare + 1, LOCAL.spare + 2] as const
  const into = (block: number, vectors: readonly number[]) => {
    const offset = unsigned(block * BLOCK_BYTES + first * 4)
    const at = get(LOCAL.at)
    return code(at, at, simd(0x00), 0, offset, vectors, xor, simd(0x0b), 0, offset)
  }
  const pair = (left: number, right: number, chosen: number[]) => code(get(left), get(right), chosen)
  return code(
    code(word(0), word(1), shuffle(0, 4, 1, 5), set(low1), word(2), word(3), shuffle(0, 4, 1, 5), set(low2)),
    code(
      word(0),
      word(1),
      shuffle(2, 6, 3, 7),
      set(high1),
      word(2),
      word(3),
      shuffle(2, 6, 3, 7),
      set(high2),
    ),
    into(0, pair(low1, low2, shuffle(0, 1, 4, 5))),
    into(1, pair(low1, low2, shuffle(2, 3, 6, 7))),
    into(2, pair(high1, high2, shuffle(0, 1, 4, 5))),
    into(3, pair(high1, high2, shuffle(2, 3, 6, 7))),
  )
}

const END = 0x0b
const I32_ADD = 0x6a
const I64_CONST = 0x42
const I64_ADD = 0x7c

const simd = (operation: number) => [0xfd, ...unsigned(operation)]
const splat = simd(0x11)
const longSplat = simd(0x12)
const xor = simd(0x51)
const shiftLeft = simd(0xab)
const shiftRight = simd(0xad)
const add = simd(0xae)
const longAdd = simd(0xce)

/** Words of two vectors: 0 to 3 of the first, 4 to 7 of the second. */
function shuffle(...chosen: readonly [number, number, number, number]): number[] {
  return code(
    simd(0x0d),
    chosen.flatMap(word => [0, 1, 2, 3].map(byte => 4 * word + byte)),
  )
}

const get = (local: number) => [0x20, local]
const set = (local: number) => [0x21, local]
const tee = (local: number) => [0x22, local]
const constant = (value: number) => [0x41, ...signed(value)]
const loadWord = (offset: number) => [0x28, 0, ...unsigned(offset)]
const loadLong = (offset: number) => [0x29, 0, ...unsigned(offset)]
const loadLanes = (word: number) => code(simd(0x00), 0, unsigned(LANES_OFFSET + word * VECTOR_BYTES))
const storeLanes = (word: number) => code(simd(0x0b), 0, unsigned(LANES_OFFSET + word * VECTOR_BYTES))
const words = (make: (word: number) => number[]) => Array.from({ length: 16 }, (_, i) => make(i)).flat()
/** As long as its body leaves something other than 0. */
const loop = (...body: readonly (readonly number[])[]) => code(0x03, 0x40, body.flat(), 0x0d, 0, END)
const countDown = (local: number) => code(get(local), constant(1), 0x6b, tee(local))

const section = (id: number, content: readonly number[]) => [id, ...vector(content.length, content)]
const vector = (count: number, content: Iterable<number>) => [...unsigned(count), ...content]
/** One after the other. */
const code = (...parts: readonly (number | readonly number[])[]) => parts.flat()

function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)]
}

/** Of numbers that are not negative. */
function signed(value: number): number[] {
  return value < 0x40 ? [value] : [(value & 0x7f) | 0x80, ...signed(value >>> 7)]
}
