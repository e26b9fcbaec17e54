import assert from 'node:assert/strict'
import { test } from 'node:test'
import { spareCiphers, type Cipher } from './private-network.ts'

class CountingCipher implements Cipher {
  readonly chunks: number[] = []
  finalized = 0

  update(input: Uint8Array, output = new Uint8Array(input.length)): Uint8Array {
    this.chunks.push(input.length)
    output.set(input.map(byte => byte ^ 1))
    return output
  }

  finalize(): void {
    this.finalized++
  }
}

test('ciphers get little at a time and are given back when the connection closes', () => {
  const [inbound, outbound] = [new CountingCipher(), new CountingCipher()]
  const events = new EventTarget()
  const box = {
    inboundXor: inbound as Cipher,
    outboundXor: outbound as Cipher,
    addEventListener: (type: string, listener: (event: never) => void) =>
      events.addEventListener(type, listener as EventListener),
  }
  spareCiphers(box as unknown as Parameters<typeof spareCiphers>[0])
  const message = Uint8Array.from({ length: 150_000 }, (_, index) => index & 255)
  assert.deepEqual(
    box.outboundXor.update(message),
    message.map(byte => byte ^ 1),
  )
  assert.deepEqual(outbound.chunks, [65_536, 65_536, 18_928])
  assert.deepEqual(box.inboundXor.update(Uint8Array.of(1)), Uint8Array.of(0))
  events.dispatchEvent(new Event('close'))
  events.dispatchEvent(new Event('close'))
  assert.deepEqual([inbound.finalized, outbound.finalized], [1, 1])
  assert.deepEqual(box.inboundXor.update(Uint8Array.of(7)), Uint8Array.of(0))
})
