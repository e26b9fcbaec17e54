/** The `state` part of the command table. */
import { boolean, command, group, integer, text, type Command, type Parsed } from '@ipfs-cluster/base/cli'
import {
  cleanupState,
  crdtDot,
  crdtInfo,
  exportState,
  importState,
  markState,
  type StateContext,
} from './state.ts'

/** What a command of this group runs with. */
export interface StateService {
  readonly state: () => StateContext
  /** `--force` of the program. */
  readonly global: { readonly force: boolean }
}

const EXPORT_DESCRIPTION = `Writes the pinset, one pin a line in JSON, to stdout or to a file: to keep as a backup, to look
at, or to import into another peer, be it this implementation or the Go one. The lines are in
the order of the store. No peer may run on the folder meanwhile.`

const IMPORT_DESCRIPTION = `Replaces the pinset by the pins in a file, or on stdin when none is named: JSON objects one
after another, as "export" writes them. Nothing changes when one of them is wrong.

What this peer's IPFS daemon has pinned stays pinned. In a cluster, the other peers keep what
they have, and bring it back: to replace the pinset of all, stop all, clean up the others.`

const CLEANUP_DESCRIPTION = `Removes the pinset and everything that follows from it from this peer. Its next start is like
a first one: it gets the pinset of the others again. Configuration, identity and peerstore
stay, and so does what the IPFS daemon has pinned.`

const INFO_DESCRIPTION = `Prints the heads of the CRDT's DAG, its height, and whether it is marked as dirty.`

const DOT_DESCRIPTION = `Writes the CRDT's DAG in the DOT language, which graphviz turns into pictures: to see how it
branches. The DAG of a large or old cluster makes a large file.`

const DIRTY_DESCRIPTION = `The next start of the daemon looks at every node of the CRDT's DAG before it does anything
else, restores from them what the pinset lacks, and asks the other peers for nodes that are
damaged or missing. Needed after damage to the disk only.`

const CLEAN_DESCRIPTION = `Takes the mark of "mark-dirty" away: the next start is a usual one.`

const yes = boolean('force, f, y', 'go ahead without asking')
const outputFile = text('file, f', 'write to this file instead of stdout')

const crdtCommands: readonly Command<StateService>[] = [
  command({
    name: 'info',
    usage: 'Prints information about the CRDT',
    description: INFO_DESCRIPTION,
    run: ({ state }: StateService) => crdtInfo(state()),
  }),
  command({
    name: 'dot',
    usage: "Writes the CRDT's DAG in the DOT language",
    description: DOT_DESCRIPTION,
    flags: { file: outputFile },
    run: ({ state }: StateService, { values }) => crdtDot(values, state()),
  }),
  command({
    name: 'mark-dirty',
    usage: 'Has the next start check and repair the CRDT',
    description: DIRTY_DESCRIPTION,
    run: ({ state }: StateService) => markState(true, state()),
  }),
  command({
    name: 'mark-clean',
    usage: 'Takes that back',
    description: CLEAN_DESCRIPTION,
    run: ({ state }: StateService) => markState(false, state()),
  }),
]

const importFlags = {
  force: yes,
  replicationMin: integer('replication-min, rmin', "replaces every pin's least number of copies"),
  replicationMax: integer('replication-max, rmax', "replaces every pin's wanted number of copies"),
  allocations: text('allocations, allocs', "replaces every pin's allocations: comma-separated peer ids"),
}

const importCommand = command({
  name: 'import',
  usage: 'Replaces the pinset by an exported one',
  description: IMPORT_DESCRIPTION,
  argsUsage: '[file]',
  flags: importFlags,
  async run({ state, global }: StateService, { values, args }: Parsed<typeof importFlags>) {
    await importState({ ...values, force: values.force || global.force, source: args[0] ?? '' }, state())
  },
})

export const stateCommands: Command<StateService> = group({
  name: 'state',
  usage: 'Works on the pinset of a peer that does not run',
  commands: [
    group({ name: 'crdt', usage: 'Works on the CRDT below the pinset', commands: crdtCommands }),
    command({
      name: 'export',
      usage: 'Writes the pinset as JSON lines',
      description: EXPORT_DESCRIPTION,
      flags: { file: outputFile },
      run: ({ state }: StateService, { values }) => exportState(values, state()),
    }),
    importCommand,
    command({
      name: 'cleanup',
      usage: 'Removes the pinset',
      description: CLEANUP_DESCRIPTION,
      flags: { force: yes },
      run: ({ state, global }: StateService, { values }) =>
        cleanupState({ force: values.force || global.force }, state()),
    }),
  ],
})
