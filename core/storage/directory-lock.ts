import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LogError } from '../errors.ts';
import { storageFailure } from './failure.ts';
import type { FileSystem } from './file-system.ts';
import { errnoOf } from './node-fs.ts';

export const LOCK_FILE = '.lock';
const TAKEOVER_FILE = '.lock.takeover';
/** The temporary file of `createExclusive`, before it links the name: pid, thread, number. */
const UNLINKED_FILE = /^\.lock(?:\.takeover)?\.(\d+)-\d+-\d+$/;
/** Pids are positive 32-bit numbers; `kill` takes 0 and -1 for many processes at once. */
const PID_MAX = 0x7fff_ffff;

/** The owner of a data directory, as stored in the lock file. */
interface LockOwner {
  readonly pid: number;
  /**
   * Distinguishes a process from a later one with the same pid; empty if the system has no such
   * value.
   */
  readonly startedAt: string;
  /** Distinguishes two openings by one process. */
  readonly token: string;
}

/**
 * Locks a data directory for this process: two writers would destroy it. The lock file names its
 * owner; a lock whose process is gone is taken over. Returns the function that releases the lock.
 *
 * Processes are identified by pid, so all processes that may open the directory must share one pid
 * namespace: not two containers on one volume.
 *
 * @param token unique to this opening.
 * @throws LogError LOG_LOCKED with the owner's pid; KAFKA_STORAGE_ERROR, DISK_FULL
 */
export async function lockDirectory(
  fileSystem: FileSystem,
  directory: string,
  token: string,
): Promise<() => Promise<void>> {
  const lock = join(directory, LOCK_FILE);
  const me: LockOwner = { pid: process.pid, startedAt: startOf(process.pid, fileSystem), token };
  const content = Buffer.from(JSON.stringify(me));
  try {
    await createIfAbsent(fileSystem, lock, content);
    // The last process to take the lock has it; earlier ones and late ones find out here.
    while (!(await isOwn(fileSystem, lock, { directory, token }))) {
      await takeOver(fileSystem, directory, content);
      await createIfAbsent(fileSystem, lock, content);
    }
    await removeLeftOvers(fileSystem, directory);
  } catch (cause) {
    for (const path of [join(directory, TAKEOVER_FILE), lock]) {
      await giveBack(fileSystem, path, token).catch(() => undefined); // `cause` is enough
    }
    throw storageFailure(lock, 'create', cause);
  }
  return async () => {
    await giveBack(fileSystem, lock, token).catch((cause: unknown) => {
      throw storageFailure(lock, 'remove', cause);
    });
  };
}

/**
 * The pid of the process that has the directory, or undefined if none has. For information only: it
 * may be another one a moment later.
 */
export async function lockHolder(
  fileSystem: FileSystem,
  directory: string,
): Promise<number | undefined> {
  const owner = await readOwner(fileSystem, join(directory, LOCK_FILE));
  return owner !== undefined && isAlive(owner, fileSystem) ? owner.pid : undefined;
}

async function giveBack(fileSystem: FileSystem, path: string, token: string): Promise<void> {
  const holder = await readOwner(fileSystem, path);
  if (holder?.token === token) await fileSystem.remove(path);
}

/**
 * Replaces a lock whose owner is gone. The process that creates the takeover file may do so; the
 * rename replaces the lock and removes the takeover file at once.
 *
 * Removes a takeover that died half-way. That may hit the file of another process that has just
 * begun one; then the rename moves another's file, or none. So this may fail to take the lock.
 */
async function takeOver(fileSystem: FileSystem, directory: string, content: Buffer): Promise<void> {
  const lock = join(directory, LOCK_FILE);
  const takeover = join(directory, TAKEOVER_FILE);
  if (!(await createIfAbsent(fileSystem, takeover, content))) {
    const rival = await readOwner(fileSystem, takeover);
    if (rival !== undefined && isAlive(rival, fileSystem)) throw locked(directory, rival);
    await fileSystem.remove(takeover).catch(ignoreAbsence);
    return;
  }
  const found = await fileSystem.readFile(lock).catch(ignoreAbsence);
  const owner = found && parseOwner(found);
  // Gone or in use by now: a rename would hit a process that has just taken it.
  if (found === undefined || (owner !== undefined && isAlive(owner, fileSystem))) {
    await fileSystem.remove(takeover).catch(ignoreAbsence);
  } else {
    await fileSystem.rename(takeover, lock).catch(ignoreAbsence);
  }
}

/**
 * Removes the files of openings that died between two steps. Only the owner of the lock calls this:
 * a live rival keeps its files, and gives up when it sees the lock.
 */
async function removeLeftOvers(fileSystem: FileSystem, directory: string): Promise<void> {
  for (const { name, isDirectory } of await fileSystem.list(directory)) {
    const unlinked = UNLINKED_FILE.exec(name);
    if (isDirectory || (unlinked === null && name !== TAKEOVER_FILE)) continue;
    const path = join(directory, name);
    // If an opening died while writing its owner, only the file's name identifies it.
    const pid = unlinked === null ? undefined : Number(unlinked[1]);
    const owner = (await readOwner(fileSystem, path)) ?? ownerOf(pid);
    if (owner !== undefined && isAlive(owner, fileSystem)) continue;
    await fileSystem.remove(path).catch(ignoreAbsence);
  }
}

function ownerOf(pid: number | undefined): LockOwner | undefined {
  return pid !== undefined && isPid(pid) ? { pid, startedAt: '', token: '' } : undefined;
}

/** @throws LogError LOG_LOCKED if another live process owns it. */
async function isOwn(
  fileSystem: FileSystem,
  lock: string,
  me: { readonly directory: string; readonly token: string },
): Promise<boolean> {
  const owner = await readOwner(fileSystem, lock);
  if (owner?.token === me.token) return true;
  if (owner !== undefined && isAlive(owner, fileSystem)) throw locked(me.directory, owner);
  return false;
}

async function createIfAbsent(
  fileSystem: FileSystem,
  path: string,
  content: Buffer,
): Promise<boolean> {
  try {
    await fileSystem.createExclusive(path, content);
    return true;
  } catch (cause) {
    if (errnoOf(cause) === 'EEXIST') return false;
    throw cause;
  }
}

/** The owner in a lock file; undefined if there is no file. */
async function readOwner(fileSystem: FileSystem, path: string): Promise<LockOwner | undefined> {
  const content = await fileSystem.readFile(path).catch(ignoreAbsence);
  return content && parseOwner(content);
}

/** Undefined for a file that names no owner: Kafka's is empty. */
function parseOwner(content: Buffer): LockOwner | undefined {
  try {
    const owner = JSON.parse(content.toString('utf8')) as Partial<LockOwner> | null;
    const { pid, startedAt, token } = owner ?? {};
    if (!isPid(pid) || typeof startedAt !== 'string' || typeof token !== 'string') {
      return undefined;
    }
    return { pid, startedAt, token };
  } catch {
    return undefined; // no JSON
  }
}

function isPid(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0 && (value as number) <= PID_MAX;
}

function isAlive({ pid, startedAt }: LockOwner, fileSystem: FileSystem): boolean {
  try {
    process.kill(pid, 0);
  } catch (cause) {
    if (errnoOf(cause) === 'ESRCH') return false; // EPERM: alive, but another user's
  }
  if (isZombie(pid)) return false;
  return startedAt === '' || startOf(pid, fileSystem) === startedAt;
}

/**
 * Whether a process has ended and only waits for its parent to reap it, which some never do. Its
 * first thread ends first: while another is left, it may still be in the middle of a write.
 */
function isZombie(pid: number): boolean {
  const fields = statOf(pid);
  const [state, threadCount] = [fields?.[0], Number(fields?.[17])];
  return (state === 'Z' || state === 'X') && threadCount <= 1;
}

/** The start time of a process, comparable only on this system; empty if unknown. */
function startOf(pid: number, { incarnation }: FileSystem): string {
  if (incarnation !== undefined) return `simulated:${incarnation}`;
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const startTime = statOf(pid)?.[19];
    return startTime === undefined ? '' : `${boot}:${startTime}`;
  } catch {
    return ''; // not Linux: the pid alone must do
  }
}

/** The fields of /proc/<pid>/stat from the state on; undefined if there is none. */
function statOf(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command may contain spaces and parentheses; the fields after its last one are plain.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined; // not Linux, or the process is gone
  }
}

function ignoreAbsence(cause: unknown): undefined {
  if (errnoOf(cause) !== 'ENOENT') throw cause;
}

function locked(directory: string, owner: LockOwner): LogError {
  const isOurs = owner.pid === process.pid;
  const who = isOurs ? `this process (pid ${owner.pid})` : `process ${owner.pid}`;
  const advice = isOurs
    ? 'share the open log instead of opening it again'
    : 'stop that process or use another directory';
  const message = `${directory} is in use by ${who}; ${advice}`;
  return new LogError('LOG_LOCKED', message, { directory, ownerPid: owner.pid });
}
