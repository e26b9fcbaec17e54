/** Profiles of this thread, on demand: what it spends its time on, and what it allocates. Neither holds any data, only places in the code. */
import { Session } from 'node:inspector/promises'
import { CodedError, type AbortOptions, type Clock } from '@ipfs-cluster/base'

export type ProfileKind = 'profile' | 'heap'

export interface ProfilerFailure {
  readonly code: 'PROFILER_BUSY'
}

export class ProfilerError extends CodedError<ProfilerFailure> {
  override readonly name = 'ProfilerError'
}

export interface Profiler {
  /**
   * Samples for that long; the JSON of a `.cpuprofile` or a `.heapprofile`.
   *
   * @throws ProfilerError `PROFILER_BUSY` while another one is made.
   */
  take(kind: ProfileKind, seconds: number, options?: AbortOptions): Promise<string>
}

export function createProfiler(clock: Clock): Profiler {
  let busy = false
  return {
    async take(kind, seconds, options) {
      if (busy) {
        throw new ProfilerError('another profile is being made; try again when it is done', {
          code: 'PROFILER_BUSY',
        })
      }
      busy = true
      const session = new Session()
      session.connect()
      try {
        const wait = () => clock.sleep(seconds * 1000, options)
        return JSON.stringify(await (kind === 'profile' ? cpu(session, wait) : heap(session, wait)))
      } finally {
        // Ends sampling, too.
        session.disconnect()
        busy = false
      }
    },
  }
}

async function cpu(session: Session, wait: () => Promise<void>): Promise<unknown> {
  await session.post('Profiler.enable')
  await session.post('Profiler.start')
  await wait()
  return (await session.post('Profiler.stop')).profile
}

async function heap(session: Session, wait: () => Promise<void>): Promise<unknown> {
  await session.post('HeapProfiler.enable')
  await session.post('HeapProfiler.startSampling')
  await wait()
  return (await session.post('HeapProfiler.stopSampling')).profile
}
