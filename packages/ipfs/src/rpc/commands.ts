/** The table of commands below `/api/v0/`. */
import { add } from './add.ts'
import { blockGet, blockPut, blockRm, blockStat } from './block.ts'
import type { Command } from './command.ts'
import { cat, filesElse, filesStat, ls } from './content.ts'
import { dagExport, dagGet, dagPut, dagResolve, dagStat } from './dag.ts'
import { dagImport } from './dag-import.ts'
import { get } from './get.ts'
import { pinAdd, pinLs, pinRm, pinUpdate, pinVerify } from './pin.ts'
import { refs, refsLocal } from './refs.ts'
import { repoGc, repoStat, repoVerify, repoVersion } from './repo.ts'
import {
  findProviders,
  ping,
  swarmAddrs,
  swarmAddrsListen,
  swarmAddrsLocal,
  swarmConnect,
  swarmDisconnect,
  swarmPeers,
} from './swarm.ts'
import { configShow, id, keyList, nameResolve, removed, resolvePath, version } from './system.ts'

const noObject = removed("'ipfs dag' or 'ipfs files'")
const noDht = removed("'ipfs routing'")

/** Kubo gives its commands as a tree of names. */
const commands: Command = {
  options: { flags: { kind: 'bool', short: 'f' } },
  run: ({ answer }) => answer.once(described('ipfs', Object.entries(COMMANDS))),
}

const COMMANDS: Readonly<Record<string, Command>> = {
  add,
  'block/get': blockGet,
  'block/put': blockPut,
  'block/rm': blockRm,
  'block/stat': blockStat,
  cat,
  commands,
  'config/show': configShow,
  'dag/export': dagExport,
  'dag/get': dagGet,
  'dag/import': dagImport,
  'dag/put': dagPut,
  'dag/resolve': dagResolve,
  'dag/stat': dagStat,
  'dht/findpeer': noDht,
  'dht/findprovs': noDht,
  'dht/get': noDht,
  'dht/provide': noDht,
  'dht/put': noDht,
  'dht/query': noDht,
  'files/chcid': filesElse,
  'files/cp': filesElse,
  'files/flush': filesElse,
  'files/ls': filesElse,
  'files/mkdir': filesElse,
  'files/mv': filesElse,
  'files/read': filesElse,
  'files/rm': filesElse,
  'files/stat': filesStat,
  'files/write': filesElse,
  get,
  id,
  'key/list': keyList,
  ls,
  'name/resolve': nameResolve,
  'object/data': noObject,
  'object/diff': noObject,
  'object/get': noObject,
  'object/links': noObject,
  'object/new': noObject,
  'object/patch/add-link': noObject,
  'object/patch/append-data': noObject,
  'object/patch/rm-link': noObject,
  'object/patch/set-data': noObject,
  'object/put': noObject,
  'object/stat': noObject,
  'pin/add': pinAdd,
  'pin/ls': pinLs,
  'pin/rm': pinRm,
  'pin/update': pinUpdate,
  'pin/verify': pinVerify,
  ping,
  refs,
  'refs/local': refsLocal,
  'repo/gc': repoGc,
  'repo/stat': repoStat,
  'repo/verify': repoVerify,
  'repo/version': repoVersion,
  resolve: resolvePath,
  'routing/findprovs': findProviders,
  'stats/repo': repoStat,
  'swarm/addrs': swarmAddrs,
  'swarm/addrs/listen': swarmAddrsListen,
  'swarm/addrs/local': swarmAddrsLocal,
  'swarm/connect': swarmConnect,
  'swarm/disconnect': swarmDisconnect,
  'swarm/peers': swarmPeers,
  version,
}

export interface FoundCommand {
  readonly command: Command
  /** The last part of the path, where that is no command; Kubo takes it for an argument. */
  readonly argument?: string
}

/** @param path below `/api/v0/`, escaped. */
export function commandOf(path: string): FoundCommand | undefined {
  const exact = Object.hasOwn(COMMANDS, path) ? COMMANDS[path] : undefined
  if (exact !== undefined) return { command: exact }
  const slash = path.lastIndexOf('/')
  const name = path.slice(0, Math.max(0, slash))
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined || slash === path.length - 1) return undefined
  try {
    return { command, argument: decodeURIComponent(path.slice(slash + 1)) }
  } catch {
    // Escaped wrongly: there is no such command.
    return undefined
  }
}

interface Described {
  readonly Name: string
  readonly Subcommands: Described[]
  readonly Options: { readonly Names: string[] }[]
}

function described(name: string, entries: readonly (readonly [path: string, command: Command])[]): Described {
  const own = entries.find(([path]) => path === '')?.[1]
  const groups = Map.groupBy(
    entries.filter(([path]) => path !== ''),
    ([path]) => path.split('/', 1)[0] as string,
  )
  return {
    Name: name,
    Subcommands: [...groups].map(([group, all]) =>
      described(
        group,
        all.map(([path, command]) => [path.slice(group.length + 1), command] as const),
      ),
    ),
    Options: Object.entries(own?.options ?? {}).map(([option, { short }]) => ({
      Names: short === undefined ? [option] : [option, short],
    })),
  }
}
