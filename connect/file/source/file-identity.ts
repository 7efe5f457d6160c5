import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { FileIdentity } from '../../../core/index.ts';
import type { SourceOffset } from '../../connector.ts';
import type { FoundFile } from '../discovery.ts';

/**
 * What an offset says about its file besides how far it was read: the file has the same content as
 * long as none of it changes.
 */
interface SeenFile {
  readonly device: number;
  readonly inode: number;
  /** Left out if it does not tell more than `changedMs`. */
  readonly bornMs?: number;
  /** These only if all of it had been read, and a later change would have another time. */
  readonly seenBytes?: number;
  readonly modifiedMs?: number;
  readonly changedMs?: number;
}

/** Adds to an offset which file it is for. `isRead` says that nothing of it is left. */
export function identified(offset: SourceOffset, file: FoundFile, isRead: boolean): SourceOffset {
  const { identity, sizeBytes: seenBytes, modifiedMs, isSettled } = file;
  if (identity === undefined) return offset;
  const { device, inode, bornMs, changedMs } = identity;
  return {
    ...offset,
    device,
    inode,
    ...(isBirthKnown(file, identity) && { bornMs }),
    ...(isRead && isSettled && { seenBytes, modifiedMs, changedMs }),
  };
}

/** True if a file that was read to its end cannot have changed since. */
export function isUnchanged(file: FoundFile, offset: SourceOffset | undefined): boolean {
  const { identity } = file;
  const seen = offset as unknown as SeenFile | undefined;
  return (
    identity !== undefined &&
    seen?.changedMs === identity.changedMs &&
    seen.inode === identity.inode &&
    seen.device === identity.device &&
    seen.seenBytes === file.sizeBytes
  );
}

/** True if two looks at a name saw the same file with the same content. */
export function isSameLook(file: FoundFile, before: FoundFile): boolean {
  if (file.sizeBytes !== before.sizeBytes || file.modifiedMs !== before.modifiedMs) return false;
  const [now, then] = [file.identity, before.identity];
  // Without an identity nothing tells a file from one of the same size: its content has to.
  if (now === undefined || then === undefined || !before.isSettled) return false;
  const isSame = now.changedMs === then.changedMs && now.inode === then.inode;
  return isSame && now.device === then.device;
}

/**
 * True if `file`, by its identity, is the one that an offset is for; then its content has the last
 * word. It has, too, where the identity means nothing: the offset has none, or is from another file
 * system, which may be the same disk after a restart.
 *
 * @param isSameName the file is found under the name of the offset.
 */
export function isFileOf(
  file: FoundFile,
  offset: SourceOffset | undefined,
  isSameName: boolean,
): boolean {
  const { identity, sizeBytes, modifiedMs } = file;
  const seen = offset as unknown as Partial<SeenFile> | undefined;
  if (identity === undefined || seen?.inode === undefined || seen.device !== identity.device) {
    return isSameName;
  }
  if (seen.inode === identity.inode) {
    // The number of a removed file was given to a new one.
    const isReborn = identity.bornMs > (seen.bornMs ?? Infinity) && isBirthKnown(file, identity);
    return !isReborn;
  }
  // A copy that was put back, with its time, as by `cp -p` or `rsync -a`.
  return isSameName && seen.seenBytes === sizeBytes && seen.modifiedMs === modifiedMs;
}

/** Names a file among all files; undefined if it cannot be told from others. */
export function fileKey(file: FoundFile | undefined): string | undefined {
  const identity = file?.identity;
  return identity && keyOf(identity);
}

/** The same for the file of an offset. */
export function offsetFileKey(offset: SourceOffset | undefined): string | undefined {
  const seen = offset as unknown as SeenFile | undefined;
  return seen?.inode === undefined ? undefined : keyOf(seen);
}

function keyOf({ device, inode }: Pick<FileIdentity, 'device' | 'inode'>): string {
  return `${device}:${inode}`;
}

/**
 * Where births are not recorded, they are 0 or the time of the last change. That may also be the
 * truth about a file that was just written: then its directory shows which of them it is.
 */
function isBirthKnown({ path }: FoundFile, { bornMs, changedMs, device }: FileIdentity): boolean {
  if (bornMs !== changedMs) return bornMs > 0 && bornMs < changedMs;
  if (devicesWithBirths.has(device)) return bornMs > 0;
  const directory = statSync(dirname(path), { throwIfNoEntry: false });
  if (directory?.dev !== device) return false;
  const isRecorded = directory.birthtimeMs > 0 && directory.birthtimeMs < directory.ctimeMs;
  if (isRecorded) devicesWithBirths.add(device);
  return isRecorded;
}

/** File systems of which it was seen that they record births. */
const devicesWithBirths = new Set<number>();
