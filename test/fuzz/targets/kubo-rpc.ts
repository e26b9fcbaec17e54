/** Requests to the RPC of the built-in node: targets, options, paths and the objects of `dag/put`. */
import { utf8Text } from '@ipfs-cluster/base'
import { cidEncoder } from '../../../packages/ipfs/src/rpc/cid-encoder.ts'
import { decodeAs, encodeAs } from '../../../packages/ipfs/src/rpc/codecs.ts'
import { commandOf } from '../../../packages/ipfs/src/rpc/commands.ts'
import { RpcError } from '../../../packages/ipfs/src/rpc/errors.ts'
import { checkArguments, readOptions, readTimeout } from '../../../packages/ipfs/src/rpc/options.ts'
import { parsePath } from '../../../packages/ipfs/src/rpc/paths.ts'
import { tarHeader } from '../../../packages/ipfs/src/rpc/tar.ts'
import { CIDS, texts } from '../corpus.ts'
import { check, refusedBy, type Target } from '../target.ts'

const refusal = refusedBy(RpcError)
const DAG_JSON = 0x0129
const DAG_CBOR = 0x71
const [cid = ''] = CIDS.map(String)

const request: Target = {
  name: 'ipfs: requests to the RPC',
  format: 'text',
  corpus: () =>
    texts([
      `cat?arg=${cid}&offset=1&length=2&timeout=1m30s`,
      `pin/ls/${cid}?type=recursive&names=true&cid-base=base36`,
      `dag/get?arg=/ipfs/${cid}/a/b%2Fc&output-codec=dag-json`,
      'commands?encoding=json&flags',
    ]),
  refusal,
  run(input) {
    const [path = '', query = ''] = utf8Text(input).split('?', 2)
    const found = commandOf(path)
    if (found === undefined) return false
    const params = new URLSearchParams(query)
    const options = readOptions(params, found.command.options ?? {})
    readTimeout(options)
    cidEncoder(options)
    checkArguments(params.getAll('arg'), found.command.args ?? [])
    return true
  },
}

const path: Target = {
  name: 'ipfs: paths of the RPC',
  format: 'text',
  corpus: () =>
    texts([
      `/ipfs/${cid}/a/../b`,
      `ipfs://${cid}/x`,
      `ipfs:${cid}`,
      `${cid}/./a//b`,
      `/ipld/${cid}/0`,
      '/ipns/x',
    ]),
  refusal,
  run(input) {
    const { names } = parsePath(utf8Text(input))
    check(
      !names.some(name => name === '' || name === '.' || name === '..' || name.includes('/')),
      'names are clean',
    )
    return true
  },
}

const object: Target = {
  name: 'ipfs: objects of dag/put',
  format: 'json',
  corpus: () =>
    texts([
      '{"a":1,"b":[1.5,null,true,"x"]}',
      `{"/":"${cid}"}`,
      '{"/":{"bytes":"aGk"}}',
      `{"Data":{"/":{"bytes":"CAE"}},"Links":[{"Hash":{"/":"${cid}"},"Name":"x","Tsize":1}]}`,
    ]),
  refusal,
  // The library makes an object of every token, twice; of the whole, `MAX_OBJECT_BYTES` is the limit.
  allocation: { perByte: 1024, constant: 1024 * 1024 },
  run(input) {
    const value = decodeAs(DAG_JSON, input)
    const stored = encodeAs(DAG_CBOR, value)
    encodeAs(DAG_JSON, decodeAs(DAG_CBOR, stored))
    return true
  },
}

const archived: Target = {
  name: 'ipfs: names in archives',
  format: 'text',
  corpus: () => texts(['folder/file', 'ü'.repeat(80), 'x'.repeat(300)]),
  refusal,
  run(input) {
    const text = utf8Text(input)
    const header = tarHeader({ kind: 'symlink', path: text, size: 0, target: text }, 1)
    check(header.length % 512 === 0, 'a header fills its blocks')
    return true
  },
}

export const kuboRpcTargets: readonly Target[] = [request, path, object, archived]
