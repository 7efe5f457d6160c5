/** What is in an output directory, compared with its manifest. Nothing here changes a file. */
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { FileSystem } from '../../../core/index.ts';
import { fileFailure } from '../failure.ts';
import { checksumText, MANIFEST } from './manifest-file.ts';
import { PART_NAME, type Manifest, type ManifestPart } from './manifest.ts';
import { UNFINISHED } from './part-file.ts';

/** What a manifest is called while it is written. */
export const TEMPORARY_MANIFEST = `${MANIFEST}.tmp`;

const CHUNK_BYTES = 1024 * 1024;

/** What was found of a part. */
export interface PartCheck {
  /** Why it is not what the manifest says; undefined if it is. */
  readonly reason: string | undefined;
  /** How many bytes come behind those that count. */
  readonly tailBytes: number;
}

/**
 * Compares a part's file with its entry in the manifest.
 *
 * @param isRead true to read it and compare the checksum, false to compare sizes only.
 * @throws ConnectError ACCESS_DENIED, STORAGE_FAILED
 */
export async function faultOfPart(
  { fileSystem, path }: { readonly fileSystem: FileSystem; readonly path: string },
  { sizeBytes, crc32: expected, isSealed }: ManifestPart,
  isRead: boolean,
): Promise<PartCheck> {
  try {
    const stat = await fileSystem.stat(path);
    if (stat === undefined || stat.isDirectory) {
      return { reason: `it is missing, and ${MANIFEST} lists it`, tailBytes: 0 };
    }
    const tailBytes = stat.sizeBytes - sizeBytes;
    // Only an open part may have more: a commit that never was.
    if (tailBytes < 0 || (tailBytes > 0 && isSealed)) {
      const reason = `it has ${stat.sizeBytes} bytes, and ${MANIFEST} says ${sizeBytes}`;
      return { reason, tailBytes };
    }
    const actual = isRead ? checksumText(await checksumOf(fileSystem, path, sizeBytes)) : expected;
    if (actual === expected) return { reason: undefined, tailBytes };
    const reason = `the checksum of its bytes is ${actual}, and ${MANIFEST} says ${expected}`;
    return { reason, tailBytes };
  } catch (cause) {
    throw fileFailure(path, 'read', cause);
  }
}

async function checksumOf(fileSystem: FileSystem, path: string, sizeBytes: number) {
  const file = await fileSystem.open(path, 'read');
  try {
    const chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, sizeBytes));
    let checksum = 0;
    for (let at = 0; at < sizeBytes;) {
      const readBytes = await file.read(chunk.subarray(0, sizeBytes - at), at);
      if (readBytes === 0) break; // it has become shorter, and its checksum another one
      checksum = crc32(chunk.subarray(0, readBytes), checksum);
      at += readBytes;
    }
    return checksum;
  } finally {
    await file.close();
  }
}

/** A file in the directory of an output. */
export interface FoundFile {
  /** Its path in the directory, as in the manifest. */
  readonly file: string;
  /** True if a sink has made it, going by its name. */
  readonly isOurs: boolean;
}

/**
 * Lists the files of an output directory, but for its manifest and hidden ones.
 *
 * @throws ConnectError ACCESS_DENIED, STORAGE_FAILED
 */
export async function filesOf(
  fileSystem: FileSystem,
  directory: string,
  { layout }: Pick<Manifest, 'layout'>,
): Promise<FoundFile[]> {
  const depth = layout === undefined ? 0 : layout.split('/').length;
  const found: FoundFile[] = [];
  const walk = async (path: string, level: number): Promise<void> => {
    const entries = await fileSystem.list(join(directory, path)).catch((cause: unknown) => {
      throw fileFailure(join(directory, path), 'list', cause);
    });
    for (const { name, isDirectory } of entries) {
      if (name.startsWith('.') || (level === 0 && name === MANIFEST)) continue;
      const file = path === '' ? name : `${path}/${name}`;
      if (isDirectory && level < depth) await walk(file, level + 1);
      else found.push({ file, isOurs: !isDirectory && isOurName(name, level, depth) });
    }
  };
  await walk('', 0);
  return found;
}

function isOurName(name: string, level: number, depth: number): boolean {
  if (level === 0 && name === TEMPORARY_MANIFEST) return true;
  const whole = name.endsWith(UNFINISHED) ? name.slice(0, -UNFINISHED.length) : name;
  return level === depth && PART_NAME.test(whole);
}
