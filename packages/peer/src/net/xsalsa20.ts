/** XSalsa20 (Bernstein, "Extending the Salsa20 nonce", 2011): the cipher of libp2p's private networks. */
import { DATA_OFFSET, instantiateSalsa, STATE_OFFSET, STEP_BYTES, type SalsaModule } from './salsa20-wasm.ts'

export const KEY_BYTES = 32
export const NONCE_BYTES = 24
const BLOCK_BYTES = 64
/** What is encrypted in one go, at most. */
const GO_BYTES = 64 * 1024
/** "expand 32-byte k" */
const CONSTANTS = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574] as const

/** A stream of bytes; both directions are the same operation. */
export interface StreamCipher {
  /** Encrypts what comes next, into memory of its own or into `target`, which may be `input` itself. */
  update(input: Uint8Array, target?: Uint8Array): Uint8Array
}

/** Encrypts whole blocks. */
export interface SalsaEngine {
  /** Bytes from `position` of the key stream on, applied to `data` from its start on. */
  encrypt(state: Uint32Array, position: number, data: Uint8Array, target: Uint8Array): void
}

/** As fast as this process can. */
export const fastestEngine: () => SalsaEngine = once(() => {
  const module = instantiateSalsa(GO_BYTES + STEP_BYTES)
  return module === undefined ? plainEngine : vectorEngine(module)
})

export function createXsalsa20(
  key: Uint8Array,
  nonce: Uint8Array,
  engine: SalsaEngine = fastestEngine(),
): StreamCipher {
  const state = salsaState(hsalsa20(key, nonce.subarray(0, 16)), nonce.subarray(16, NONCE_BYTES))
  let position = 0
  return {
    update(input, target = Buffer.allocUnsafe(input.length)) {
      for (let start = 0; start < input.length; start += GO_BYTES) {
        const part = input.subarray(start, start + GO_BYTES)
        engine.encrypt(state, position, part, target.subarray(start, start + GO_BYTES))
        position += part.length
      }
      return target
    },
  }
}

/** One module does the work of all connections, as each call ends before the next begins. */
function vectorEngine({ memory, encrypt }: SalsaModule): SalsaEngine {
  const words = new DataView(memory.buffer, STATE_OFFSET, BLOCK_BYTES)
  return {
    encrypt(state, position, data, target) {
      for (let i = 0; i < state.length; i++) words.setUint32(4 * i, state[i] as number, true)
      words.setBigUint64(32, BigInt(Math.floor(position / BLOCK_BYTES)), true)
      const from = DATA_OFFSET + (position % BLOCK_BYTES)
      const to = from + data.length
      memory.set(data, from)
      encrypt(Math.ceil((to - DATA_OFFSET) / STEP_BYTES))
      target.set(memory.subarray(from, to))
    },
  }
}

/** Without WebAssembly: several times slower. */
export const plainEngine: SalsaEngine = {
  encrypt(state, position, data, target) {
    const block = new Uint8Array(BLOCK_BYTES)
    const words = new DataView(block.buffer)
    let skip = position % BLOCK_BYTES
    let counter = Math.floor(position / BLOCK_BYTES)
    const input = Uint32Array.from(state)
    for (let done = 0; done < data.length; counter++) {
      input[8] = counter
      input[9] = Math.floor(counter / 2 ** 32)
      rounds(input).forEach((word, i) => words.setUint32(4 * i, word + (input[i] as number), true))
      const length = Math.min(BLOCK_BYTES - skip, data.length - done)
      for (let i = 0; i < length; i++) {
        target[done + i] = (data[done + i] as number) ^ (block[skip + i] as number)
      }
      done += length
      skip = 0
    }
  },
}

/** A key for this nonce. */
function hsalsa20(key: Uint8Array, nonce: Uint8Array): Uint8Array {
  const mixed = rounds(arrange(key, nonce))
  const words = new DataView(new ArrayBuffer(KEY_BYTES))
  ;[0, 5, 10, 15, 6, 7, 8, 9].forEach((from, i) => words.setUint32(4 * i, mixed[from] as number, true))
  return new Uint8Array(words.buffer)
}

/** @param nonce of 8 bytes; the counter behind it is 0. */
function salsaState(key: Uint8Array, nonce: Uint8Array): Uint32Array {
  const middle = new Uint8Array(16)
  middle.set(nonce)
  return arrange(key, middle)
}

/** @param middle words 6 to 9. */
function arrange(key: Uint8Array, middle: Uint8Array): Uint32Array {
  const wordsOf = (bytes: Uint8Array) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true))
  }
  const keyWords = wordsOf(key)
  const [c0, c1, c2, c3] = CONSTANTS
  return Uint32Array.of(c0, ...keyWords.slice(0, 4), c1, ...wordsOf(middle), c2, ...keyWords.slice(4), c3)
}

/** The 20 rounds, without the addition at their end. */
function rounds(input: Uint32Array): Uint32Array {
  const x = Uint32Array.from(input)
  const step = (target: number, left: number, right: number, bits: number) => {
    const sum = ((x[left] as number) + (x[right] as number)) | 0
    x[target] = (x[target] as number) ^ ((sum << bits) | (sum >>> (32 - bits)))
  }
  const quarter = (a: number, b: number, c: number, d: number) => {
    step(b, a, d, 7)
    step(c, b, a, 9)
    step(d, c, b, 13)
    step(a, d, c, 18)
  }
  for (let i = 0; i < 10; i++) {
    quarter(0, 4, 8, 12)
    quarter(5, 9, 13, 1)
    quarter(10, 14, 2, 6)
    quarter(15, 3, 7, 11)
    quarter(0, 1, 2, 3)
    quarter(5, 6, 7, 4)
    quarter(10, 11, 8, 9)
    quarter(15, 12, 13, 14)
  }
  return x
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => (made ??= { value: make() }).value
}
