import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { FileSystem } from '../../../core/index.ts';
import { replaceFile } from '../../../core/internal.ts';
import { ConnectError } from '../../errors.ts';
import { fileFailure } from '../failure.ts';
import { faultOf, MANIFEST_VERSION, type Manifest, type ManifestPart } from './manifest.ts';

/** The file that states which contents of an output directory count. */
export const MANIFEST = 'manifest.json';

/** What ends a manifest since version 2; the checksum is of everything before it. */
const CHECKSUM = /,\n {2}"checksum": "([0-9a-f]{8})"\n}\n$/;
const CHECKSUM_BYTES = ',\n  "checksum": "01234567"\n}\n'.length;

/**
 * Reads the manifest of a directory; undefined if there is none.
 *
 * @throws ConnectError OUTPUT_DAMAGED, OUTPUT_MISMATCH, ACCESS_DENIED, STORAGE_FAILED
 */
export async function readManifest(
  fileSystem: FileSystem,
  directory: string,
): Promise<Manifest | undefined> {
  const file = join(directory, MANIFEST);
  let content: Buffer;
  try {
    if ((await fileSystem.stat(file)) === undefined) return undefined;
    content = await fileSystem.readFile(file);
  } catch (cause) {
    throw fileFailure(file, 'read', cause);
  }
  return parseManifest(content, directory);
}

/**
 * Takes a manifest's bytes apart and checks each of them.
 *
 * @throws ConnectError OUTPUT_DAMAGED; OUTPUT_MISMATCH if a later version of Millrace wrote it.
 */
function parseManifest(content: Buffer, directory: string): Manifest {
  const file = join(directory, MANIFEST);
  const end = CHECKSUM.exec(content.subarray(-CHECKSUM_BYTES).toString('latin1'));
  const body = end === null ? content : content.subarray(0, -CHECKSUM_BYTES);
  if (end !== null && end[1] !== checksumText(crc32(body))) {
    throw damaged(file, 'its checksum is not that of its content');
  }
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8') + (end === null ? '' : '\n}'));
  } catch (cause) {
    throw damaged(file, 'it is not JSON', cause);
  }
  const { version } = (value ?? {}) as { readonly version?: unknown };
  if (Number.isSafeInteger(version) && (version as number) > MANIFEST_VERSION) {
    throw isLater(directory, version as number);
  }
  if (version === MANIFEST_VERSION && end === null) throw damaged(file, 'it has no checksum');
  if (version === 1 && end !== null) throw damaged(file, 'version 1 has no checksum');
  const reason = faultOf(value);
  if (reason !== undefined) throw damaged(file, reason);
  return { ...(value as Manifest), version: MANIFEST_VERSION };
}

/**
 * Replaces the manifest: the commit point of the file sink. Durable when it resolves; if it
 * rejects, either the old or the new one is in place.
 *
 * @throws ConnectError DISK_FULL, ACCESS_DENIED, STORAGE_FAILED
 */
export async function writeManifest(
  fileSystem: FileSystem,
  directory: string,
  manifest: Manifest,
): Promise<void> {
  const file = join(directory, MANIFEST);
  try {
    await replaceFile(fileSystem, file, manifestBytes(manifest));
  } catch (cause) {
    throw fileFailure(file, 'replace', cause);
  }
}

/**
 * The text of parts that are sealed, and so of the same objects at each commit: an output may have
 * ten thousand of them.
 */
const sealedTexts = new WeakMap<ManifestPart, string>();

/** A manifest as it stands in its file. */
export function manifestBytes({ parts, ...fields }: Manifest): Buffer {
  const text = JSON.stringify(fields, undefined, 2).slice(0, -'\n}'.length);
  const list = parts.length === 0 ? '[]' : `[\n${parts.map(partText).join(',\n')}\n  ]`;
  const body = Buffer.from(`${text},\n  "parts": ${list}`);
  const end = `,\n  "checksum": "${checksumText(crc32(body))}"\n}\n`;
  return Buffer.concat([body, Buffer.from(end)]);
}

function partText(part: ManifestPart): string {
  let text = sealedTexts.get(part);
  if (text === undefined) {
    text = `    ${JSON.stringify(part, undefined, 2).replaceAll('\n', '\n    ')}`;
    if (part.isSealed) sealedTexts.set(part, text);
  }
  return text;
}

/** A CRC-32 as manifests have it. */
export function checksumText(checksum: number): string {
  return checksum.toString(16).padStart(8, '0');
}

/** OUTPUT_DAMAGED, with what to do. */
export function damaged(file: string, reason: string, cause?: unknown): ConnectError {
  const message =
    `${file} is damaged: ${reason}; bring it back from a backup, or have the sink write to a new ` +
    'directory from the beginning';
  return new ConnectError('OUTPUT_DAMAGED', message, { file, reason }, { cause });
}

function isLater(directory: string, version: number): ConnectError {
  const message =
    `the output in ${directory} was written by a later version of Millrace: its manifest has ` +
    `version ${version}, and ${MANIFEST_VERSION} is the latest known here; update Millrace, or ` +
    'give another directory';
  const [expected, actual] = [String(MANIFEST_VERSION), String(version)];
  const details = { directory, field: 'version', expected, actual };
  return new ConnectError('OUTPUT_MISMATCH', message, details);
}
