/**
 * The one class of the WebAssembly API used here; neither TypeScript's es libs nor @types/node
 * declare it.
 */
declare namespace WebAssembly {
  class Memory {
    constructor(descriptor: { initial: number; maximum?: number; shared?: boolean });
    readonly buffer: ArrayBufferLike;
  }
}
