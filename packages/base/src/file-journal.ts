/**
 * The journal of a `LevelStore`: two files that are written from their beginnings again and again, so that with a record the file system has nothing to write
 * but the record: no new length, no journal of its own. LevelDB leaves alone what is not named like its own files.
 *
 * A record: length of the payload (4 bytes, little-endian) · crc32 of the rest (4) · number (8) · payload. What an earlier round left behind the last
 * record has a lower number or begins in the middle of one, and so ends the reading, as does a record that was cut off.
 */
import { Buffer } from 'node:buffer'
import { constants, fdatasync, fdatasyncSync, ftruncateSync, writeSync } from 'node:fs'
import { open, readFile, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { crc32 } from 'node:zlib'
import type { Clock } from './clock.ts'
import { errorCode } from './errors.ts'
import type { AppendOptions, Journal, JournalRecord } from './journal.ts'
import { toStoreError } from './level-errors.ts'
import { syncFolder } from './sync-folder.ts'

const NAMES = ['journal-0', 'journal-1'] as const
/** Laid when a file is made; longer, the other one is gone on with as soon as nothing in it is needed. Bytes. */
export const PART_BYTES = 256 * 1024
/** What is longer is cut to `PART_BYTES` once nothing in it is needed. Bytes. */
const LONG_BYTES = 2 * PART_BYTES
const HEADER_BYTES = 16
const NUMBER_AT = 8
/** Syncing takes no longer on average where it is done on the event loop: the way to a thread and back costs half as much. Milliseconds. */
const QUICK_MS = 0.4
/** Weight of the latest sync in the average. After one that took a second it takes some 50 quick ones to trust the disk again. */
const LATEST_SHARE = 1 / 8
/** Not quick before it has been seen. */
const FIRST_MS = 1

const syncInThread = promisify(fdatasync)
/** Made if it is not there, and never appended to: a record begins where the one before it ends. */
const WRITE_ANYWHERE = constants.O_RDWR | constants.O_CREAT

interface Part {
  readonly path: string
  /** Once it has been written to. */
  file: FileHandle | undefined
  /** Of the last record. */
  end: number
  /** Number of the last record. */
  last: number
}

export class FileJournal implements Journal, AsyncDisposable {
  readonly #folder: string
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #parts: readonly Part[]
  #current: Part
  #left: readonly JournalRecord[]
  #last: number
  #released = 0
  #syncMs = FIRST_MS

  private constructor(
    folder: string,
    clock: Pick<Clock, 'monotonic'>,
    parts: readonly [Part, Part],
    left: JournalRecord[],
  ) {
    this.#folder = folder
    this.#clock = clock
    this.#parts = parts
    this.#current = parts[1].last > parts[0].last ? parts[1] : parts[0]
    this.#left = left.sort((a, b) => a.number - b.number)
    this.#last = this.#current.last
  }

  /** Reads what there is; files are made by the first record. @throws StoreError */
  static async open(folder: string, clock: Pick<Clock, 'monotonic'>): Promise<FileJournal> {
    try {
      const left: JournalRecord[] = []
      const [first, second] = await Promise.all(NAMES.map(name => readPart(join(folder, name), left)))
      return new FileJournal(folder, clock, [first as Part, second as Part], left)
    } catch (error) {
      throw toStoreError(error, folder)
    }
  }

  get left(): readonly JournalRecord[] {
    return this.#left
  }

  async append(payload: Uint8Array, { isAlone = false }: AppendOptions = {}): Promise<number> {
    // A number is not used twice, whatever becomes of the record.
    const number = ++this.#last
    const record = encodeRecord(number, payload)
    try {
      const part = this.#partToWrite()
      part.file ??= await this.#openFile(part)
      await this.#write(part.file.fd, record, part.end, isAlone)
      part.end += record.length
      part.last = number
    } catch (error) {
      throw toStoreError(error, this.#folder)
    }
    return number
  }

  release(number: number): void {
    this.#released = Math.max(this.#released, number)
    this.#last = Math.max(this.#last, number)
    if (this.#left.length > 0) this.#left = this.#left.filter(record => record.number > number)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const part of this.#parts) {
      await part.file?.close()
      part.file = undefined
    }
  }

  /** A part of which nothing is needed is written from its beginning. */
  #partToWrite(): Part {
    const isFree = ({ last }: Part) => last <= this.#released
    const current = this.#current
    const other = this.#parts.find(part => part !== current) as Part
    if (!isFree(current)) {
      if (current.end < PART_BYTES || !isFree(other)) return current
      this.#current = other
    }
    const part = this.#current
    if (part.end > LONG_BYTES && part.file !== undefined) ftruncateSync(part.file.fd, PART_BYTES)
    part.end = 0
    return part
  }

  async #openFile({ path, end }: Part): Promise<FileHandle> {
    const file = await open(path, WRITE_ANYWHERE)
    const { size } = await file.stat()
    if (end === 0 && size > LONG_BYTES) await file.truncate(PART_BYTES)
    if (size >= PART_BYTES) return file
    try {
      await file.write(new Uint8Array(PART_BYTES - size), 0, PART_BYTES - size, size)
      await file.sync()
    } catch {
      // A full disk, say. Records make the file longer then, which costs time alone; the one that cannot tells its author.
    }
    await syncFolder(this.#folder)
    return file
  }

  async #write(fd: number, record: Uint8Array, at: number, isAlone: boolean): Promise<void> {
    try {
      for (let done = 0; done < record.length;) {
        done += writeSync(fd, record, done, record.length - done, at + done)
      }
      const began = this.#clock.monotonic()
      if (isAlone && this.#syncMs < QUICK_MS) fdatasyncSync(fd)
      else await syncInThread(fd)
      this.#syncMs += (this.#clock.monotonic() - began - this.#syncMs) * LATEST_SHARE
    } catch (error) {
      spoil(fd, at)
      throw error
    }
  }
}

/** What was refused should not be found at the next start. */
function spoil(fd: number, at: number): void {
  try {
    writeSync(fd, new Uint8Array(HEADER_BYTES), 0, HEADER_BYTES, at)
  } catch {
    // It was not there, or the disk has gone; the next record is written over it.
  }
}

function encodeRecord(number: number, payload: Uint8Array): Uint8Array {
  const record = Buffer.allocUnsafe(HEADER_BYTES + payload.length)
  record.writeUInt32LE(payload.length, 0)
  record.writeBigUInt64LE(BigInt(number), NUMBER_AT)
  record.set(payload, HEADER_BYTES)
  record.writeUInt32LE(crc32(record.subarray(NUMBER_AT)), 4)
  return record
}

async function readPart(path: string, records: JournalRecord[]): Promise<Part> {
  const part: Part = { path, file: undefined, end: 0, last: 0 }
  const bytes = await readIfThere(path)
  for (let record = readRecord(bytes, 0); record !== undefined; record = readRecord(bytes, part.end)) {
    if (record.number <= part.last) break
    records.push(record)
    part.last = record.number
    part.end += HEADER_BYTES + record.payload.length
  }
  return part
}

async function readIfThere(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return Buffer.alloc(0)
    throw error
  }
}

function readRecord(bytes: Buffer, at: number): JournalRecord | undefined {
  if (at + HEADER_BYTES > bytes.length) return undefined
  const length = bytes.readUInt32LE(at)
  const end = at + HEADER_BYTES + length
  if (length === 0 || end > bytes.length) return undefined
  if (crc32(bytes.subarray(at + NUMBER_AT, end)) !== bytes.readUInt32LE(at + 4)) return undefined
  const number = Number(bytes.readBigUInt64LE(at + NUMBER_AT))
  return { number, payload: new Uint8Array(bytes.subarray(at + HEADER_BYTES, end)) }
}
