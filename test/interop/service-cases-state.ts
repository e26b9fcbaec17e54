/** `state`: the pinset of a peer that does not run. */
import { mkdir } from 'node:fs/promises'
import { quiet, STARTED } from './service-cases-start.ts'
import { invoke, put, type Invocation, type ServiceCase, type Step } from './service-case.ts'

/** In no certain order. */
const EXPORT = invoke('state export', { stdout: 'lines' })
const CID = 'QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq'
const OTHER = 'bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku'
const PEER = '12D3KooWAuRYCfgCKTyZpxJNuxPZ7fisG7J9eZPMDBZPESVoXFbT'
const INIT = invoke('init --randomports')

const pin = (cid: string, more: object = {}) =>
  JSON.stringify({
    replication_factor_min: -1,
    replication_factor_max: -1,
    name: 'a name',
    mode: 'recursive',
    shard_size: 0,
    user_allocations: null,
    expire_at: '0001-01-01T00:00:00Z',
    metadata: { key: 'value' },
    pin_update: null,
    origins: [],
    cid,
    type: 'pin',
    allocations: [],
    max_depth: -1,
    reference: null,
    timestamp: '2026-01-02T03:04:05Z',
    ...more,
  })
const PINS = `${pin(CID)}\n${pin(OTHER)}\n`

const state = (name: string, steps: readonly Step[], differs?: ServiceCase['differs']): ServiceCase => ({
  name: `state ${name}`,
  steps,
  ...(differs === undefined ? {} : { differs }),
})

/** Import, then see what came of it. */
const imports = (
  name: string,
  input: string,
  flags = '-f',
  more: Partial<Invocation> = {},
  differs?: ServiceCase['differs'],
) => state(`import: ${name}`, [INIT, invoke(`state import ${flags}`, { input, ...more }), EXPORT], differs)

const IDS = 'refused; Go leaves them out, and imports as if there were no such flag'
const NO_CID = 'refused; Go imports a pin that no command can reach'
const FORCED = 'Go asks all the same: the flag of the program has no effect'
const DIRTY = 'Go forgets the mark of a store without nodes'
const KEPT = 'an import that fails leaves the old pinset; Go has wiped it by then'

export const stateCases: readonly ServiceCase[] = [
  ...['export', 'import -f', 'crdt info', 'crdt dot', 'crdt mark-dirty', 'crdt mark-clean', 'cleanup -f'].map(
    command =>
      state(
        `${command}: no configuration`,
        [invoke(`state ${command}`)],
        command.startsWith('crdt')
          ? {}
          : { files: 'Go makes the folder to lock it, before it looks for the configuration' },
      ),
  ),
  state('export: empty', [INIT, EXPORT]),
  state('export: to a file', [
    INIT,
    invoke('state import -f', { input: pin(CID) }),
    invoke('state export -f {folder}/pins.json'),
  ]),
  state('export: --file=', [
    INIT,
    invoke('state import -f', { input: pin(CID) }),
    invoke('state export --file={folder}/pins.json'),
  ]),
  state('export: to a folder that is not there', [INIT, invoke('state export -f {folder}/none/pins.json')]),
  imports('two pins', PINS),
  imports('nothing', ''),
  imports('blanks', '\n \n\t\n'),
  imports('pins on one line', PINS.replaceAll('\n', ' ')),
  imports('missing fields', JSON.stringify({ cid: CID })),
  imports('unknown fields', pin(CID, { more: [1, { a: null }] })),
  imports('other case of keys', pin(CID).replace('"name"', '"NAME"')),
  imports('the same twice', `${pin(CID)}${pin(CID, { name: 'later' })}`),
  imports('factors below 0 and above', pin(CID, { replication_factor_min: 2, replication_factor_max: 3 })),
  imports('direct', pin(CID, { mode: 'direct', max_depth: 0 })),
  imports('expiry', pin(CID, { expire_at: '2030-01-02T03:04:05.123456789Z' })),
  imports(
    'origins and allocations',
    pin(CID, { origins: ['/dns4/example.org/tcp/4001/p2p/' + PEER], allocations: [PEER] }),
  ),
  imports('replaced factors', PINS, '-f --rmin 2 --rmax 4'),
  imports('replaced factors, long', PINS, '--force --replication-min=2 --replication-max=4'),
  imports('factors of 0 and below replace nothing', PINS, '-f --rmin 0 --rmax -5'),
  imports('allocations', PINS, `-f --allocs ${PEER}`),
  imports(
    'allocations, long',
    PINS,
    `-f --allocations ${PEER},QmPSoSaPXpyunaBwHs1rZBKYSqRV4bLRk32VGYLuvdrypL`,
  ),
  imports(
    'allocations that are no ids',
    PINS,
    '-f --allocations nobody',
    {},
    { code: IDS, stdout: IDS, stderr: IDS },
  ),
  imports('not JSON', 'x', '-f'),
  imports('JSON, no pin', '[]', '-f'),
  imports('no CID', '{}', '-f', {}, { code: NO_CID, stderr: NO_CID }),
  imports('bad CID', JSON.stringify({ cid: 'nonsense' }), '-f'),
  imports('cut off', pin(CID).slice(0, 100), '-f'),
  imports('bad type of a field', pin(CID, { name: 1 }), '-f'),
  imports('unknown pin type', pin(CID, { type: 'strange' }), '-f'),
  state(
    'import: bad input after good pins',
    [
      INIT,
      invoke('state import -f', { input: PINS }),
      invoke('state import -f', { input: `${pin(CID)} x` }),
      EXPORT,
    ],
    { stdout: KEPT },
  ),
  state('import: from a file', [
    INIT,
    put('pins.json', PINS),
    invoke('state import -f {folder}/pins.json'),
    EXPORT,
  ]),
  state('import: flags behind the file', [
    INIT,
    put('pins.json', PINS),
    invoke('state import {folder}/pins.json --rmin 1 -f'),
    EXPORT,
  ]),
  state('import: no such file', [INIT, invoke('state import -f {folder}/none.json')]),
  state('import: the file is a folder', [
    INIT,
    async ({ folder }) => void (await mkdir(`${folder}/dir`)),
    invoke('state import -f {folder}/dir'),
  ]),
  ...['y\n', 'n\n', '', 'x\nx\nx\n'].map(answer =>
    state(`import: typed ${JSON.stringify(answer)}`, [
      INIT,
      put('pins.json', PINS),
      invoke('state import {folder}/pins.json', { input: answer }),
      EXPORT,
    ]),
  ),
  state('import: answer and pins on stdin', [INIT, invoke('state import', { input: `y\n${PINS}` }), EXPORT]),
  state('import: flag of the program', [INIT, invoke('-f state import', { input: PINS }), EXPORT], {
    stdout: FORCED,
  }),
  ...['y\n', 'Y\n', 'n\n', '', 'x\nx\nx\n'].map(answer =>
    state(`cleanup: typed ${JSON.stringify(answer)}`, [
      INIT,
      invoke('state import -f', { input: PINS }),
      invoke('state cleanup', { input: answer }),
      EXPORT,
    ]),
  ),
  state('cleanup: forced', [
    INIT,
    invoke('state import -f', { input: PINS }),
    invoke('state cleanup --force'),
    EXPORT,
  ]),
  state('cleanup: nothing there', [INIT, invoke('state cleanup -f'), invoke('state cleanup -f')]),
  state('crdt info: empty', [INIT, invoke('state crdt info')]),
  state('crdt info: one import', [
    INIT,
    invoke('state import -f', { input: pin(CID) }),
    invoke('state crdt info', { stdout: 'any' }),
  ]),
  state(
    'crdt: marks',
    [
      INIT,
      invoke('state crdt mark-dirty'),
      invoke('state crdt info'),
      invoke('state crdt mark-clean'),
      invoke('state crdt info'),
    ],
    { stdout: DIRTY },
  ),
  state('crdt dot: empty', [INIT, invoke('state crdt dot')]),
  state('crdt dot: to a file', [INIT, invoke('state crdt dot -f {folder}/dag.dot')]),
  state('crdt dot: to a folder that is not there', [INIT, invoke('state crdt dot -f {folder}/none/dag.dot')]),
  state('crdt: no command', [INIT, invoke('state crdt', { stdout: 'help' })]),
  state('crdt: no such command', [INIT, invoke('state crdt nope', { stderr: 'exact' })]),
  ...['info', 'dot', 'mark-dirty', 'mark-clean'].map(command =>
    state(`crdt ${command}: a peer of a Raft cluster`, [
      invoke('init --consensus raft'),
      invoke(`state crdt ${command}`, { stderr: 'exact' }),
    ]),
  ),
  state('export: an unknown flag', [INIT, invoke('state export --nope', { stdout: 'help' })]),
  ...['state export', 'state import -f', 'state cleanup -f', 'state crdt info', 'daemon', 'init -f'].map(
    command =>
      state(`a peer is running: ${command}`, [
        INIT,
        quiet,
        invoke('daemon', {
          until: STARTED,
          stderr: 'any',
          meanwhile: [invoke(command, { stderr: 'exact' })],
        }),
      ]),
  ),
]
