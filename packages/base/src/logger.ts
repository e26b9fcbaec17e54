/** Facts first, then a short sentence: `log.info({ cid, attempts }, 'pin failed')`. */
export interface LogMethod {
  (fields: Readonly<Record<string, unknown>>, message: string): void
  (message: string): void
}

/**
 * Levels: `error` a person must act; `warn` something failed and is being handled; `info` a change of the peer's own state;
 * `debug` the rest, and every text that came from the network.
 */
export interface Logger {
  readonly error: LogMethod
  readonly warn: LogMethod
  readonly info: LogMethod
  readonly debug: LogMethod
  /** A logger of one facility, whose level can be set apart (`--loglevel crdt:debug`). */
  child(facility: string): Logger
}

const ignore = () => undefined

export const silentLogger: Logger = {
  error: ignore,
  warn: ignore,
  info: ignore,
  debug: ignore,
  child: () => silentLogger,
}
