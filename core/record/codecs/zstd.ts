import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as zlib from 'node:zlib';
import { assert } from '../../assert.ts';
import { loadPackage, tooLarge, type BlockCodec } from './block-codec.ts';

/** Kafka's default. */
const LEVEL = 3;
/** The first guess of the unpacked size, as a multiple; then more, up to the limit. */
const EXPANSION = 16;
const EXPANSION_STEP = 8;
const UNPACKED_BYTES_MIN = 64 * 1024;
/** `ZSTD_error_dstSize_tooSmall`. */
const TARGET_TOO_SMALL = -70;

/** The parts we use of the package's Emscripten module. Pointers are numbers. */
interface Zstd {
  HEAPU8: Uint8Array;
  /** Emscripten's hook for creating the instance yourself. */
  instantiateWasm: (imports: object, done: (instance: object) => void) => void;
  init(): void;
  _malloc(sizeBytes: number): number;
  _free(pointer: number): void;
  _ZSTD_compressBound(sizeBytes: number): number;
  _ZSTD_compress(
    target: number,
    targetBytes: number,
    source: number,
    sourceBytes: number,
    level: number,
  ): number;
  _ZSTD_decompress(
    target: number,
    targetBytes: number,
    source: number,
    sourceBytes: number,
  ): number;
  _ZSTD_isError(result: number): number;
}

/** The parts we use; Node's types leave them to those of browsers. */
interface WebAssemblyApi {
  readonly Module: new (bytes: Buffer) => object;
  readonly Instance: new (module: object, imports: object) => object;
}

const require = createRequire(import.meta.url);
let loaded: Zstd | undefined;

/**
 * The package loads asynchronously, but a batch is packed and unpacked within one call, so its
 * module is instantiated here: 3 ms, once.
 */
function library(): Zstd {
  if (loaded !== undefined) return loaded;
  loadPackage('zstd', '@bokuweb/zstd-wasm');
  const directory = dirname(require.resolve('@bokuweb/zstd-wasm'));
  const { Module: zstd } = loadPackage('zstd', join(directory, 'zstd.js')) as { Module: Zstd };
  const { Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyApi })
    .WebAssembly;
  const wasm = new Module(readFileSync(join(directory, 'zstd.wasm')));
  zstd.instantiateWasm = (imports, done) => {
    done(new Instance(wasm, imports));
  };
  zstd.init();
  return (loaded = zstd);
}

/** Zstandard frames (RFC 8878) by WebAssembly, on every version of Node. */
export const zstdOfWasm: BlockCodec = {
  compress(records, level = LEVEL) {
    const zstd = library();
    const boundBytes = zstd._ZSTD_compressBound(records.length);
    const block = transform(zstd, records, boundBytes, (target, source) =>
      zstd._ZSTD_compress(target, boundBytes, source, records.length, level),
    );
    assert(block !== undefined, 'the bound is what a block takes at most');
    return block;
  },

  decompress(block, sizeBytesMax) {
    const zstd = library();
    // Kafka's frames do not carry their unpacked size.
    let sizeBytes = Math.max(UNPACKED_BYTES_MIN, block.length * EXPANSION);
    for (;;) {
      const targetBytes = Math.min(sizeBytes, sizeBytesMax);
      const records = transform(zstd, block, targetBytes, (target, source) =>
        zstd._ZSTD_decompress(target, targetBytes, source, block.length),
      );
      if (records !== undefined) return records;
      if (targetBytes === sizeBytesMax) throw tooLarge(sizeBytesMax);
      sizeBytes *= EXPANSION_STEP;
    }
  },
};

/**
 * Runs one call of the library on a copy of `input` in its memory; undefined when the result is
 * larger than `targetBytes`.
 */
function transform(
  zstd: Zstd,
  input: Buffer,
  targetBytes: number,
  call: (target: number, source: number) => number,
): Buffer | undefined {
  const memory = zstd._malloc(targetBytes + input.length);
  if (memory === 0) throw new RangeError(`zstd found no memory for ${targetBytes} bytes`);
  try {
    const source = memory + targetBytes;
    zstd.HEAPU8.set(input, source);
    const result = call(memory, source);
    if (zstd._ZSTD_isError(result) === 0)
      return Buffer.from(zstd.HEAPU8.subarray(memory, memory + result));
    if ((result | 0) === TARGET_TOO_SMALL) return undefined;
    throw new RangeError(`not a sound zstd frame (error ${-(result | 0)} of zstd)`);
  } finally {
    zstd._free(memory);
  }
}

/** Node's own zstd, from 22.15 on; the types of Node 20 lack it. */
interface ZstdOfNode {
  readonly zstdCompressSync?: (
    records: Buffer,
    options: { readonly params: Readonly<Record<number, number>> },
  ) => Buffer;
  readonly constants: { readonly ZSTD_c_compressionLevel?: number };
}

const { zstdCompressSync, constants } = zlib as unknown as ZstdOfNode;

/**
 * Zstandard frames. Node compresses where it can, up to twice as fast (measured). Decompression
 * stays with the package: Node's is slower and accepts a frame that was cut short.
 */
export const zstd: BlockCodec = {
  compress(records, level = LEVEL) {
    if (zstdCompressSync === undefined) return zstdOfWasm.compress(records, level);
    return zstdCompressSync(records, { params: { [constants.ZSTD_c_compressionLevel!]: level } });
  },
  decompress: (block, sizeBytesMax) => zstdOfWasm.decompress(block, sizeBytesMax),
};
