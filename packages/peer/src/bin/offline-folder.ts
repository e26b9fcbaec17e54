import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode, systemClock, type JournaledStore } from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import { loadServiceConfig, lockFolder, locked, STORE_FOLDER, type ServiceConfig } from '../config/index.ts'
import { settleStore } from '../state/index.ts'
import { step, type CommandIo } from './io.ts'

/** A config folder in which no peer runs, and in which none can start before disposal. */
export interface OfflineFolder extends AsyncDisposable {
  readonly service: ServiceConfig
  readonly storePath: string
  /** Fires when the program is told to stop. */
  readonly signal: AbortSignal
  open(): Promise<JournaledStore & AsyncDisposable>
}

/**
 * Takes the folder for a command that works without a peer.
 *
 * @param check throws when the command has nothing to do with such a configuration.
 * @throws CommandError in Go's words: there is no configuration, or another process has the lock.
 */
export async function takeFolder(
  folder: string,
  io: CommandIo,
  check: (service: ServiceConfig) => void,
): Promise<OfflineFolder> {
  const env = { env: io.env, hostname: io.hostname, clock: systemClock }
  const service = await step('loading configurations', () => loadServiceConfig(folder, env))
  check(service)
  await step('creating datastore', () => checkDatastore(service))
  await using stack = new AsyncDisposableStack()
  const stop = new AbortController()
  stack.use(io.onSignal(name => stop.abort(new Error(`stopped by ${name}`))))
  stack.use(await step('obtaining execution lock', () => lockFolder(folder, io.pid)))
  const storePath = join(folder, STORE_FOLDER)
  await step('opening datastore', () => settleStore(storePath))
  const owned = stack.move()
  return {
    service,
    storePath,
    signal: stop.signal,
    open: () => openStore(folder, storePath),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function openStore(folder: string, path: string): Promise<JournaledStore & AsyncDisposable> {
  try {
    return await step('opening datastore', () => openLevelStore(path))
  } catch (error) {
    if (errorCode(error instanceof Error ? error.cause : error) !== 'STORE_LOCKED') throw error
    return await step('obtaining execution lock', () =>
      Promise.reject(locked(join(folder, 'cluster.lock'), error)),
    )
  }
}

/**
 * One of Go's datastores must be named although none is used here: a file with none or several is as wrong as it is to a Go peer.
 *
 * @throws Error
 */
export function checkDatastore({ consensus, datastore }: ServiceConfig): void {
  const named = Object.entries(datastore).filter(([, section]) => section !== undefined)
  if (consensus.crdt === undefined || named.length === 1) return
  throw new Error(
    'unknown datastore: name exactly one of "pebble", "badger3", "badger" and "leveldb" in the datastore section of service.json',
  )
}

const GO_STORES = ['pebble', 'badger3', 'badger', 'leveldb']

/** Folders in which a Go peer has left its datastore, which this implementation does not read. */
export function goStoresIn(folder: string, { datastore }: ServiceConfig): string[] {
  const configured = Object.values(datastore).map(each => each?.folder ?? '')
  const names = new Set([...GO_STORES, ...configured])
  return [...names].filter(name => name !== '' && existsSync(join(folder, name)))
}
