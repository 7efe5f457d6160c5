import { join } from 'node:path';
import { nodeFileSystem, type FileSystem } from '../../../core/index.ts';
import {
  callback,
  checkOptions,
  instance,
  lockHolder,
  type OptionChecks,
} from '../../../core/internal.ts';
import { ConnectError } from '../../errors.ts';
import { fileFailure } from '../failure.ts';
import { MANIFEST, readManifest } from './manifest-file.ts';
import type { Manifest, ManifestPart } from './manifest.ts';
import { faultOfPart, filesOf } from './part-check.ts';

/** Something wrong with an output, or, as a `note`, something in it that does not count. */
export interface OutputProblem {
  readonly severity: 'problem' | 'note';
  /** Its path in the directory. */
  readonly file: string;
  /** What was found. */
  readonly what: string;
  /** Its consequences, and what to do. */
  readonly meaning: string;
}

/** What an output holds of one partition. */
export interface VerifiedOutputPartition {
  readonly topic: string;
  readonly partition: number;
  readonly parts: number;
  readonly records: number;
  /** The bytes of its files that count. */
  readonly bytes: number;
  /** The first offset that is in a file, and the next one to be read from the topic. */
  readonly firstOffset: number;
  readonly nextOffset: number;
  /**
   * How many offsets between these two are in no file: the ends of transactions take some, others
   * belong to records that were left out.
   */
  readonly absent: number;
}

/** What `verifyOutput` found. */
export interface VerifiedOutput {
  readonly directory: string;
  /** True if the input had ended. */
  readonly isComplete: boolean;
  readonly partitions: readonly VerifiedOutputPartition[];
  readonly problems: readonly OutputProblem[];
  /** How many of them are no notes: 0 for a sound output. */
  readonly problemCount: number;
  /** The process that is writing to it; undefined if none is. */
  readonly ownerPid: number | undefined;
}

/** The settings of `verifyOutput`. */
export interface VerifyOutputOptions {
  /** Called with each file before it is read, for progress. Default: none. */
  readonly onFile?: (file: string) => void;
  /** Default: the machine's. */
  readonly fileSystem?: FileSystem;
}

const CHECKS: OptionChecks<VerifyOutputOptions> = { onFile: callback, fileSystem: instance };

/**
 * Reads the whole output of a file sink and compares it with its manifest: sizes and checksums of
 * all parts, the order of their offsets, and files that are in no commit. Changes nothing, and may
 * run while a sink is writing there: it looks at the last commit.
 *
 * @throws ConnectError FILE_NOT_FOUND if no sink has written there; OUTPUT_MISMATCH if a later
 *   version of Millrace has; ACCESS_DENIED, STORAGE_FAILED
 */
export async function verifyOutput(
  directory: string,
  options: VerifyOutputOptions = {},
): Promise<VerifiedOutput> {
  checkOptions('verifyOutput', options, CHECKS);
  const { fileSystem = nodeFileSystem, onFile } = options;
  const { manifest, reason, ownerPid } = await lookAt(fileSystem, directory);
  if (manifest === undefined) {
    const problems = [problem(MANIFEST, reason, NO_MANIFEST)];
    return { directory, isComplete: false, partitions: [], problems, problemCount: 1, ownerPid };
  }
  const uncommitted = ownerPid === undefined ? LEFT_OVER : IN_PROGRESS;
  const problems: OutputProblem[] = [];
  for (const part of manifest.parts) {
    onFile?.(part.file);
    const place = { fileSystem, path: join(directory, part.file) };
    const { reason, tailBytes } = await faultOfPart(place, part, true);
    if (reason !== undefined) problems.push(problem(part.file, reason, LOST));
    else if (tailBytes > 0) {
      problems.push(note(part.file, `${tailBytes} bytes are in no commit`, uncommitted));
    }
  }
  const listed = new Set(manifest.parts.map(({ file }) => file));
  for (const { file, isOurs } of await filesOf(fileSystem, directory, manifest)) {
    if (listed.has(file)) continue;
    const [what, meaning] = isOurs ? ['it is in no commit', uncommitted] : FOREIGN;
    problems.push(note(file, what, meaning));
  }
  const problemCount = problems.filter(({ severity }) => severity === 'problem').length;
  const partitions = partitionsOf(manifest);
  const { complete: isComplete } = manifest;
  return { directory, isComplete, partitions, problems, problemCount, ownerPid };
}

/** What a directory says of itself: a manifest, or why that cannot be read. */
interface Look {
  readonly manifest: Manifest | undefined;
  readonly reason: string;
  readonly ownerPid: number | undefined;
}

async function lookAt(fileSystem: FileSystem, directory: string): Promise<Look> {
  let ownerPid: number | undefined;
  try {
    ownerPid = await lockHolder(fileSystem, directory);
  } catch (cause) {
    throw fileFailure(directory, 'open', cause);
  }
  let manifest: Manifest | undefined;
  try {
    manifest = await readManifest(fileSystem, directory);
  } catch (cause) {
    if (!ConnectError.is(cause, 'OUTPUT_DAMAGED')) throw cause;
    return { manifest: undefined, reason: cause.details.reason, ownerPid };
  }
  if (manifest !== undefined) return { manifest, reason: '', ownerPid };
  const path = join(directory, MANIFEST);
  const message = `there is no ${path}: no file sink has written to ${directory}`;
  throw new ConnectError('FILE_NOT_FOUND', message, { path });
}

const IN_PROGRESS = 'the sink is writing: it may be in the next commit';
const LEFT_OVER = 'a crash left it; the next start of the sink removes it';
const FOREIGN = ['no sink has made it', 'it is no part of the output'] as const;
const NO_MANIFEST = 'what the files hold is unknown; bring it back from a backup';
const LOST =
  'committed records are lost; bring the file back from a backup, or have the sink write to a ' +
  'new directory from the beginning';

function problem(file: string, what: string, meaning: string): OutputProblem {
  return { severity: 'problem', file, what, meaning };
}

function note(file: string, what: string, meaning: string): OutputProblem {
  return { severity: 'note', file, what, meaning };
}

function partitionsOf({ topic, offsets, parts }: Manifest): VerifiedOutputPartition[] {
  return Object.entries(offsets).map(([key, nextOffset]) => {
    const partition = Number(key);
    const own = parts.filter((part) => part.partition === partition);
    const records = sum(own, (part) => part.records);
    const firstOffset = own.reduce((least, part) => Math.min(least, part.firstOffset), nextOffset);
    return {
      topic: topic.name,
      partition,
      parts: own.length,
      records,
      bytes: sum(own, ({ sizeBytes }) => sizeBytes),
      firstOffset,
      nextOffset,
      absent: nextOffset - firstOffset - records,
    };
  });
}

function sum(parts: readonly ManifestPart[], of: (part: ManifestPart) => number): number {
  return parts.reduce((total, part) => total + of(part), 0);
}
