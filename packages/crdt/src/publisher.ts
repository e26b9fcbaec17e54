import {
  type AbortOptions,
  type Clock,
  errorMessage,
  firstOfTurn,
  LastingFailure,
  type Logger,
  type StoreOp,
  type TaskScope,
} from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { foldOps, isRemoved, planDeltas } from './commit-plan.ts'
import { cleanKey } from './delta.ts'
import { CrdtError } from './errors.ts'
import { nextHeight } from './heads.ts'
import type { Ledger } from './ledger.ts'
import { MAX_OP_BYTES, MAX_QUEUED_OPS, MIN_RETRY_MS } from './limits.ts'
import { createNode, type CrdtNode, type NodeLink } from './node.ts'
import { NO_ANCHORS, skipLinks, withAnchor } from './skip-links.ts'
import type { CrdtConfig, CrdtOp } from './types.ts'
import { opBytes, type Wal } from './wal.ts'

/** A commit with as many is a node at any time: gathering more would save little, and the journal would be written in vain. */
const GATHERED_OPS = 8
/** In the journal when there are as many, commits wait for the node: more of them would only make it later. Without batching. */
const MOST_GATHERED_OPS = 1000

/** Characters of a key in an error message. */
const SHOWN_KEY = 200

interface Request {
  readonly ops: readonly CrdtOp[]
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export interface PublisherComponents {
  readonly ledger: Ledger
  readonly wal: Wal
  readonly clock: Clock
  readonly logger: Logger
  readonly scope: TaskScope
  /** Told of every durable write: what it took in milliseconds, and its operations. */
  readonly onCommit: (ms: number, ops: number) => void
  /** Tells others of a new head. */
  readonly announce: (head: CID) => void
}

/**
 * Writes of this peer. Requests that arrive while a commit is under way share the next one. A commit is a node, or a record of the write-ahead
 * journal, whose content becomes a node by size or age: with batching, and for the moment after a node (`nodeGapMs`).
 */
export class Publisher {
  readonly #components: PublisherComponents
  readonly #config: CrdtConfig
  readonly #trouble: LastingFailure
  #requests: Request[] = []
  #anchors = NO_ANCHORS
  #requestedOps = 0
  #committing: Promise<void> | undefined
  #flushing: Promise<void> | undefined
  #timerArmed = false
  /** When the latest node was made. */
  #madeAt = Number.NEGATIVE_INFINITY
  #closed = false
  /** In the latest record. */
  #latestRequests = 0
  readonly #isFirstOfTurn = firstOfTurn()

  constructor(components: PublisherComponents, config: CrdtConfig) {
    this.#components = components
    this.#config = config
    this.#trouble = new LastingFailure(components.logger, components.clock)
  }

  /** Makes nodes of what an earlier process acknowledged. Call once, before the first commit. */
  async replay(): Promise<void> {
    await this.#publishQueued()
  }

  async commit(ops: readonly CrdtOp[], { signal }: AbortOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    if (this.#closed) throw closed()
    ops.forEach(checkOp)
    if (ops.length === 0) return
    const queued = this.#requestedOps + this.#components.wal.size
    const limit = this.#config.maxQueuedOps ?? MAX_QUEUED_OPS
    if (queued > 0 && queued + ops.length > limit) {
      throw new CrdtError(`${queued} operations wait to be written, ${limit} are allowed; try again later`, {
        code: 'CRDT_QUEUE_FULL',
        queued,
        limit,
      })
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const request = { ops, resolve, reject }
    const onAbort = () => {
      // A request that is being written can no longer be withdrawn; its caller learns how it ended.
      if (this.#withdraw(request)) reject(signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#requests.push(request)
    this.#requestedOps += ops.length
    this.#committing ??= this.#commitAll()
    try {
      await promise
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Refuses new commits, and waits until what was accepted is written and has become nodes. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#committing
    await this.#flushing
    if (this.#components.wal.size > 0) this.#flush()
    await this.#flushing
  }

  #withdraw(request: Request): boolean {
    const index = this.#requests.indexOf(request)
    if (index < 0) return false
    this.#requests.splice(index, 1)
    this.#requestedOps -= request.ops.length
    return true
  }

  async #commitAll(): Promise<void> {
    // Callers of the same turn of the event loop share the first commit too.
    await Promise.resolve()
    while (this.#requests.length > 0) {
      const group = this.#takeGroup()
      const ops = group.flatMap(request => request.ops)
      const { clock, onCommit } = this.#components
      const start = clock.monotonic()
      try {
        if (this.#isNodeDue(ops)) await this.#publishWithQueued(ops)
        else await this.#append(ops, this.#isAlone(group.length))
        onCommit(clock.monotonic() - start, ops.length)
        for (const request of group) request.resolve()
      } catch (error) {
        for (const request of group) request.reject(error)
      }
    }
    this.#committing = undefined
  }

  /** Whether nobody else seems to write: neither in the record before this one, nor since the event loop turned. */
  #isAlone(requests: number): boolean {
    const isAlone = this.#isFirstOfTurn() && requests === 1 && this.#latestRequests === 1
    this.#latestRequests = requests
    return isAlone
  }

  #takeGroup(): Request[] {
    let count = 0
    let ops = 0
    for (const request of this.#requests) {
      if (count > 0 && ops + request.ops.length > this.#config.maxCommitOps) break
      count++
      ops += request.ops.length
    }
    this.#requestedOps -= ops
    return this.#requests.splice(0, count)
  }

  async #publish(ops: readonly CrdtOp[], extra: readonly StoreOp[] = []): Promise<void> {
    const { ledger, announce, clock } = this.#components
    const effects = foldOps(ops)
    const head = await ledger.exclusive(async () => {
      const rows = await ledger.rows([...effects.keys()])
      const height = nextHeight(ledger.heads)
      const removed = [...effects].filter(([, effect]) => isRemoved(effect, height)).map(([key]) => key)
      const elsewhere = await ledger.liveElsewhere(removed, rows)
      const nodes: CrdtNode[] = []
      let anchors = this.#anchors
      for (const delta of planDeltas(effects, rows, height, this.#config, elsewhere)) {
        const last = nodes.at(-1)
        const parents = last === undefined ? [...ledger.heads.values()] : [last]
        // A head that is an anchor is linked to once.
        const links = new Map(
          [...parents, ...skipLinks(anchors, delta.priority)].map(link => [link.id, link]),
        )
        const node = createNode(delta, [...links.values()])
        anchors = withAnchor(anchors, { ...linkOfNode(node), height: delta.priority })
        nodes.push(node)
      }
      await ledger.apply(nodes, { rows, extra, own: true })
      // Not before they are written: a link to what nobody has would never be fetched.
      this.#anchors = anchors
      return nodes.at(-1)
    })
    if (head === undefined) return
    this.#madeAt = clock.monotonic()
    announce(head.cid)
  }

  async #append(ops: readonly CrdtOp[], isAlone: boolean): Promise<void> {
    await this.#components.wal.append(ops, { isAlone })
    this.#flushAfter(this.#queuedMs())
  }

  /** As many as make a node need not go through the journal. */
  async #publishWithQueued(ops: readonly CrdtOp[]): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing
    const publishing = this.#publishQueued(ops).finally(() => this.#flushed())
    // Whoever waits for it wants to know that it has ended; how it ended is for those who asked.
    this.#flushing = publishing.catch(() => undefined)
    await publishing
  }

  #flushAfter(ms: number): void {
    if (this.#timerArmed || this.#closed || this.#flushing !== undefined) return
    this.#timerArmed = true
    this.#components.scope.run('crdt batch', async signal => {
      await this.#components.clock.sleep(ms, { signal })
      this.#timerArmed = false
      this.#flush()
    })
  }

  #flush(): void {
    this.#flushing ??= this.#flushAll().then(leastMs => this.#flushed(leastMs))
  }

  /** Sees to what has come into the journal meanwhile, or stayed there. */
  #flushed(leastMs = 0): void {
    this.#flushing = undefined
    if (this.#components.wal.size > 0) this.#flushAfter(Math.max(this.#queuedMs(), leastMs))
  }

  /** Makes nodes of what is in the journal; what fails stays there. @returns the least milliseconds before the next attempt. */
  async #flushAll(): Promise<number> {
    try {
      await this.#publishQueued()
      return 0
    } catch (err) {
      const { size } = this.#components.wal
      this.#trouble.failed({ err, ops: size }, `queued operations stay queued: ${errorMessage(err)}`)
      return MIN_RETRY_MS
    }
  }

  async #publishQueued(more: readonly CrdtOp[] = []): Promise<void> {
    const { wal } = this.#components
    const { ops, rows } = wal.contents()
    if (ops.length + more.length === 0) return
    await this.#publish(more.length === 0 ? ops : [...ops, ...more], rows)
    wal.drop(ops.length)
    this.#trouble.succeeded('queued operations become nodes again')
  }

  /** Whether what is queued, with `more`, is to be a node now. */
  #isNodeDue(more: readonly CrdtOp[]): boolean {
    const { wal } = this.#components
    const { batching, maxDeltaBytes } = this.#config
    // Whoever writes is told why, rather than that it is queued.
    if (this.#trouble.isLasting) return true
    if (batching === undefined) {
      // What others gather is a node soon, and that in the making is not waited for.
      const isFirst = wal.size === 0 && this.#flushing === undefined && this.#gapMs() <= 0
      return isFirst || more.length >= GATHERED_OPS || wal.size + more.length >= MOST_GATHERED_OPS
    }
    if (wal.size + more.length >= batching.maxOps) return true
    return more.reduce((bytes, op) => bytes + opBytes(op), wal.bytes) >= maxDeltaBytes
  }

  /** How long operations stay in the journal. */
  #queuedMs(): number {
    return this.#config.batching?.maxAgeMs ?? Math.max(0, this.#gapMs())
  }

  /** What is left of the moment after the latest node. */
  #gapMs(): number {
    return this.#madeAt + (this.#config.nodeGapMs ?? 0) - this.#components.clock.monotonic()
  }
}

/** Without the node's bytes. */
function linkOfNode({ id, digest, cid }: CrdtNode): NodeLink {
  return { id, digest, cid }
}

function checkOp(op: CrdtOp): void {
  if (op.key === '/' || cleanKey(op.key) !== op.key || !op.key.isWellFormed()) {
    throw new CrdtError(
      `the key ${JSON.stringify(op.key.slice(0, SHOWN_KEY))} is not a clean path that starts with /`,
      {
        code: 'CRDT_BAD_KEY',
        key: op.key,
      },
    )
  }
  const bytes = opBytes(op)
  if (bytes > MAX_OP_BYTES) {
    throw new CrdtError(`an entry of ${bytes} bytes does not fit in a node of ${MAX_OP_BYTES}`, {
      code: 'CRDT_OP_TOO_LARGE',
      bytes,
      limit: MAX_OP_BYTES,
    })
  }
}

function closed(): CrdtError {
  return new CrdtError('the CRDT is closed', { code: 'CRDT_CLOSED' })
}
