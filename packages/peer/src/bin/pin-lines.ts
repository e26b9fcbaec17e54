/** Pins as `state export` writes and `state import` reads them (Go: `cmdutils/state.go`; reference wire.md 13). */
import {
  encodePin,
  formatTime,
  parseJson,
  pinCodec,
  type PeerId,
  type Pin,
  type Time,
} from '@ipfs-cluster/api'
import { errorMessage } from '@ipfs-cluster/base'
import { MAX_OP_BYTES } from '@ipfs-cluster/crdt'
import { pinKey } from '../state/index.ts'
import { jsonDocuments, JsonStreamError, type JsonDocument } from './json-documents.ts'

const NS_PER_MS = 1_000_000n
const NS_PER_S = 1_000_000_000n
const EXPIRE_AT = ',"expire_at":"'
const TIMESTAMP = ',"timestamp":"'

/** One line of an export, without its end. Go writes the times in the zone of the system. */
export function pinLine(pin: Pin): string {
  // The timestamp is the last field. Before the expiry stands only the name, and quotes inside it are escaped.
  const line = pinCodec.stringify(pin)
  const dated = replaceText(line, line.lastIndexOf(TIMESTAMP) + TIMESTAMP.length, localTime(pin.timestamp))
  return replaceText(dated, dated.indexOf(EXPIRE_AT) + EXPIRE_AT.length, localTime(pin.expireAt))
}

/** Replaces the JSON string, free of escapes, that begins at `start`. */
function replaceText(line: string, start: number, text: string | undefined): string {
  return text === undefined ? line : `${line.slice(0, start)}${text}${line.slice(line.indexOf('"', start))}`
}

/** `undefined` when it is the same as in UTC. */
function localTime(time: Time): string | undefined {
  if (time === null) return undefined
  // Minutes west of UTC at that time; not a whole number before zones were.
  const offset = -new Date(Number(time / NS_PER_MS)).getTimezoneOffset()
  if (offset === 0 || Number.isNaN(offset)) return undefined
  const wall = formatTime(time + BigInt(Math.round(offset * 60)) * NS_PER_S)
  const minutes = Math.trunc(Math.abs(offset))
  const two = (value: number) => value.toString().padStart(2, '0')
  return `${wall.slice(0, -1)}${offset < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
}

/** What replaces a part of every pin. */
export interface PinOverrides {
  /** Replace the pin's when they are above 0. */
  readonly replicationMin: number
  readonly replicationMax: number
  /** Replace the pin's unless empty. */
  readonly allocations: readonly PeerId[]
}

/**
 * Reads concatenated pins. Missing fields have Go's zero values, the CID is required.
 *
 * @throws JsonStreamError that names the line.
 */
export async function* readPins(
  input: AsyncIterable<Uint8Array | string>,
  overrides: PinOverrides,
): AsyncGenerator<Pin> {
  for await (const document of jsonDocuments(input)) yield withOverrides(readPin(document), overrides)
}

function readPin({ text, line }: JsonDocument): Pin {
  try {
    const pin = pinCodec.parse(withLowerKeys(parseJson(text)))
    // A character has at most three bytes: short texts need no look.
    if (text.length > MAX_OP_BYTES / 4) checkSize(pin)
    return pin
  } catch (error) {
    const reason = errorMessage(error)
    throw new JsonStreamError(line + linesBefore(text, reason), reason, { cause: error })
  }
}

/** Go matches keys without regard to case, and the last of several wins. */
function withLowerKeys(json: unknown): unknown {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return json
  const keys = Object.keys(json)
  if (keys.every(key => key === key.toLowerCase())) return json
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key.toLowerCase(), value]))
}

/** The parser counts characters from the beginning of the object. */
function linesBefore(text: string, reason: string): number {
  const position = /at position (\d+)/.exec(reason)?.[1]
  return position === undefined ? 0 : text.slice(0, Number(position)).split('\n').length - 1
}

function checkSize(pin: Pin): void {
  const bytes = encodePin(pin).length + pinKey(pin.cid).length
  if (bytes > MAX_OP_BYTES) throw new RangeError(`a pin of ${bytes} bytes; ${MAX_OP_BYTES} are allowed`)
}

function withOverrides(pin: Pin, { replicationMin, replicationMax, allocations }: PinOverrides): Pin {
  return {
    ...pin,
    ...(replicationMin > 0 ? { replicationFactorMin: replicationMin } : {}),
    ...(replicationMax > 0 ? { replicationFactorMax: replicationMax } : {}),
    ...(allocations.length > 0 ? { allocations } : {}),
  }
}
