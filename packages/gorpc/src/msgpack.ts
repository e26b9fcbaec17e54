export interface MsgpackReader {
  readonly offset: number
}
export interface MsgpackWriter {
  readonly length: number
}
