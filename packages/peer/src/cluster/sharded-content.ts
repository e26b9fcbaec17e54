/**
 * Sharded content: the pin of a root (`meta-pin`) refers to a node that lists its shards, and each shard is a pin of its own. How they come into the
 * pinset together, and leave it together (decision 0020; reference wire.md 11).
 */
import { ANY_PIN, cidText, PIN_TYPE_BITS, type Pin } from '@ipfs-cluster/api'
import {
  anySignal,
  errorMessage,
  Limiter,
  mapConcurrent,
  systemRandom,
  toHex,
  type AbortOptions,
  type Clock,
  type Logger,
  type Random,
} from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { ShardedPins } from '../adder/index.ts'
import type { Consensus } from '../consensus/index.ts'
import { listedLinks, readShard, type IpfsConnector } from '../ipfsconn/index.ts'
import { ClusterError, pinNotFound } from './errors.ts'
import { checkUnpin } from './prepare.ts'

/**
 * Metadata of a shard whose content is still being added: whose add it belongs to. With it goes an expiry, so that nothing remains of an add that
 * ended with its peer.
 */
export const ADDING_KEY = 'ipfs-cluster-adding'
/** How long such a shard stays; one that has been there for half of it gets as long again. Seconds. */
const LEASE_SECONDS = 24 * 3_600
const NS_PER_S = 1_000_000_000n
/** How long the list of shards is looked for: every peer keeps it, so it is here unless something is wrong. Milliseconds. */
const LIST_DEADLINE_MS = 30_000
/** Lists read at a time. */
const LISTS_AT_ONCE = 8
/** Shards of one name that are looked at, and for how long each. Milliseconds. */
const MAX_ALIKE = 16
const ALIKE_DEADLINE_MS = 3_000
/** For taking back the shards of an add that failed. Milliseconds. */
const TAKE_BACK_DEADLINE_MS = 30_000

export interface ShardedContentComponents {
  readonly consensus: Pick<Consensus, 'state' | 'logPin' | 'logPins' | 'logUnpins'>
  readonly ipfs: Pick<IpfsConnector, 'blockGet'>
  /** `preparePin` with the peer's defaults. */
  readonly prepare: (pin: Pin, existing: Pin | undefined, now: bigint) => Pin
  /** The prepared pin, whose blocks are stored at its peers, as it enters the pinset. */
  readonly allocated: (prepared: Pin, existing: Pin | undefined) => Pin
  /** @throws where nobody may write. */
  readonly checkWritable: () => void
  readonly onPin: (count: number) => void
  readonly clock: Clock
  readonly logger: Logger
  /** @default systemRandom */
  readonly random?: Random
}

export interface ShardedContent {
  /**
   * The shards of a root, in the order of the content.
   *
   * @throws ClusterError `SHARDS_UNKNOWN` when the list of them cannot be read.
   */
  shardsOf(meta: Pin, options?: AbortOptions): Promise<readonly CID[]>
  /** The pins of one add. */
  begin(): ShardedPins
  /**
   * The pin that a shard has which is being added again: of the same name, after the same one, and beginning with the block whose CID `shard` has
   * for now. The last costs reading its list, and is left out where `isHarmless` says that a mistake is no harm and there is one before it.
   */
  addedBefore(shard: Pin, isHarmless: (pin: Pin) => boolean, options?: AbortOptions): Promise<Pin | undefined>
  /**
   * Unpins a root with its list and those of its shards that no other root has; all of it in one commit.
   *
   * @throws ClusterError `PIN_NOT_FOUND`; `SHARDS_UNKNOWN`, and nothing has changed then.
   */
  unpin(root: CID, options?: AbortOptions): Promise<Pin>
  /**
   * Unpins a shard whose add has come to nothing.
   *
   * @throws ClusterError `UNPIN_SHARD` when it has been committed in the meantime, or `PIN_NOT_FOUND`.
   */
  unpinStray(shard: CID, options?: AbortOptions): Promise<Pin>
}

/** Whether an add that has not ended yet, or ended with its peer, has pinned this shard. */
export function isBeingAdded(pin: Pin): boolean {
  return pin.type === 'shard-pin' && Object.hasOwn(pin.metadata, ADDING_KEY)
}

export function createShardedContent(components: ShardedContentComponents): ShardedContent {
  const { consensus, ipfs, clock } = components
  // Which shards are shared is decided by what is in the pinset: nobody here may change that before it is acted upon.
  const alone = new Limiter(1)

  const shardsOf: ShardedContent['shardsOf'] = async ({ cid, reference }, { signal } = {}) => {
    if (reference === null) throw unknownShards(cid, 'it names no list of its shards')
    try {
      const limited = anySignal(signal, clock.timeout(LIST_DEADLINE_MS))
      const links = listedLinks(await ipfs.blockGet(reference, { signal: limited }))
      if (links === undefined) throw new TypeError('it is not a list of links')
      return links
    } catch (error) {
      signal?.throwIfAborted()
      throw unknownShards(
        cid,
        `the list of its shards, ${reference}, cannot be read (${errorMessage(error)}): ` +
          'bring back a peer that has it, or add the content again',
        error,
      )
    }
  }

  /** What only `meta` needs: its list, and its shards, as far as they are in the pinset. */
  const ownParts = async (meta: Pin, options: AbortOptions): Promise<CID[]> => {
    const parts = new Map<string, CID>()
    for (const part of await shardsOf(meta, options)) parts.set(cidText(part), part)
    if (meta.reference !== null) parts.set(cidText(meta.reference), meta.reference)
    const others = consensus.state.list({ ...options, types: PIN_TYPE_BITS['meta-pin'] })
    const reading = mapConcurrent(others, LISTS_AT_ONCE, async other => {
      if (other.cid.equals(meta.cid) || other.reference === null) return
      parts.delete(cidText(other.reference))
      for (const shard of await shardsOf(other, options)) parts.delete(cidText(shard))
    })
    for await (const _read of reading);
    const cids = [...parts.values()]
    const pins = await consensus.state.getMany(cids)
    return cids.filter((_, i) => pins[i] !== undefined && isPart(pins[i]))
  }

  return {
    shardsOf,
    begin: () => new Adding(components, alone, ownParts),
    async addedBefore({ cid, name, reference }, isHarmless, { signal } = {}) {
      const filter = { ...ANY_PIN, name, match: 'exact' } as const
      const types = PIN_TYPE_BITS['shard-pin']
      const alike = consensus.state.list({ filter, types, limit: MAX_ALIKE, ...(signal && { signal }) })
      for await (const pin of alike) {
        if (cidText(pin.reference ?? pin.cid) !== cidText(reference ?? pin.cid)) continue
        if (reference !== null && isHarmless(pin)) return pin
        const limited = anySignal(signal, clock.timeout(ALIKE_DEADLINE_MS))
        const read = (block: CID) => ipfs.blockGet(block, { signal: limited })
        // One that cannot be read is not recognised: the content then gets places of its own.
        const known = await readShard(pin.cid, read).catch(() => undefined)
        signal?.throwIfAborted()
        if (known?.blocks[0]?.equals(cid) === true) return pin
      }
      return undefined
    },
    unpin: (root, options = {}) =>
      alone.run(async () => {
        components.checkWritable()
        const meta = await consensus.state.get(root)
        if (meta === undefined) throw pinNotFound(root)
        await consensus.logUnpins([...(await ownParts(meta, options)), root], options)
        return meta
      }, options),
    unpinStray: (shard, options = {}) =>
      alone.run(async () => {
        components.checkWritable()
        const pin = await consensus.state.get(shard)
        if (pin === undefined) throw pinNotFound(shard)
        if (!isBeingAdded(pin)) checkUnpin(pin)
        await consensus.logUnpins([shard], options)
        return pin
      }, options),
  }
}

function isPart({ type }: Pin): boolean {
  return type === 'shard-pin' || type === 'clusterdag-pin'
}

function unknownShards(root: CID, why: string, cause?: unknown): ClusterError {
  return new ClusterError(
    `the shards of ${root} are not known: ${why}; nothing was changed`,
    { code: 'SHARDS_UNKNOWN', cid: root.toString() },
    { cause },
  )
}

/** The pins of one add. */
class Adding implements ShardedPins {
  readonly #components: ShardedContentComponents
  readonly #alone: Limiter
  readonly #ownParts: (meta: Pin, options: AbortOptions) => Promise<CID[]>
  readonly #id: string
  /** In order, as they will be in the end. */
  readonly #shards: Pin[] = []
  /** Of these, the ones that are in the pinset because of us. */
  #leased: Pin[] = []
  #leasedAt = 0n
  #committed = false

  constructor(
    components: ShardedContentComponents,
    alone: Limiter,
    ownParts: (meta: Pin, options: AbortOptions) => Promise<CID[]>,
  ) {
    this.#components = components
    this.#alone = alone
    this.#ownParts = ownParts
    this.#id = toHex((components.random ?? systemRandom).bytes(8))
  }

  async keep(shard: Pin, options: AbortOptions = {}): Promise<void> {
    const { consensus, clock, prepare, allocated, checkWritable, onPin } = this.#components
    checkWritable()
    await this.#renew(options)
    const existing = await consensus.state.get(shard.cid)
    const now = clock.nowNs()
    const placed = allocated(prepare(this.#leaseOf(shard, now), existing, now), existing)
    this.#shards.push(shard)
    // Other content has it: what fails here must not take it away from there.
    if (existing !== undefined && !isBeingAdded(existing)) return
    await consensus.logPin(placed, options)
    if (this.#leased.length === 0) this.#leasedAt = now
    this.#leased.push(placed)
    onPin(1)
  }

  async commit(clusterDag: Pin, meta: Pin, options: AbortOptions = {}): Promise<void> {
    const { consensus, clock, prepare, allocated, checkWritable, onPin } = this.#components
    await this.#alone.run(async () => {
      checkWritable()
      const pins = [...this.#shards, clusterDag, meta]
      const before = await consensus.state.getMany(pins.map(({ cid }) => cid))
      const now = clock.nowNs()
      const placed = pins.map((pin, i) => allocated(prepare(pin, before[i], now), before[i]))
      const former = before.at(-1)
      const obsolete = await this.#partsOfFormer(former, meta, options)
      await consensus.logPins(placed, options)
      this.#committed = true
      onPin(2)
      const kept = new Set(pins.map(({ cid }) => cidText(cid)))
      const unneeded = obsolete.filter(cid => !kept.has(cidText(cid)))
      if (unneeded.length > 0) await consensus.logUnpins(unneeded, options)
    }, options)
  }

  /** The same content cut in another way before: its parts go. */
  async #partsOfFormer(former: Pin | undefined, meta: Pin, options: AbortOptions): Promise<readonly CID[]> {
    if (former === undefined || former.reference === null || meta.reference === null) return []
    if (former.reference.equals(meta.reference)) return []
    try {
      return await this.#ownParts(former, options)
    } catch (error) {
      options.signal?.throwIfAborted()
      const fields = { cid: cidText(meta.cid), error: errorMessage(error) }
      this.#components.logger.warn(
        fields,
        'content is sharded anew, but its former shards cannot be unpinned',
      )
      return []
    }
  }

  #leaseOf(shard: Pin, now: bigint): Pin {
    // Whole seconds, as the pinset keeps them.
    const expireAt = (now / NS_PER_S + BigInt(LEASE_SECONDS)) * NS_PER_S
    return { ...shard, expireAt, metadata: { ...shard.metadata, [ADDING_KEY]: this.#id } }
  }

  async #renew(options: AbortOptions): Promise<void> {
    const { consensus, clock } = this.#components
    const now = clock.nowNs()
    if (this.#leased.length === 0 || now - this.#leasedAt < (BigInt(LEASE_SECONDS) * NS_PER_S) / 2n) return
    const renewed = this.#leased.map(pin => this.#leaseOf(pin, now))
    await consensus.logPins(renewed, options)
    this.#leased = renewed
    this.#leasedAt = now
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#committed || this.#leased.length === 0) return
    const { consensus, clock, logger } = this.#components
    const leased = this.#leased
    this.#leased = []
    try {
      await this.#alone.run(async () => {
        const cids = leased.map(({ cid }) => cid)
        const pins = await consensus.state.getMany(cids)
        // Another add of the same content may have them by now.
        const ours = cids.filter((_, i) => pins[i]?.metadata[ADDING_KEY] === this.#id)
        if (ours.length > 0) await consensus.logUnpins(ours, { signal: clock.timeout(TAKE_BACK_DEADLINE_MS) })
      })
    } catch (error) {
      logger.warn(
        { shards: leased.length, error: errorMessage(error) },
        'the shards of an add that failed could not be unpinned; they expire within a day',
      )
    }
  }
}
