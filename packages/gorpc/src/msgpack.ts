export { MsgpackError, type MsgpackFailure } from './msgpack-error.ts'
export { MsgpackReader, type MsgpackKind } from './msgpack-reader.ts'
export { MsgpackWriter } from './msgpack-writer.ts'
