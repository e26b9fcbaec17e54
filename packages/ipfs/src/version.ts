/** Of this package; part of the agent version that other nodes see. */
export const VERSION = '0.1.0'
