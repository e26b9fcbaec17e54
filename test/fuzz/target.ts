/** What is fuzzed: a name, valid inputs to start from, and a function that accepts an input, refuses it with an error of its own, or fails. */
import type { Random } from '@ipfs-cluster/base'

/** What mutations know of the inputs. */
export type Format = 'bytes' | 'protobuf' | 'msgpack' | 'text' | 'json'

export interface Target {
  readonly name: string
  readonly format: Format
  /** Valid inputs, and others worth starting from. Called once. */
  readonly corpus: () => readonly Uint8Array[]
  /** Pieces that are put into inputs as they are. */
  readonly tokens?: readonly Uint8Array[]
  /**
   * Deals with one input; `false` when it was refused without an error. Whatever it throws that `refusal` does not know is a failure.
   *
   * @param random for what is not in the input, such as the sizes of chunks; the same for the same seed and number of the input.
   */
  readonly run: (input: Uint8Array, random: Random) => boolean | Promise<boolean>
  /** The code of an error with which the target may refuse an input. */
  readonly refusal: (error: unknown) => string | undefined
  /** Largest input. @default 256 KiB */
  readonly maxBytes?: number
  /** The most that an input of n bytes may allocate, garbage included: `perByte` × n + `constant`. */
  readonly allocation?: { readonly perByte: number; readonly constant: number }
  /** Inputs in relation to those of a plain decoder. @default 1 */
  readonly share?: number
}

interface Coded {
  readonly code: string
}

/** Errors of these classes are refusals. */
export function refusedBy(
  ...classes: readonly (abstract new (...args: never[]) => Error & Coded)[]
): Target['refusal'] {
  return error => {
    const known = classes.some(each => error instanceof each)
    return known ? (error as Coded).code : undefined
  }
}

/** For targets that take everything. */
export const neverRefuses: Target['refusal'] = () => undefined

/** A property that does not hold. */
export class PropertyError extends Error {
  override readonly name = 'PropertyError'
}

export function check(holds: boolean, property: string): asserts holds {
  if (!holds) throw new PropertyError(property)
}

/** What was accepted, written and read again, is written the same. */
export function checkStable<T, Written extends Uint8Array | string>(
  value: T,
  write: (value: T) => Written,
  read: (written: Written) => T,
): void {
  const first = write(value)
  const second = write(read(first))
  const same =
    typeof first === 'string' ? first === second : Buffer.compare(first, second as Uint8Array) === 0
  if (!same) throw new PropertyError(`written differently after reading: ${show(first)} then ${show(second)}`)
}

function show(written: Uint8Array | string): string {
  return typeof written === 'string'
    ? written.slice(0, 400)
    : Buffer.from(written).toString('hex').slice(0, 400)
}

/** The input in pieces of random sizes, sometimes of one byte each. */
export function pieces(input: Uint8Array, random: Random): Uint8Array[] {
  const out: Uint8Array[] = []
  const most = [1, 3, 17, 200, 70_000][random.int(5)] as number
  // Many pieces of a large input cost time and show nothing new.
  const least = Math.ceil(input.length / 2_000)
  for (let at = 0; at < input.length;) {
    const end = at + Math.max(least, 1 + random.int(most))
    out.push(input.subarray(at, end))
    at = end
  }
  return out
}
