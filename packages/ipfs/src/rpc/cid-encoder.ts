import { bases } from 'multiformats/basics'
import type { MultibaseEncoder } from 'multiformats/bases/interface'
import type { CID } from 'multiformats/cid'
import { refused } from './errors.ts'
import type { Options } from './options.ts'

/** The text of a CID by the options `cid-base` and `upgrade-cidv0-in-output`. @throws RpcError `RPC_REFUSED` */
export function cidEncoder(options: Options): (cid: CID) => string {
  const name = options.text('cid-base') ?? ''
  const upgrade = options.flag('upgrade-cidv0-in-output')
  if (name === '' && upgrade !== true) return cid => cid.toString()
  const encoder = encoderOf(name)
  // The old form of a CID exists in base58 only.
  const isUpgraded = upgrade ?? (encoder !== undefined && name !== 'base58btc')
  return cid => {
    if (cid.version === 0 && !isUpgraded) return cid.toString()
    return cid.toV1().toString(encoder)
  }
}

function encoderOf(name: string): MultibaseEncoder<string> | undefined {
  if (name === '') return undefined
  const known: Readonly<Record<string, { readonly encoder: MultibaseEncoder<string> }>> = bases
  const byPrefix = Object.values(known).find(({ encoder }) => encoder.prefix === name)
  const found = Object.hasOwn(known, name) ? known[name] : byPrefix
  if (found === undefined)
    throw refused(`unsupported multibase encoding: ${JSON.stringify(name.slice(0, 50))}`)
  return found.encoder
}
