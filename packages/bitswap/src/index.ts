/**
 * bitswap 1.2 (also answering 1.1 and 1.0) over libp2p: client and server in one. Blocks are asked of directly connected peers only;
 * finding providers elsewhere is the caller's job (`providers`). Formats: reference wire.md 3.11 and the bitswap specification.
 *
 * Every block handed out has been verified against its CID. Wants of others that we cannot answer yet are kept and answered when
 * `notify` says that the block has come.
 */
export { createBitswap, type BitswapComponents } from './bitswap.ts'
export { DEFAULT_BITSWAP_CONFIG, type BitswapConfig } from './config.ts'
export { BitswapError, type BitswapFailure } from './errors.ts'
export { BITSWAP_PROTOCOLS, type BitswapHost } from './protocols.ts'
export * from './types.ts'
